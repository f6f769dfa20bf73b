"""The ROS 2 nodes: planner, town simulator, bag recorder."""
