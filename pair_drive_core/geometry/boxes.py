"""Oriented rectangles."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pair_drive_core.geometry.angles import FloatArray
from pair_drive_core.geometry.se2 import rotate_points


def box_corners(center: Tensor, heading: Tensor, length: Tensor, width: Tensor) -> Tensor:
    """Corners of oriented rectangles.

    Args:
        center: (..., 2), m.
        heading: (...), rad, direction of `length`.
        length: (...), m.
        width: (...), m.

    Returns:
        (..., 4, 2), m, in the order front-left, rear-left, rear-right, front-right (counter-clockwise).
    """
    half = torch.stack((length, width), dim=-1) * 0.5
    signs = torch.tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]], dtype=center.dtype, device=center.device)
    local = half.unsqueeze(-2) * signs
    return rotate_points(local, heading.unsqueeze(-1)) + center.unsqueeze(-2)


def rectangle_corners(
    center: FloatArray, heading: FloatArray | float, length: FloatArray | float, width: FloatArray | float
) -> FloatArray:
    """`box_corners` in numpy.

    Args:
        center: (..., 2), m.
        heading: (...), rad, direction of `length`.
        length: (...), m.
        width: (...), m.

    Returns:
        (..., 4, 2) float64, m, in the same order.
    """
    cos, sin = np.cos(heading), np.sin(heading)
    along = np.stack((cos, sin), axis=-1) * np.expand_dims(np.asarray(length) / 2.0, -1)
    across = np.stack((-sin, cos), axis=-1) * np.expand_dims(np.asarray(width) / 2.0, -1)
    corners = np.stack((along + across, -along + across, -along - across, along - across), axis=-2)
    return np.asarray(corners + center[..., None, :], dtype=np.float64)


def boxes_intersect(corners_a: Tensor, corners_b: Tensor) -> Tensor:
    """Whether convex quadrilaterals share a point (touching counts), by the separating axis theorem.

    Args:
        corners_a: (..., 4, 2), m, rectangle corners in ring order.
        corners_b: (..., 4, 2), m, likewise; leading axes broadcast.

    Returns:
        (...) bool.
    """
    return ~(_edge_separates(corners_a, corners_b) | _edge_separates(corners_b, corners_a))


def _edge_separates(quad: Tensor, other: Tensor) -> Tensor:
    """Whether an axis along an edge of `quad` has a gap between the two."""
    axes = quad[..., 1:3, :] - quad[..., 0:2, :]
    proj_a = torch.einsum("...kd,...cd->...kc", axes, quad)
    proj_b = torch.einsum("...kd,...cd->...kc", axes, other)
    gap = (proj_a.amax(-1) < proj_b.amin(-1)) | (proj_b.amax(-1) < proj_a.amin(-1))
    return gap.any(-1)
