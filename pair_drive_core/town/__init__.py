"""The synthetic city: roads, traffic, sensors."""
