"""Readings out of ROS 2 messages, whoever deserialised them: rclpy in a node, `rosbags` from a file.

The functions look only at the fields that the message definitions name, so both kinds of objects fit, and live topics
and bags give the same arrays by construction. Nothing here needs ROS.
"""

from pair_drive_core.driving.messages.camera_info import camera_calibration, mount_rotation
from pair_drive_core.driving.messages.commands import driving_command
from pair_drive_core.driving.messages.errors import MessageError
from pair_drive_core.driving.messages.images import compressed_image_rgb, image_rgb
from pair_drive_core.driving.messages.odometry import linear_acceleration, motion_sample, yaw_of
from pair_drive_core.driving.messages.point_clouds import cloud_points
from pair_drive_core.driving.messages.stamps import stamp_us
from pair_drive_core.driving.messages.transforms import TransformTree

__all__ = [
    "MessageError",
    "TransformTree",
    "camera_calibration",
    "cloud_points",
    "compressed_image_rgb",
    "driving_command",
    "image_rgb",
    "linear_acceleration",
    "motion_sample",
    "mount_rotation",
    "stamp_us",
    "yaw_of",
]
