"""nav_msgs/Odometry and geometry_msgs/AccelWithCovarianceStamped."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from pair_drive_core.driving.ego_track import MotionSample
from pair_drive_core.driving.messages.errors import MessageError
from pair_drive_core.driving.messages.stamps import HeaderLike, stamp_us
from pair_drive_core.scene.sensors import FloatArray

_NORM_TOLERANCE = 0.01


class OdometryLike(Protocol):
    """nav_msgs/Odometry: pose in `header.frame_id`, twist in `child_frame_id` (the ego frame)."""

    header: Any
    pose: Any
    twist: Any


class AccelLike(Protocol):
    """geometry_msgs/AccelWithCovarianceStamped, in the ego frame."""

    header: Any
    accel: Any


class QuaternionLike(Protocol):
    """geometry_msgs/Quaternion."""

    x: float
    y: float
    z: float
    w: float


def yaw_of(quaternion: QuaternionLike) -> float:
    """Heading of a rotation, rad.

    Raises:
        MessageError: if it is not a unit quaternion.
    """
    x, y, z, w = (float(value) for value in (quaternion.x, quaternion.y, quaternion.z, quaternion.w))
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not abs(norm - 1.0) <= _NORM_TOLERANCE:
        raise MessageError(f"orientation: expected a unit quaternion, got ({x}, {y}, {z}, {w})")
    return math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))


def motion_sample(message: OdometryLike) -> MotionSample:
    """Pose and velocity of the rear axle.

    Raises:
        MessageError: for a number that is not finite or an orientation that is no rotation.
    """
    header: HeaderLike = message.header
    position, linear = message.pose.pose.position, message.twist.twist.linear
    pose = np.array([position.x, position.y, yaw_of(message.pose.pose.orientation)], dtype=np.float64)
    velocity = np.array([linear.x, linear.y], dtype=np.float64)
    _require_finite("odometry", pose, velocity)
    return MotionSample(stamp_us(header.stamp), pose, velocity)


def linear_acceleration(message: AccelLike) -> FloatArray:
    """(2,) acceleration in the ego frame, m/s^2.

    Raises:
        MessageError: for a number that is not finite.
    """
    linear = message.accel.accel.linear
    acceleration = np.array([linear.x, linear.y], dtype=np.float64)
    _require_finite("acceleration", acceleration)
    return acceleration


def _require_finite(name: str, *arrays: FloatArray) -> None:
    for array in arrays:
        if not np.isfinite(array).all():
            raise MessageError(f"{name}: expected finite numbers, got {array.tolist()}")
