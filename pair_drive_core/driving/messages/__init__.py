"""ROS 2 messages and the data model, both directions of a message family side by side.

Readers look only at the fields that the message definitions name, so what rclpy deserialised in a node and what
`rosbags` read from a file both fit, and live topics and bags give the same arrays by construction. Writers (`to_...`)
fill in every field by a `MakeMessage` that the caller hands them. Nothing here needs ROS.
"""

from pair_drive_core.driving.messages.camera_info import camera_calibration, mount_rotation
from pair_drive_core.driving.messages.commands import driving_command
from pair_drive_core.driving.messages.errors import MessageError
from pair_drive_core.driving.messages.factory import MakeMessage, bag_messages
from pair_drive_core.driving.messages.images import compressed_image_rgb, image_rgb
from pair_drive_core.driving.messages.odometry import linear_acceleration, motion_sample, yaw_of
from pair_drive_core.driving.messages.point_clouds import cloud_points
from pair_drive_core.driving.messages.stamps import stamp_us
from pair_drive_core.driving.messages.transforms import TransformTree

__all__ = [
    "MakeMessage",
    "MessageError",
    "TransformTree",
    "bag_messages",
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
