"""Data: scenes, splits, archives, statistics and NAVSIM exports made of the life of towns."""
