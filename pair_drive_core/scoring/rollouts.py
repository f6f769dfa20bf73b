"""Simulated candidates with the footprint of the vehicle, as every sub-score reads them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.scene import StateIndex, VehicleParameters

MAX_COORDINATE_M = 1e5
"""Plans and rollouts that leave this square around the start are invalid: no vehicle gets there in 4 s."""


def on_earth(states: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
    """Replace rollouts that ran off to infinity by standing still.

    Args:
        states: (S, K, 41, 11).
        start: (S, 11), states at t0.

    Returns:
        States of the same shape, all finite, and which ones are as they were, (S, K) bool.
    """
    valid = (states.isfinite().all(-1) & (states[..., :2].abs() <= MAX_COORDINATE_M).all(-1)).all(-1)
    still = start[:, None, None].expand_as(states)
    return torch.where(valid[..., None, None], states, still), valid


@dataclass(frozen=True)
class Rollouts:
    """K rollouts in each of S scenes, in the scenes' local frames.

    Attributes:
        states: (S, K, 41, 11), columns of `StateIndex`.
        cos: (S, K, 41), of the heading.
        sin: (S, K, 41), of the heading.
        speed: (S, K, 41), magnitude, m/s.
        center: (S, K, 41, 2), centre of the vehicle's box, m.
        corners: (S, K, 41, 4, 2), front-left, rear-left, rear-right, front-right, m.
        half_length_m: half the vehicle's length.
        half_width_m: half the vehicle's width.
    """

    states: Tensor
    cos: Tensor
    sin: Tensor
    speed: Tensor
    center: Tensor
    corners: Tensor
    half_length_m: float
    half_width_m: float

    @staticmethod
    def from_states(states: Tensor, vehicle: VehicleParameters) -> Rollouts:
        """Place the vehicle's box on simulated states.

        Args:
            states: (S, K, 41, 11).
            vehicle: the ego's measures.
        """
        heading = states[..., StateIndex.HEADING]
        cos, sin = heading.cos(), heading.sin()
        ahead = vehicle.rear_axle_to_center_m * torch.stack((cos, sin), dim=-1)
        center = states[..., :2] + ahead
        half_length, half_width = vehicle.length_m / 2.0, vehicle.width_m / 2.0
        along = half_length * torch.stack((cos, sin), dim=-1)
        across = half_width * torch.stack((-sin, cos), dim=-1)
        front, rear = center + along, center - along
        return Rollouts(
            states,
            cos,
            sin,
            torch.hypot(states[..., StateIndex.VELOCITY_X], states[..., StateIndex.VELOCITY_Y]),
            center,
            torch.stack((front + across, rear + across, rear - across, front - across), dim=-2),
            half_length,
            half_width,
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """S, K and the number of steps."""
        scenes, candidates, steps = self.speed.shape
        return scenes, candidates, steps
