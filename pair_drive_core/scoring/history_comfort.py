"""HC: comfort of the rollout with the true past in front (official v2 `_calculate_history_comfort`)."""

from __future__ import annotations

import torch
from torch import Tensor

from pair_drive_core.scoring.comfort_signals import ACCELERATION_WINDOW, ComfortSignals, comfort_flags
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.rollouts import Rollouts

JERK_WINDOW = 15


def history_comfort(rollouts: Rollouts, prepared: PreparedScenes) -> Tensor:
    """Bounds on the motion of the box centre (magnitudes: of the rear axle), past included.

    Past and rollout are treated as equally spaced although one past sample is missing between them.

    Args:
        rollouts: S scenes, K candidates.
        prepared: the scenes' past states.

    Returns:
        (S, K, 6) bool, in the order of `COMFORT_NAMES`; HC is 1 where all hold. All true where no past is known.
    """
    scenes, candidates, _ = rollouts.shape
    flags = torch.ones(scenes, candidates, 6, dtype=torch.bool, device=rollouts.states.device)
    counts = torch.where(prepared.has_history, prepared.history_offsets.diff(), -1)
    offset = prepared.vehicle.rear_axle_to_center_m
    # One filter a length of the past; in practice there are two lengths.
    for count in sorted(set(counts.tolist()) - {-1}):
        group = (counts == count).nonzero()[:, 0]
        rows = prepared.history_offsets[group][:, None] + torch.arange(count, device=group.device)
        past = prepared.history[rows][:, None].expand(-1, candidates, -1, -1)
        signals = ComfortSignals.from_states(torch.cat((past, rollouts.states[group]), dim=2), offset)
        flags[group] = comfort_flags(signals, bound_window=ACCELERATION_WINDOW, jerk_window=JERK_WINDOW)
    return flags
