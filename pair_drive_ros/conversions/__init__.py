"""Pure functions between ROS messages and the core data model; no node here."""
