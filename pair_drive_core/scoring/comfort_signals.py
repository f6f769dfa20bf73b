"""Accelerations and headings that the comfort sub-scores look at, and their bounds (nuPlan's comfort metric)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.scene import StateIndex
from pair_drive_core.scoring.savitzky_golay import filtered

LON_ACCELERATION = (-4.05, 2.40)
LAT_ACCELERATION = (-4.89, 4.89)
JERK = (-8.37, 8.37)
LON_JERK = (-4.13, 4.13)
YAW_ACCELERATION = (-1.93, 1.93)
YAW_RATE = (-0.95, 0.95)
COMFORT_NAMES = (
    "longitudinal acceleration",
    "lateral acceleration",
    "jerk",
    "longitudinal jerk",
    "yaw acceleration",
    "yaw rate",
)
"""Order of the flags of the comfort sub-scores."""
ACCELERATION_WINDOW = 8
YAW_WINDOW = 5


@dataclass(frozen=True)
class ComfortSignals:
    """Signals at 10 Hz, each (..., n).

    Attributes:
        longitudinal: acceleration, m/s^2.
        lateral: acceleration, m/s^2.
        magnitude: of the acceleration, m/s^2.
        heading: continuous, rad.
    """

    longitudinal: Tensor
    lateral: Tensor
    magnitude: Tensor
    heading: Tensor

    @staticmethod
    def from_states(states: Tensor, center_offset_m: float = 0.0) -> ComfortSignals:
        """Read the signals off states.

        Args:
            states: (..., n, 11).
            center_offset_m: distance from the rear axle forward to the point whose longitudinal acceleration is meant;
                a turning vehicle's is higher there by d (w^2 + dw/dt). The magnitude is that of the rear axle.
        """
        ax, ay = states[..., StateIndex.ACCELERATION_X], states[..., StateIndex.ACCELERATION_Y]
        yaw_rate = states[..., StateIndex.ANGULAR_VELOCITY]
        shift = center_offset_m * (yaw_rate * yaw_rate + states[..., StateIndex.ANGULAR_ACCELERATION])
        return ComfortSignals(ax + shift, ay, torch.hypot(ax, ay), unwrap(states[..., StateIndex.HEADING]))


def unwrap(heading: Tensor) -> Tensor:
    """Remove jumps of more than half a turn from headings (..., n)."""
    turns = torch.round(heading.diff(dim=-1) / (2.0 * math.pi)).cumsum(-1)
    return heading - 2.0 * math.pi * torch.nn.functional.pad(turns, (1, 0))


def comfort_flags(signals: ComfortSignals, bound_window: int, jerk_window: int) -> Tensor:
    """Whether each signal stays strictly within its bounds.

    Args:
        signals: of n samples.
        bound_window: of the filter of the accelerations that are bounded themselves.
        jerk_window: of the filter that differentiates accelerations.

    Returns:
        (..., 6) bool, in the order of `COMFORT_NAMES`.
    """
    jerk, lon_jerk = (
        filtered(filtered(signal, ACCELERATION_WINDOW, 2), jerk_window, 2, derivative=1)
        for signal in (signals.magnitude, signals.longitudinal)
    )
    checks = (
        (filtered(signals.longitudinal, bound_window, 2), LON_ACCELERATION),
        (filtered(signals.lateral, bound_window, 2), LAT_ACCELERATION),
        (jerk, JERK),
        (lon_jerk, LON_JERK),
        (filtered(signals.heading, YAW_WINDOW, 3, derivative=2), YAW_ACCELERATION),
        (filtered(signals.heading, YAW_WINDOW, 2, derivative=1), YAW_RATE),
    )
    return torch.stack([((value > low) & (value < high)).all(-1) for value, (low, high) in checks], dim=-1)
