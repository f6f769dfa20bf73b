"""Cache: scenes packed once, read many times."""
