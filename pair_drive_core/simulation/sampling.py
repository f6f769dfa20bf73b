"""The times at which the official code samples trajectories.

Times are computed in floating-point seconds and truncated to whole microseconds, so for time stamps of the size of a
Unix epoch a sample is often 1 us early. That moves a pose by up to 5e-5 m and shows in the accelerations.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

SIMULATION_STEPS = 41
"""10 Hz states of a rollout, the first at t0 (4 s)."""
STEP_S = 0.1
"""Time between two states of a rollout."""


def plan_sampling(
    time_us: IntArray, plan_steps: int = PLAN_STEPS, interval_s: float = PLAN_INTERVAL_S
) -> tuple[IntArray, FloatArray]:
    """Where each 10 Hz sample lies between the poses of a plan (`transform_trajectory`, `get_trajectory_as_array`).

    Args:
        time_us: (S,), t0 of each scene, us.
        plan_steps: number of poses of the plan, without the start pose.
        interval_s: time between two poses.

    Returns:
        `index` (S, 41), the knot before each sample, 0 = start pose, at most `plan_steps - 1`; `weight` (S, 41), how
        far the sample lies towards the next knot, in [0, 1]. Samples beyond the plan stay at its last pose.
    """
    start_s = time_us.astype(np.float64)[:, None] * 1e-6
    knots_s = np.arange(plan_steps) * interval_s + interval_s + start_s
    knots = np.concatenate((time_us[:, None], (knots_s * 1e6).astype(np.int64)), axis=1)
    samples_s = np.arange(SIMULATION_STEPS) * STEP_S + start_s
    samples = np.clip((samples_s * 1e6).astype(np.int64), knots[:, :1], knots[:, -1:])
    index = (samples[:, :, None] > knots[:, None, 1:]).sum(-1)
    index = np.minimum(index, plan_steps - 1)
    low = np.take_along_axis(knots, index, axis=1)
    high = np.take_along_axis(knots, index + 1, axis=1)
    weight = (samples - low) / np.maximum(high - low, 1)
    return index.astype(np.int64), weight.astype(np.float64)
