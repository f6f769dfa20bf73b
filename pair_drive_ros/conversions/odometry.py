"""nav_msgs/Odometry and geometry_msgs/AccelWithCovarianceStamped."""

from __future__ import annotations

import math
from collections.abc import Sequence

from geometry_msgs.msg import AccelWithCovarianceStamped, Pose, Quaternion
from nav_msgs.msg import Odometry

from pair_drive_core.driving.messages import linear_acceleration, motion_sample
from pair_drive_core.scene import EgoStatus
from pair_drive_ros.conversions.stamps import to_header

__all__ = ["linear_acceleration", "motion_sample", "to_acceleration", "to_odometry", "to_pose"]


def to_quaternion(heading: float) -> Quaternion:
    """A rotation about z, rad."""
    return Quaternion(x=0.0, y=0.0, z=math.sin(0.5 * heading), w=math.cos(0.5 * heading))


def to_pose(pose: Sequence[float]) -> Pose:
    """A planar pose (x, y, heading; m, rad) as a message."""
    message = Pose(orientation=to_quaternion(float(pose[2])))
    message.position.x, message.position.y = float(pose[0]), float(pose[1])
    return message


def to_odometry(status: EgoStatus, yaw_rate: float, frame_id: str, child_frame_id: str) -> Odometry:
    """Pose in `frame_id` and velocity in `child_frame_id`.

    Args:
        status: the ego.
        yaw_rate: rad/s.
        frame_id: continuous frame of the pose.
        child_frame_id: ego frame.
    """
    message = Odometry(header=to_header(status.time_us, frame_id), child_frame_id=child_frame_id)
    message.pose.pose = to_pose(status.pose.tolist())
    message.twist.twist.linear.x, message.twist.twist.linear.y = (float(value) for value in status.velocity)
    message.twist.twist.angular.z = float(yaw_rate)
    return message


def to_acceleration(status: EgoStatus, frame_id: str) -> AccelWithCovarianceStamped:
    """Acceleration in the ego frame `frame_id`."""
    message = AccelWithCovarianceStamped(header=to_header(status.time_us, frame_id))
    message.accel.accel.linear.x, message.accel.accel.linear.y = (float(value) for value in status.acceleration)
    return message
