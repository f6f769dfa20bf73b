"""ackermann_msgs/AckermannDrive and AckermannDriveStamped: left is positive, as here."""

from __future__ import annotations

from typing import Any

from pair_drive_core.driving.follower import VehicleCommand
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.stamps import to_header


def to_ackermann(make: MakeMessage, command: VehicleCommand) -> Any:  # noqa: ANN401
    """ackermann_msgs/AckermannDrive.

    There the acceleration is a bound without a sign by which the speed is reached, and zero means "as quickly as
    possible"; a vehicle that shall brake is therefore given the speed that it has to come to, and how hard.
    """
    braking = command.acceleration_mps2 < 0.0
    speed = 0.0 if command.reason else command.speed_mps
    return make(
        "ackermann_msgs/msg/AckermannDrive",
        steering_angle=float(command.steering_rad),
        steering_angle_velocity=float(command.steering_rate_rps),
        speed=float(speed),
        acceleration=float(abs(command.acceleration_mps2) if braking or command.acceleration_mps2 > 0 else 0.0),
        jerk=0.0,
    )


def to_ackermann_stamped(make: MakeMessage, command: VehicleCommand, frame_id: str) -> Any:  # noqa: ANN401
    """ackermann_msgs/AckermannDriveStamped.

    Args:
        make: maker of messages.
        command: what the vehicle shall do.
        frame_id: ego frame.
    """
    header = to_header(make, command.time_us, frame_id)
    return make("ackermann_msgs/msg/AckermannDriveStamped", header=header, drive=to_ackermann(make, command))
