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
    speed, steering = state[..., 3], state[..., 7]
    applied = lagged_acceleration(acceleration, state[..., 5])
    rate = lagged_steering_rate(steering_rate)
    new_speed = speed + applied * STEP_S
    new_steering = steer(steering, rate)
    travelled = speed * STEP_S
    x, y, heading = move(state[..., 0], state[..., 1], state[..., 2], travelled, steering, wheel_base_m)
    new_yaw_rate = yaw_rate(new_speed, new_steering, wheel_base_m)
    yaw_acceleration = (new_yaw_rate - state[..., 9]) / STEP_S
    zero = torch.zeros_like(speed)
    columns = (x, y, heading, new_speed, zero, applied, zero, new_steering, rate, new_yaw_rate, yaw_acceleration)
    return torch.stack(columns, dim=-1)


def lagged_acceleration(command: Tensor, previous: Tensor) -> Tensor:
    """The acceleration that is applied, m/s^2: a first-order lag of the commanded one."""
    return STEP_S / (STEP_S + ACCELERATION_TIME_CONSTANT_S) * (command - previous) + previous


def lagged_steering_rate(command: Tensor) -> Tensor:
    """The steering rate that is applied, rad/s: a first-order lag of the commanded angle."""
    return STEP_S / (STEP_S + STEERING_TIME_CONSTANT_S) * command


def steer(steering: Tensor, rate: Tensor) -> Tensor:
    """The steering angle one step later, rad."""
    return (steering + rate * STEP_S).clamp(-MAX_STEERING_ANGLE, MAX_STEERING_ANGLE)


def move(
    x: Tensor, y: Tensor, heading: Tensor, travelled: Tensor, steering: Tensor, wheel_base_m: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The pose one step later: x, y and heading, after travelling some distance with the given steering angle."""
    turned = wrap_angle(heading + travelled * steering.tan() / wheel_base_m)
    return x + travelled * heading.cos(), y + travelled * heading.sin(), turned


def yaw_rate(speed: Tensor, steering: Tensor, wheel_base_m: float) -> Tensor:
    """Yaw rate of the rear axle, rad/s."""
    return speed * steering.tan() / wheel_base_m
