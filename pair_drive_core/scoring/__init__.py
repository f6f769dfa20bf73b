"""One sub-score a file; PDMS (v1.1), EPDMS (v2) and their aggregation."""
