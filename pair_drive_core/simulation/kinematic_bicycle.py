"""Kinematic bicycle model with first-order lag of acceleration and steering.

Source: navsim `BatchKinematicBicycleModel`, nuPlan `KinematicBicycleModel`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.simulation.sampling import STEP_S

MAX_STEERING_ANGLE = math.pi / 3.0
ACCELERATION_TIME_CONSTANT_S = 0.2
STEERING_TIME_CONSTANT_S = 0.05


def propagate(state: Tensor, acceleration: Tensor, steering_rate: Tensor, wheel_base_m: float) -> Tensor:
    """Move one step of 0.1 s (explicit Euler).

    Args:
        state: (..., 11), columns of `StateIndex`.
        acceleration: (...), commanded, m/s^2.
        steering_rate: (...), commanded, rad/s.
        wheel_base_m: rear axle to front axle.

    Returns:
        (..., 11); lateral speed and acceleration are zero.
    """
    x, y, heading, speed = state[..., 0], state[..., 1], state[..., 2], state[..., 3]
    previous, steering, yaw_rate = state[..., 5], state[..., 7], state[..., 9]
    applied = STEP_S / (STEP_S + ACCELERATION_TIME_CONSTANT_S) * (acceleration - previous) + previous
    rate = STEP_S / (STEP_S + STEERING_TIME_CONSTANT_S) * steering_rate
    new_speed = speed + applied * STEP_S
    new_steering = (steering + rate * STEP_S).clamp(-MAX_STEERING_ANGLE, MAX_STEERING_ANGLE)
    new_yaw_rate = new_speed * new_steering.tan() / wheel_base_m
    zero = torch.zeros_like(speed)
    return torch.stack(
        (
            x + speed * heading.cos() * STEP_S,
            y + speed * heading.sin() * STEP_S,
            wrap_angle(heading + speed * steering.tan() / wheel_base_m * STEP_S),
            new_speed,
            zero,
            applied,
            zero,
            new_steering,
            rate,
            new_yaw_rate,
            (new_yaw_rate - yaw_rate) / STEP_S,
        ),
        dim=-1,
    )
