"""EP: progress along the route's centre line (official `_calculate_progress`, `_aggregate_pdm_scores`)."""

from __future__ import annotations

import torch
from torch import Tensor

from pair_drive_core.scoring.centerline import centerline_segments, nearest
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.rollouts import Rollouts

THRESHOLD_M = 5.0


def progress_along_route(rollouts: Rollouts, prepared: PreparedScenes) -> Tensor:
    """How far the box centre gets along the centre line in 4 s.

    Args:
        rollouts: S scenes, K candidates.
        prepared: the scenes' centre lines.

    Returns:
        (S, K), m, at least 0.
    """
    scenes, candidates, _ = rollouts.shape
    start, step, arc_length = centerline_segments(prepared)
    ends = torch.stack((rollouts.center[:, :, 0], rollouts.center[:, :, -1]), dim=2).reshape(scenes, -1, 2)
    _, segment, fraction = nearest(ends, start, step)
    length = torch.linalg.vector_norm(step, dim=-1)
    along = (arc_length.gather(1, segment) + fraction * length.gather(1, segment)).reshape(scenes, candidates, 2)
    gained: Tensor = along[..., 1] - along[..., 0]
    return gained.clamp_min(0.0)


def ego_progress(progress: Tensor, multiplier: Tensor, best_m: Tensor, metric: Metric) -> Tensor:
    """Progress relative to the best safe one.

    Args:
        progress: (S, K), m.
        multiplier: (S, K), product of the multiplying sub-scores.
        best_m: (S, 1) or (S, K), largest progress times multiplier among the proposals that are compared, m.
        metric: V1 multiplies the candidate's own progress by its multiplier, V2 does not.

    Returns:
        (S, K), in [0, 1]. Where nothing safe gets farther than 5 m all have 1 (in V1 0 where the multiplier is 0).
    """
    far = best_m > THRESHOLD_M
    divisor = torch.where(far, best_m, torch.ones_like(best_m))
    if metric is Metric.V1:
        return torch.where(far, progress * multiplier / divisor, (multiplier > 0).to(progress))
    return torch.where(far, (progress / divisor).clamp(0.0, 1.0), torch.ones_like(progress))
