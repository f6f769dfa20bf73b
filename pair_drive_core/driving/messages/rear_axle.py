"""nav_msgs/Odometry of another point of the vehicle, moved to its rear axle."""

from __future__ import annotations

import math
from typing import Any

from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.odometry import to_point, to_vector, yaw_of


def odometry_at_rear_axle(make: MakeMessage, message: Any, offset_m: float, child_frame: str) -> Any:  # noqa: ANN401
    """The same motion, seen at the rear axle; stamp and frame as they are.

    Args:
        make: maker of messages.
        message: nav_msgs/Odometry of a point on the vehicle's axis, with its twist in the vehicle's own directions.
        offset_m: from the rear axle forward to that point.
        child_frame: name of the frame at the rear axle.

    Raises:
        MessageError: for an orientation that is no rotation.
    """
    pose, twist = message.pose.pose, message.twist.twist
    heading = yaw_of(pose.orientation)
    x = pose.position.x - offset_m * math.cos(heading)
    y = pose.position.y - offset_m * math.sin(heading)
    moved = make("geometry_msgs/msg/Pose", position=to_point(make, x, y, pose.position.z), orientation=pose.orientation)
    # A point behind swings out to the other side: v = w x r.
    linear = to_vector(make, twist.linear.x, twist.linear.y - offset_m * twist.angular.z, twist.linear.z)
    covariance = message.pose.covariance
    return make(
        "nav_msgs/msg/Odometry",
        header=message.header,
        child_frame_id=child_frame,
        pose=make("geometry_msgs/msg/PoseWithCovariance", pose=moved, covariance=covariance),
        twist=make(
            "geometry_msgs/msg/TwistWithCovariance",
            twist=make("geometry_msgs/msg/Twist", linear=linear, angular=twist.angular),
            covariance=message.twist.covariance,
        ),
    )


def to_rear_axle_transform(make: MakeMessage, stamp: Any, vehicle_frame: str, child_frame: str, offset_m: float) -> Any:  # noqa: ANN401
    """geometry_msgs/TransformStamped, where the rear axle is on the vehicle.

    Args:
        make: maker of messages.
        stamp: builtin_interfaces/Time.
        vehicle_frame: frame that the vehicle's odometry is of.
        child_frame: name of the frame at the rear axle.
        offset_m: from the rear axle forward to the origin of `vehicle_frame`.
    """
    still = make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
    return make(
        "geometry_msgs/msg/TransformStamped",
        header=make("std_msgs/msg/Header", stamp=stamp, frame_id=vehicle_frame),
        child_frame_id=child_frame,
        transform=make("geometry_msgs/msg/Transform", translation=to_vector(make, -offset_m), rotation=still),
    )
