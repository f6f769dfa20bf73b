"""Sensing: the world around a vehicle as its cameras and its LiDAR see it."""
