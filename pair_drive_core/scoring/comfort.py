"""C: comfort of the rollout (official v1.1 `_calculate_is_comfortable`)."""

from __future__ import annotations

from torch import Tensor

from pair_drive_core.scoring.comfort_signals import ComfortSignals, comfort_flags
from pair_drive_core.scoring.rollouts import Rollouts


def comfort(rollouts: Rollouts) -> Tensor:
    """Bounds on the motion of the rear axle, filtered over the whole rollout.

    Args:
        rollouts: S scenes, K candidates.

    Returns:
        (S, K, 6) bool, in the order of `COMFORT_NAMES`; C is 1 where all hold.
    """
    samples = rollouts.shape[2]
    return comfort_flags(ComfortSignals.from_states(rollouts.states), bound_window=samples, jerk_window=samples)
