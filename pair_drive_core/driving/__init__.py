"""Driving: what turns readings into a guarded plan, in a vehicle or from a bag; no ROS needed."""
