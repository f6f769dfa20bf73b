"""Plans as 10 Hz reference poses for the tracker."""

from __future__ import annotations

import torch
from torch import Tensor

from pair_drive_core.geometry import rotate_points, wrap_angle


def interpolate_plans(
    plans: Tensor, start: Tensor, sample_index: Tensor, sample_weight: Tensor, origin: Tensor | None = None
) -> Tensor:
    """Interpolate plans linearly at the official sample times (`transform_trajectory`, `get_trajectory_as_array`).

    The official code interpolates in map coordinates, where float64 has steps of up to 1e-9 m. For a plan that turns
    on the spot the tracker divides by displacements of that size, so its rollout hangs on this rounding: with `origin`
    given (float64 only) the poses are rounded to the same steps.

    Args:
        plans: (S, K, P, 3), poses of the rear axle in the ego frame at t0, without the start pose; m, rad.
        start: (S, 3), ego pose at t0 in the scene's local frame.
        sample_index: (S, 41) int64, knot before each sample, 0 = start pose (see `plan_sampling`).
        sample_weight: (S, 41), in [0, 1].
        origin: (S, 2) float64, global position of the local frame's origin.

    Returns:
        (S, K, 41, 3), poses in the local frame, heading in [-pi, pi).
    """
    scenes, candidates = plans.shape[:2]
    heading = start[:, None, None, 2]
    xy = rotate_points(plans[..., :2], heading) + start[:, None, None, :2]
    shift = None if origin is None or plans.dtype != torch.float64 else origin[:, None, None, :]
    if shift is not None:
        xy = (xy + shift) - shift
    first = start[:, None, None, :].expand(scenes, candidates, 1, 3)
    knots = torch.cat((first, torch.cat((xy, (plans[..., 2] + heading).unsqueeze(-1)), dim=-1)), dim=2)
    turn = wrap_angle(knots[..., 1:, 2] - knots[..., :-1, 2])
    headings = torch.cat((knots[..., :1, 2], knots[..., :1, 2] + turn.cumsum(-1)), dim=-1)
    knots = torch.cat((knots[..., :2], headings.unsqueeze(-1)), dim=-1)
    index = sample_index[:, None, :, None].expand(scenes, candidates, -1, 3)
    low, high = knots.gather(2, index), knots.gather(2, index + 1)
    poses = low + sample_weight[:, None, :, None].to(low) * (high - low)
    xy = poses[..., :2] if shift is None else (poses[..., :2] + shift) - shift
    return torch.cat((xy, wrap_angle(poses[..., 2:])), dim=-1)
