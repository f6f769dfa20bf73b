"""Simple polygons given as open rings."""

from __future__ import annotations

import torch
from torch import Tensor


def points_in_polygon(points: Tensor, ring: Tensor) -> Tensor:
    """Even-odd test of points against one polygon.

    Points exactly on the boundary may fall on either side; tests that need a fixed side live with their metric.

    Args:
        points: (..., 2), m.
        ring: (V, 2), m, open ring (the last vertex is not the first again), either orientation.

    Returns:
        (...) bool.
    """
    start, end = ring, ring.roll(-1, dims=0)
    px, py = points[..., 0:1], points[..., 1:2]
    crosses = (start[:, 1] > py) != (end[:, 1] > py)
    rise = end[:, 1] - start[:, 1]
    rise = torch.where(rise == 0, torch.ones_like(rise), rise)
    x_at_y = start[:, 0] + (py - start[:, 1]) / rise * (end[:, 0] - start[:, 0])
    return ((crosses & (px < x_at_y)).sum(-1) % 2) == 1
