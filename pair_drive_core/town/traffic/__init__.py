"""Traffic: vehicles on their paths, drivers with habits and flaws, people on foot, the life of a town step by step."""
