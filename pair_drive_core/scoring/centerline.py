"""Distances to and along the route's centre line."""

from __future__ import annotations

import torch
from torch import Tensor

from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.ragged import pad_ragged


def centerline_segments(prepared: PreparedScenes) -> tuple[Tensor, Tensor, Tensor]:
    """Segments of all centre lines, padded by segments of no length at the last point.

    Returns:
        `start` (S, C, 2) and `step` (S, C, 2), m; `arc_length` (S, C), m, at each start.
    """
    points, mask = pad_ragged(prepared.centerline[:, :2], prepared.centerline_offsets)
    last = prepared.centerline[prepared.centerline_offsets[1:] - 1, :2]
    points = torch.where(mask[..., None], points, last[:, None])
    step = points[:, 1:] - points[:, :-1]
    length = torch.linalg.vector_norm(step, dim=-1)
    return points[:, :-1], step, length.cumsum(-1) - length


def nearest(points: Tensor, start: Tensor, step: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Nearest point of a centre line (the first one where several are as near).

    Args:
        points: (S, P, 2), m.
        start: (S, C, 2), m.
        step: (S, C, 2), m.

    Returns:
        Squared distance (S, P), m^2; segment (S, P) int64; fraction along the segment (S, P).
    """
    squared = (step * step).sum(-1)
    scale = torch.where(squared > 0, 1.0 / squared.clamp_min(torch.finfo(squared.dtype).tiny), 0.0)
    dx = points[:, :, None, 0] - start[:, None, :, 0]
    dy = points[:, :, None, 1] - start[:, None, :, 1]
    sx, sy = step[:, None, :, 0], step[:, None, :, 1]
    along = ((dx * sx + dy * sy) * scale[:, None]).clamp(0.0, 1.0)
    distance = (dx - along * sx) ** 2 + (dy - along * sy) ** 2
    best, segment = distance.min(-1)
    return best, segment, along.gather(-1, segment[..., None])[..., 0]
