"""LK: near the centre line (official `_calculate_lane_keeping`)."""

from __future__ import annotations

import torch

from pair_drive_core.scoring.centerline import centerline_segments, nearest
from pair_drive_core.scoring.ego_areas import EgoAreas
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.rollouts import Rollouts
from pair_drive_core.scoring.verdict import Verdict, first_step, without_cause

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
    counted = ~areas.center_in_intersection
    total = (off & counted).to(torch.int32).cumsum(-1)
    # A counted step on the line starts the row anew: from there on only later steps count.
    before = torch.where(counted & ~off, total, torch.zeros_like(total)).cummax(-1).values
    first = first_step(total - before >= WINDOW_STEPS)
    return without_cause((first < 0).to(rollouts.speed), first)
