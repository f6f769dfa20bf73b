"""TLC: no part of the vehicle on a connector that shows red (official `_calculate_traffic_light_compliance`)."""

from __future__ import annotations

import torch
from torch import Tensor

from pair_drive_core.scoring.polygon_index import PolygonIndex
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.ragged import expand
from pair_drive_core.scoring.rollouts import Rollouts
from pair_drive_core.scoring.verdict import Verdict, earliest


def traffic_light_compliance(rollouts: Rollouts, prepared: PreparedScenes, index: PolygonIndex) -> Verdict:
    """0 where the vehicle's box touches a red connector at any step (also when it stands there from t0 on), else 1.

    Args:
        rollouts: S scenes, K candidates.
        prepared: the scenes' red lights.
        index: of the connectors' polygons.
    """
    scenes, candidates, steps = rollouts.shape
    scene = torch.arange(scenes, device=rollouts.speed.device).repeat_interleave(candidates)
    trajectory, row = expand(prepared.red_offsets[:-1][scene], prepared.red_offsets.diff()[scene])
    low = rollouts.corners.amin(-2).reshape(-1, steps, 2)[trajectory]
    high = rollouts.corners.amax(-2).reshape(-1, steps, 2)[trajectory]
    near = ((low <= index.high[row][:, None]) & (high >= index.low[row][:, None])).all(-1) & prepared.red_on[row]
    pair, step = near.nonzero(as_tuple=True)
    trajectory, row = trajectory[pair], row[pair]
    touch = _box_touches_polygon(rollouts, prepared, index, trajectory * steps + step, row)
    first, cause = earliest((scenes, candidates), trajectory[touch], step[touch], row[touch])
    return Verdict((first < 0).to(prepared.dtype), first, cause)


def _box_touches_polygon(
    rollouts: Rollouts, prepared: PreparedScenes, index: PolygonIndex, place: Tensor, row: Tensor
) -> Tensor:
    """(Q,) bool: an edge touches the box, or the polygon contains the box's centre."""
    center = rollouts.center.reshape(-1, 2)[place]
    touch = index.contains(center[:, None, :], row)[:, 0]
    ring_start = prepared.red_ring_offsets[:-1]
    count = prepared.red_ring_offsets.diff()
    query, vertex = expand(ring_start[row], torch.where(count >= 3, count, 0)[row])
    ring = row[query]
    following = torch.where(vertex + 1 < prepared.red_ring_offsets[ring + 1], vertex + 1, ring_start[ring])
    cos, sin = rollouts.cos.reshape(-1)[place[query]], rollouts.sin.reshape(-1)[place[query]]
    start = _turn_back(prepared.red_points[vertex] - center[query], cos, sin)
    end = _turn_back(prepared.red_points[following] - center[query], cos, sin)
    hit = _segment_touches_box(start, end, rollouts.half_length_m, rollouts.half_width_m)
    touch[query[hit]] = True
    return touch


def _segment_touches_box(start: Tensor, end: Tensor, half_length_m: float, half_width_m: float) -> Tensor:
    """Separating-axis test of segments (Q, 2) against a rectangle around the origin; touching counts."""
    middle, half = (start + end) / 2.0, (end - start) / 2.0
    across = (middle[:, 0] * half[:, 1] - middle[:, 1] * half[:, 0]).abs()
    return (
        (middle[:, 0].abs() <= half_length_m + half[:, 0].abs())
        & (middle[:, 1].abs() <= half_width_m + half[:, 1].abs())
        & (across <= half_length_m * half[:, 1].abs() + half_width_m * half[:, 0].abs())
    )


def _turn_back(vector: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return torch.stack((cos * vector[:, 0] + sin * vector[:, 1], cos * vector[:, 1] - sin * vector[:, 0]), dim=-1)
