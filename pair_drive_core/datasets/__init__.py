"""Maps, NAVSIM data in and out, scene caches, scorer vectors."""
