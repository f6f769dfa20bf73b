"""carla_msgs/CarlaEgoVehicleControl: pedals from 0 to 1, steering from -1 to 1 with **right** positive."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pair_drive_core.driving.follower import VehicleCommand
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.stamps import to_header


@dataclass(frozen=True)
class CarlaPedals:
    """How a CARLA vehicle answers to its controls, near enough for a follower that closes the loop around it.

    Attributes:
        full_steering_rad: angle of the front wheel at steer = 1 (the vehicle's `max_steer_angle`).
        full_throttle_mps2: acceleration at throttle = 1.
        full_brake_mps2: deceleration at brake = 1.
        coasting_mps2: deceleration without a pedal, which the throttle overcomes first.
        hold_brake: least brake of a vehicle that shall stand.
    """

    full_steering_rad: float = math.radians(70.0)
    full_throttle_mps2: float = 5.0
    full_brake_mps2: float = 8.0
    coasting_mps2: float = 0.3
    hold_brake: float = 0.3


def to_carla_control(
    make: MakeMessage, command: VehicleCommand, speed_mps: float, pedals: CarlaPedals, frame_id: str
) -> Any:  # noqa: ANN401
    """carla_msgs/CarlaEgoVehicleControl; one pedal at a time, never reverse.

    Args:
        make: maker of messages.
        command: what the vehicle shall do.
        speed_mps: of the ego now.
        pedals: how the vehicle answers.
        frame_id: ego frame.
    """
    acceleration = command.acceleration_mps2
    coasting = pedals.coasting_mps2 if speed_mps > 0.1 else 0.0
    throttle = brake = 0.0
    if acceleration > -coasting:
        throttle = min(max((acceleration + coasting) / pedals.full_throttle_mps2, 0.0), 1.0)
    else:
        brake = min((-acceleration - coasting) / pedals.full_brake_mps2, 1.0)
    if acceleration < 0.0 and speed_mps < 0.1:
        throttle, brake = 0.0, max(brake, pedals.hold_brake)
    return make(
        "carla_msgs/msg/CarlaEgoVehicleControl",
        header=to_header(make, command.time_us, frame_id),
        throttle=float(throttle),
        steer=float(min(max(-command.steering_rad / pedals.full_steering_rad, -1.0), 1.0)),
        brake=float(brake),
        hand_brake=False,
        reverse=False,
        gear=0,
        manual_gear_shift=False,
    )
