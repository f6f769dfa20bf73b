"""Several ways to compute what the networks say: operation by operation, or as exported graphs."""
