"""The plan of last resort: stop comfortably along the path that was planned before."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pair_drive_core.geometry import Polyline, relative_se2
from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS, EgoStatus

EXTENSION_M = 200.0
"""The path is prolonged straight, so that a stop from any speed fits on it."""
APART_M = 0.5
"""Points nearer to the one before than this are left out: noise would bend the path there."""
OFF_PATH_M = 2.5
"""An old path that is farther away than this is of no use."""


def comfortable_stop(status: EgoStatus, last_path: Tensor | None, deceleration_mps2: float) -> Plan:
    """Slow down at a constant rate along the last path, or straight on where there is none.

    Args:
        status: the ego at t0.
        last_path: (P, 3), poses of the last good plan in the frame of `status.pose`; m, rad. None at the start.
        deceleration_mps2: positive.

    Returns:
        A plan with source FALLBACK and neither score nor confidence.
    """
    path = _path_ahead(status, last_path)
    speed = max(float(status.velocity[0]), 0.0)
    time = torch.arange(1, PLAN_STEPS + 1, dtype=torch.float64) * PLAN_INTERVAL_S
    time = time.clamp(max=speed / deceleration_mps2)
    distance = speed * time - 0.5 * deceleration_mps2 * time * time
    return Plan(path.interpolate(distance).float(), PlanSource.FALLBACK, math.nan, math.nan)


def _path_ahead(status: EgoStatus, last_path: Tensor | None) -> Polyline:
    """The last path from the ego on, in the ego frame at t0."""
    points = torch.zeros(1, 2, dtype=torch.float64)
    if last_path is not None and last_path.shape[0] >= 2:
        local = relative_se2(torch.as_tensor(status.pose, dtype=torch.float64), last_path.to(torch.float64))[:, :2]
        nearest = int(local.norm(dim=-1).argmin())
        if float(local[nearest].norm()) <= OFF_PATH_M or float(local[nearest, 0]) > 0:
            points = _apart(torch.cat((points, local[nearest:][local[nearest:, 0] > 0])))
    direction = points[-1] - points[-2] if points.shape[0] >= 2 else points.new_tensor([1.0, 0.0])
    end = points[-1] + direction / direction.norm().clamp(min=1e-6) * EXTENSION_M
    return Polyline.from_points(torch.cat((points, end.unsqueeze(0))))


def _apart(points: Tensor) -> Tensor:
    """The points that are `APART_M` or more from the one kept before."""
    kept = [points[0]]
    for point in points[1:]:
        if float((point - kept[-1]).norm()) >= APART_M:
            kept.append(point)
    return torch.stack(kept)
