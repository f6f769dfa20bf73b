"""Plans of last resort: stop along the path that was planned before, where there is one that can be joined."""

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
OFF_PATH_M = 1.5
"""A path that the ego is farther away from than this is not followed: getting there would be a manoeuvre of its own."""
OFF_HEADING_RAD = 0.35
"""Nor is one that runs in another direction than the ego, 20 degrees."""
JOIN_S, JOIN_M = 2.5, 6.0
"""Distance over which the ego comes back to the path: so much driving, at least so far."""


def stop_plan(status: EgoStatus, last_path: Tensor | None, deceleration_mps2: float) -> Plan:
    """Slow down at a constant rate along the last path, or straight on where there is none that can be joined.

    Args:
        status: the ego at t0.
        last_path: (P, 3), poses of the last good plan in the frame of `status.pose`; m, rad. None at the start.
        deceleration_mps2: positive.

    Returns:
        A plan with source FALLBACK and neither score nor confidence.
    """
    path = path_ahead(status, last_path)
    speed = max(float(status.velocity[0]), 0.0)
    time = torch.arange(1, PLAN_STEPS + 1, dtype=torch.float64) * PLAN_INTERVAL_S
    time = time.clamp(max=speed / deceleration_mps2)
    distance = speed * time - 0.5 * deceleration_mps2 * time * time
    return Plan(path.interpolate(distance).float(), PlanSource.FALLBACK, math.nan, math.nan)


def path_ahead(status: EgoStatus, last_path: Tensor | None) -> Polyline:
    """The last path from the ego on, in the ego frame at t0; straight on where it cannot be joined."""
    straight = Polyline.from_points(torch.tensor([[0.0, 0.0], [EXTENSION_M, 0.0]], dtype=torch.float64))
    if last_path is None or last_path.shape[0] < 2:
        return straight
    local = relative_se2(torch.as_tensor(status.pose, dtype=torch.float64), last_path.to(torch.float64))[:, :2]
    points = apart(local)
    if points.shape[0] < 2:
        return straight
    path = Polyline.from_points(points)
    along = path.project(points.new_zeros(2))
    nearest = path.interpolate(along)
    beyond_end = float(along) >= path.length_m - APART_M
    if beyond_end or float(nearest[:2].norm()) > OFF_PATH_M or abs(float(nearest[2])) > OFF_HEADING_RAD:
        return straight
    join_m = max(JOIN_S * max(float(status.velocity[0]), 0.0), JOIN_M)
    ahead = torch.arange(APART_M, path.length_m - float(along), APART_M, dtype=torch.float64)
    poses = path.interpolate(along + ahead)
    # What the ego is off the path now, in place and direction, fades away along a curve without a kink at either end.
    left = (1.0 - ahead / join_m).clamp(min=0.0)
    fading = (left * left * (3.0 - 2.0 * left)).unsqueeze(-1)
    off = nearest[:2] + ahead.unsqueeze(-1) * torch.stack((nearest[2].cos() - 1.0, nearest[2].sin()))
    joined = torch.cat((points.new_zeros(1, 2), poses[:, :2] - fading * off))
    return prolonged(apart(joined))


def prolonged(points: Tensor) -> Polyline:
    """The points and a straight line after the last of them."""
    direction = points[-1] - points[-2] if points.shape[0] >= 2 else points.new_tensor([1.0, 0.0])
    end = points[-1] + direction / direction.norm().clamp(min=1e-6) * EXTENSION_M
    return Polyline.from_points(torch.cat((points, end.unsqueeze(0))))


def apart(points: Tensor) -> Tensor:
    """The points that are `APART_M` or more from the one kept before."""
    kept = [points[0]]
    for point in points[1:]:
        if float((point - kept[-1]).norm()) >= APART_M:
            kept.append(point)
    return torch.stack(kept)
