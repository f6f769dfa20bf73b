"""NAVSIM data in and out, scorer vectors, scene caches."""
