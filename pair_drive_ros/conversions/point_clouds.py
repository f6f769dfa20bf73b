"""sensor_msgs/PointCloud2."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField

from pair_drive_core.driving.messages import cloud_points
from pair_drive_core.scene import LidarSweep
from pair_drive_ros.conversions.images import byte_array
from pair_drive_ros.conversions.stamps import to_header

__all__ = ["cloud_points", "to_point_cloud"]


def to_point_cloud(sweep: LidarSweep, frame_id: str) -> PointCloud2:
    """An unorganised cloud with x, y, z, intensity as float32, stamped with the end of the sweep.

    Args:
        sweep: the points.
        frame_id: their frame.
    """
    points = np.ascontiguousarray(sweep.points, dtype="<f4")
    message = PointCloud2(header=to_header(sweep.time_us, frame_id), height=1, width=points.shape[0], is_dense=True)
    message.fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(("x", "y", "z", "intensity"))
    ]
    message.point_step, message.row_step = 16, 16 * points.shape[0]
    message.data = byte_array(points.view(np.uint8))
    return message
