"""LK: near the centre line (official `_calculate_lane_keeping`)."""

from __future__ import annotations

import torch

from pair_drive_core.scoring.centerline import centerline_segments, nearest
from pair_drive_core.scoring.ego_areas import EgoAreas
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.rollouts import Rollouts
from pair_drive_core.scoring.verdict import Verdict, without_cause

LIMIT_M = 0.5
WINDOW_STEPS = 20


def lane_keeping(rollouts: Rollouts, areas: EgoAreas, prepared: PreparedScenes) -> Verdict:
    """0 where the centre is more than 0.5 m off the centre line for 20 steps in a row, else 1.

    Steps inside an intersection are left out: they neither count nor end a row.

    Args:
        rollouts: S scenes, K candidates.
        areas: of the same rollouts.
        prepared: the scenes' centre lines.
    """
    scenes, candidates, steps = rollouts.shape
    start, step, _ = centerline_segments(prepared)
    squared, _, _ = nearest(rollouts.center.reshape(scenes, -1, 2), start, step)
    off = (squared > LIMIT_M * LIMIT_M).reshape(scenes, candidates, steps)
    row = torch.zeros(scenes, candidates, dtype=torch.int64, device=off.device)
    first = torch.full_like(row, -1)
    for i in range(steps):
        row = torch.where(areas.center_in_intersection[..., i], row, torch.where(off[..., i], row + 1, 0))
        first = torch.where((row >= WINDOW_STEPS) & (first < 0), i, first)
    return without_cause((first < 0).to(rollouts.speed), first)
