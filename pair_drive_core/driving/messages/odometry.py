"""nav_msgs/Odometry and geometry_msgs/AccelWithCovarianceStamped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from pair_drive_core.driving.ego_track import MotionSample
from pair_drive_core.driving.messages.errors import MessageError
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.stamps import HeaderLike, stamp_us, to_header
from pair_drive_core.scene import EgoStatus
from pair_drive_core.scene.sensors import FloatArray

_NORM_TOLERANCE = 0.01
MAX_POSITION_M = 1e8
MAX_SPEED_MPS = 150.0
MAX_ACCELERATION_MPS2 = 100.0
"""Bounds of what can be true; far beyond what any guard allows."""


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


def motion_sample(message: OdometryLike, *, with_twist: bool = True) -> MotionSample:
    """Pose and velocity of the rear axle.

    Args:
        message: of the odometry.
        with_twist: whether the velocity is looked at; zero otherwise.

    Raises:
        MessageError: for a number that is not finite or an orientation that is no rotation.
    """
    header: HeaderLike = message.header
    position, linear = message.pose.pose.position, message.twist.twist.linear
    pose = np.array([position.x, position.y, yaw_of(message.pose.pose.orientation)], dtype=np.float64)
    velocity = np.array([linear.x, linear.y], dtype=np.float64) if with_twist else np.zeros(2)
    _require_finite("odometry", pose, velocity)
    _require_below("odometry: a position on earth", pose[:2], MAX_POSITION_M, "m")
    _require_below("odometry: a velocity of a road vehicle", velocity, MAX_SPEED_MPS, "m/s")
    return MotionSample(stamp_us(header.stamp), pose, velocity)


def turn_rate(message: OdometryLike) -> float:
    """Change of the heading, rad/s.

    Raises:
        MessageError: for a number that is not finite.
    """
    rate = float(message.twist.twist.angular.z)
    _require_finite("odometry", np.array([rate]))
    return rate


def linear_acceleration(message: AccelLike) -> FloatArray:
    """(2,) acceleration in the ego frame, m/s^2.

    Raises:
        MessageError: for a number that is not finite.
    """
    linear = message.accel.accel.linear
    acceleration = np.array([linear.x, linear.y], dtype=np.float64)
    _require_finite("acceleration", acceleration)
    _require_below("acceleration: one of a road vehicle", acceleration, MAX_ACCELERATION_MPS2, "m/s^2")
    return acceleration


def _require_finite(name: str, *arrays: FloatArray) -> None:
    for array in arrays:
        if not np.isfinite(array).all():
            raise MessageError(f"{name}: expected finite numbers, got {array.tolist()}")


def _require_below(name: str, values: FloatArray, limit: float, unit: str) -> None:
    """A number that no vehicle can have would become a plan that no vehicle can drive."""
    if np.abs(values).max() > limit:
        raise MessageError(f"{name}, at most {limit:g} {unit}: got {values.tolist()}")


def to_vector(make: MakeMessage, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Any:  # noqa: ANN401
    """geometry_msgs/Vector3."""
    return make("geometry_msgs/msg/Vector3", x=float(x), y=float(y), z=float(z))


def to_quaternion(make: MakeMessage, heading: float) -> Any:  # noqa: ANN401
    """geometry_msgs/Quaternion of a rotation about z, rad."""
    return make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=math.sin(0.5 * heading), w=math.cos(0.5 * heading))


def to_point(make: MakeMessage, x: float, y: float, z: float = 0.0) -> Any:  # noqa: ANN401
    """geometry_msgs/Point."""
    return make("geometry_msgs/msg/Point", x=float(x), y=float(y), z=float(z))


def to_pose(make: MakeMessage, pose: Sequence[float]) -> Any:  # noqa: ANN401
    """geometry_msgs/Pose of a planar pose (x, y, heading; m, rad)."""
    position = to_point(make, pose[0], pose[1])
    return make("geometry_msgs/msg/Pose", position=position, orientation=to_quaternion(make, float(pose[2])))


def to_odometry(make: MakeMessage, status: EgoStatus, yaw_rate: float, frame_id: str, child_frame_id: str) -> Any:  # noqa: ANN401
    """Pose in `frame_id` and velocity in `child_frame_id`.

    Args:
        make: maker of messages.
        status: the ego.
        yaw_rate: rad/s.
        frame_id: continuous frame of the pose.
        child_frame_id: ego frame.
    """
    linear, angular = to_vector(make, *status.velocity.tolist()), to_vector(make, z=yaw_rate)
    twist = make("geometry_msgs/msg/Twist", linear=linear, angular=angular)
    unknown = np.zeros(36)
    return make(
        "nav_msgs/msg/Odometry",
        header=to_header(make, status.time_us, frame_id),
        child_frame_id=child_frame_id,
        pose=make("geometry_msgs/msg/PoseWithCovariance", pose=to_pose(make, status.pose.tolist()), covariance=unknown),
        twist=make("geometry_msgs/msg/TwistWithCovariance", twist=twist, covariance=unknown),
    )


def to_acceleration(make: MakeMessage, status: EgoStatus, frame_id: str) -> Any:  # noqa: ANN401
    """geometry_msgs/AccelWithCovarianceStamped in the ego frame `frame_id`."""
    linear, angular = to_vector(make, *status.acceleration.tolist()), to_vector(make)
    accel = make("geometry_msgs/msg/Accel", linear=linear, angular=angular)
    return make(
        "geometry_msgs/msg/AccelWithCovarianceStamped",
        header=to_header(make, status.time_us, frame_id),
        accel=make("geometry_msgs/msg/AccelWithCovariance", accel=accel, covariance=np.zeros(36)),
    )
