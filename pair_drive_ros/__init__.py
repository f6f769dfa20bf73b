"""ROS 2 nodes of PaIR-Drive."""
