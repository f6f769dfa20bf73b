"""EC: agreement of two consecutive plans where they overlap (official `ego_is_two_frame_extended_comfort`)."""

from __future__ import annotations

import torch
from torch import Tensor

from pair_drive_core.scene import SceneError
from pair_drive_core.scene.validation import require_shape
from pair_drive_core.scoring.comfort_signals import ACCELERATION_WINDOW, YAW_WINDOW, ComfortSignals
from pair_drive_core.scoring.history_comfort import JERK_WINDOW
from pair_drive_core.scoring.savitzky_golay import filtered
from pair_drive_core.simulation.sampling import SIMULATION_STEPS, STEP_S

THRESHOLDS = (0.7, 0.5, 0.1, 0.1)
"""Acceleration m/s^2, jerk m/s^3, yaw rate rad/s, yaw acceleration rad/s^2."""
MAX_INTERVAL_S = 0.55


@torch.no_grad()
def extended_comfort(now: Tensor, previous: Tensor, interval_s: float) -> tuple[Tensor, Tensor]:
    """Compare the rollout of a frame with that of the frame before it.

    Args:
        now: (P, 41, 11), simulated states of this frame.
        previous: (P, 41, 11), simulated states of the earlier frame.
        interval_s: time between the frames, above 0.05 s and below 0.55 s (a fifth of a step is enough to round).

    Returns:
        EC (P,), 0 or 1, and the root mean squares of the differences (P, 4), in the order of `THRESHOLDS`.

    Raises:
        SceneError: if a shape or the interval is wrong.
    """
    require_shape("extended_comfort: now", now, ("P", SIMULATION_STEPS, "11"))
    require_shape("extended_comfort: previous", previous, tuple(now.shape))
    # Python's rounding of halves to even is the official one.
    overlap = round(interval_s / STEP_S)
    if not 0.0 < interval_s < MAX_INTERVAL_S or overlap < 1:
        raise SceneError(
            f"extended_comfort: expected frames {STEP_S / 2} to {MAX_INTERVAL_S} s apart, got {interval_s} s"
        )
    first, second = _features(now[:, :-overlap]), _features(previous[:, overlap:])
    rms = torch.stack([(a - b).square().mean(-1).sqrt() for a, b in zip(first, second, strict=True)], dim=-1)
    return (rms <= rms.new_tensor(THRESHOLDS)).all(-1).to(now), rms


def _features(states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    signals = ComfortSignals.from_states(states)
    acceleration = filtered(signals.magnitude, ACCELERATION_WINDOW, 2)
    return (
        acceleration,
        filtered(acceleration, JERK_WINDOW, 2, derivative=1),
        filtered(signals.heading, YAW_WINDOW, 2, derivative=1),
        filtered(signals.heading, YAW_WINDOW, 2, derivative=2),
    )
