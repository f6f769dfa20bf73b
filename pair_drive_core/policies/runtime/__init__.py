"""Several ways to compute what the networks say: operation by operation, or by whatever is faster and agrees."""
