"""Streets: the plan of a town, its road network, signals, construction sites and what stands beside the road."""
