"""DDC: not against the traffic (official `_calculate_driving_direction_compliance`)."""

from __future__ import annotations

import torch
from torch import Tensor

from pair_drive_core.scoring.ego_areas import EgoAreas
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.rollouts import Rollouts
from pair_drive_core.scoring.verdict import Verdict, first_step, without_cause

WINDOW_STEPS = 11
"""The current step and the ten before it (1 s)."""
COMPLIANCE_M = 2.0
VIOLATION_M = 6.0


def driving_direction_compliance(rollouts: Rollouts, areas: EgoAreas, metric: Metric) -> Verdict:
    """1, 1/2 or 0 by the largest distance driven off the route's lanes within a window (below 2 m, below 6 m, more).

    Args:
        rollouts: S scenes, K candidates.
        areas: of the same rollouts.
        metric: V2 does not count steps inside intersections.
    """
    distance = oncoming_distance(rollouts, areas, metric)
    worst = distance.amax(-1)
    value = torch.where(worst < COMPLIANCE_M, 1.0, torch.where(worst < VIOLATION_M, 0.5, 0.0)).to(worst)
    return without_cause(value, first_step(distance >= COMPLIANCE_M))


def oncoming_distance(rollouts: Rollouts, areas: EgoAreas, metric: Metric) -> Tensor:
    """(S, K, 41), m, distance driven off the route's lanes in the window that ends at each step."""
    moved = torch.linalg.vector_norm(rollouts.center[..., 1:, :] - rollouts.center[..., :-1, :], dim=-1)
    counts = areas.oncoming if metric is Metric.V1 else areas.oncoming & ~areas.center_in_intersection
    moved = torch.where(counts[..., 1:], moved, torch.zeros_like(moved))
    padded = torch.nn.functional.pad(moved, (WINDOW_STEPS, 0))
    return padded.unfold(-1, WINDOW_STEPS, 1).sum(-1)
