"""Routes as lines: nav_msgs/Path, and autoware_planning_msgs/Path, the line Autoware makes of its lanelet route."""

from __future__ import annotations

from typing import Any

import numpy as np

from pair_drive_core.driving.messages.errors import MessageError
from pair_drive_core.scene.sensors import FloatArray


def route_points(message: Any) -> FloatArray:  # noqa: ANN401 - messages of rclpy or rosbags
    """(P, 2) places along a route in the message's frame, m; none at all where the route was taken back.

    Raises:
        MessageError: for a number that is not finite.
    """
    entries = message.poses if hasattr(message, "poses") else message.points
    points = np.array([(entry.pose.position.x, entry.pose.position.y) for entry in entries], dtype=np.float64)
    points = points.reshape(-1, 2)
    if not np.isfinite(points).all():
        raise MessageError(f"route: expected finite numbers, got {points[~np.isfinite(points).all(1)][0].tolist()}")
    return points
