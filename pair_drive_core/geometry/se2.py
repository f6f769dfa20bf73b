"""Planar rigid transforms.

A pose is the last axis (x, y, heading) in m, m, rad. `dst_SE2_src` maps coordinates of frame `src` into frame `dst`
and equals the pose of `src` seen in `dst`. All functions broadcast over the leading axes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pair_drive_core.geometry.angles import wrap_angle


def rotate_points(points: Tensor, heading: Tensor) -> Tensor:
    """Rotate points about the origin.

    Args:
        points: (..., 2), m.
        heading: (...), rad, broadcast against the leading axes of `points`.

    Returns:
        (..., 2), m.
    """
    cos, sin = torch.cos(heading), torch.sin(heading)
    x, y = points[..., 0], points[..., 1]
    return torch.stack((cos * x - sin * y, sin * x + cos * y), dim=-1)


def transform_points(dst_se2_src: Tensor, points_src: Tensor) -> Tensor:
    """Map points of frame `src` into frame `dst`.

    Args:
        dst_se2_src: (..., 3), pose of `src` in `dst`.
        points_src: (..., 2), m, in `src`.

    Returns:
        (..., 2), m, in `dst`.
    """
    return rotate_points(points_src, dst_se2_src[..., 2]) + dst_se2_src[..., :2]


def compose_se2(a_se2_b: Tensor, b_se2_c: Tensor) -> Tensor:
    """Chain two transforms: `a_SE2_c = a_SE2_b * b_SE2_c`.

    Args:
        a_se2_b: (..., 3).
        b_se2_c: (..., 3).

    Returns:
        (..., 3), heading wrapped to [-pi, pi).
    """
    xy = transform_points(a_se2_b, b_se2_c[..., :2])
    heading = wrap_angle(a_se2_b[..., 2] + b_se2_c[..., 2])
    return torch.cat((xy, heading.unsqueeze(-1)), dim=-1)


def inverse_se2(a_se2_b: Tensor) -> Tensor:
    """Invert a transform.

    Args:
        a_se2_b: (..., 3).

    Returns:
        `b_SE2_a`, (..., 3).
    """
    heading = -a_se2_b[..., 2]
    xy = rotate_points(-a_se2_b[..., :2], heading)
    return torch.cat((xy, wrap_angle(heading).unsqueeze(-1)), dim=-1)


def relative_se2(world_se2_ref: Tensor, world_se2_pose: Tensor) -> Tensor:
    """Express poses of the world frame in a reference frame: `ref_SE2_pose`.

    The translation is subtracted before anything is rotated, so UTM-sized coordinates lose nothing.

    Args:
        world_se2_ref: (..., 3).
        world_se2_pose: (..., 3).

    Returns:
        (..., 3), heading wrapped to [-pi, pi).
    """
    xy = rotate_points(world_se2_pose[..., :2] - world_se2_ref[..., :2], -world_se2_ref[..., 2])
    heading = wrap_angle(world_se2_pose[..., 2] - world_se2_ref[..., 2])
    return torch.cat((xy, heading.unsqueeze(-1)), dim=-1)
