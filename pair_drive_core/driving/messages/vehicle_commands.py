"""pair_drive_ros/VehicleCommand, and the same as geometry_msgs/TwistStamped."""

from __future__ import annotations

import math
from typing import Any

from pair_drive_core.driving.follower import VehicleCommand
from pair_drive_core.driving.messages.errors import MessageError
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.odometry import to_vector
from pair_drive_core.driving.messages.stamps import stamp_us, to_header, to_time
from pair_drive_core.scene import SceneError
from pair_drive_core.simulation.commanded_vehicle import ActuatorCommand


def to_vehicle_command(make: MakeMessage, command: VehicleCommand, frame_id: str) -> Any:  # noqa: ANN401
    """The command with what it was made from.

    Args:
        make: maker of messages.
        command: what the vehicle shall do.
        frame_id: ego frame.
    """
    return make(
        "pair_drive_ros/msg/VehicleCommand",
        header=to_header(make, command.time_us, frame_id),
        steering_angle_rad=float(command.steering_rad),
        steering_rate_rps=float(command.steering_rate_rps),
        speed_mps=float(command.speed_mps),
        acceleration_mps2=float(command.acceleration_mps2),
        plan_stamp=to_time(make, command.plan_us or 0),
        lateral_error_m=float(command.lateral_m),
        heading_error_rad=float(command.heading_rad),
        behind_m=float(command.behind_m),
        reason=command.reason,
    )


def to_twist(make: MakeMessage, command: VehicleCommand, frame_id: str, wheel_base_m: float) -> Any:  # noqa: ANN401
    """geometry_msgs/TwistStamped: the wanted speed and the yaw rate that the wheel makes of it.

    Args:
        make: maker of messages.
        command: what the vehicle shall do.
        frame_id: ego frame.
        wheel_base_m: of the vehicle.
    """
    yaw_rate = command.speed_mps * math.tan(command.steering_rad) / wheel_base_m
    twist = make(
        "geometry_msgs/msg/Twist", linear=to_vector(make, command.speed_mps), angular=to_vector(make, z=yaw_rate)
    )
    return make("geometry_msgs/msg/TwistStamped", header=to_header(make, command.time_us, frame_id), twist=twist)


def actuator_command(message: Any) -> tuple[int, int, ActuatorCommand]:  # noqa: ANN401
    """Stamp and plan's t0 in us, and what the actuators are asked for.

    Raises:
        MessageError: for a number that is not finite.
    """
    command = ActuatorCommand(float(message.steering_angle_rad), float(message.acceleration_mps2))
    try:
        command.validate()
    except SceneError as error:
        raise MessageError(f"vehicle command: {error}") from None
    return stamp_us(message.header.stamp), stamp_us(message.plan_stamp), command
