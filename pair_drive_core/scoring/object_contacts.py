"""When the vehicle's box first touches each object, now or in a constant-velocity projection."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.ragged import expand
from pair_drive_core.scoring.rollouts import Rollouts

_AHEAD_COS = math.cos(math.radians(30.0))
_BEHIND_COS = math.cos(math.radians(150.0))
_NEVER = 2**31 - 1


@dataclass(frozen=True)
class Contacts:
    """First contacts of rollouts with objects, C of them.

    Attributes:
        trajectory: (C,) int64, flat index of scene and candidate.
        object_row: (C,) int64, row in the prepared scenes' objects.
        step: (C,) int64, step of the rollout.
        look_ahead: (C,) int64, steps that the vehicle's box is projected ahead; the object is that of
            `step + look_ahead`.
    """

    trajectory: Tensor
    object_row: Tensor
    step: Tensor
    look_ahead: Tensor


def first_contacts(
    rollouts: Rollouts, prepared: PreparedScenes, steps: int, look_ahead: tuple[int, ...], min_speed_mps: float
) -> Contacts:
    """First step at which boxes touch, and at that step the shortest projection; touching counts.

    Args:
        rollouts: S scenes, K candidates.
        prepared: the scenes' objects.
        steps: rollout steps to look at, from t0 on.
        look_ahead: projections, in steps of 0.1 s, ascending: the box is moved along the heading by speed times time.
        min_speed_mps: steps slower than this are left out.
    """
    scenes, candidates, _ = rollouts.shape
    trajectory, row = _same_region(rollouts, prepared, steps, look_ahead)
    code = torch.full((trajectory.shape[0],), _NEVER, dtype=torch.int64, device=row.device)
    flat = scenes * candidates
    center, speed = rollouts.center.reshape(flat, -1, 2), rollouts.speed.reshape(flat, -1)
    direction = torch.stack((rollouts.cos, rollouts.sin), dim=-1).reshape(flat, -1, 2)
    moving = speed[:, :steps] >= min_speed_mps
    size = prepared.object_size[row]
    reach = torch.linalg.vector_norm(size, dim=-1) / 2.0 + math.hypot(rollouts.half_length_m, rollouts.half_width_m)
    for slot, ahead in enumerate(look_ahead):
        shifted = center[:, :steps] + direction[:, :steps] * (speed[:, :steps, None] * (ahead * 0.1))
        states = prepared.object_states[row, ahead : ahead + steps]
        offset = states[..., :2] - shifted[trajectory]
        near = (offset * offset).sum(-1) <= (reach * reach)[:, None] * (1.0 + 1e-5)
        near &= prepared.object_present[row, ahead : ahead + steps] & moving[trajectory]
        pair, step = near.nonzero(as_tuple=True)
        touch = boxes_touch(
            offset[pair, step],
            direction[trajectory[pair], step],
            (rollouts.half_length_m, rollouts.half_width_m),
            states[pair, step, 2],
            size[pair] / 2.0,
        )
        pair, step = pair[touch], step[touch]
        code = code.scatter_reduce(0, pair, step * len(look_ahead) + slot, "amin")
    found = (code < _NEVER).nonzero()[:, 0]
    code = code[found]
    ahead_steps = torch.tensor(look_ahead, dtype=torch.int64, device=row.device)
    return Contacts(trajectory[found], row[found], code // len(look_ahead), ahead_steps[code % len(look_ahead)])


def boxes_touch(
    offset: Tensor, direction: Tensor, half_size: tuple[float, float], heading: Tensor, other_half_size: Tensor
) -> Tensor:
    """Separating-axis test of two rectangles; touching counts.

    Args:
        offset: (Q, 2), from the first centre to the other one, m.
        direction: (Q, 2), unit vector of the first one's heading.
        half_size: half length and half width of the first one, m.
        heading: (Q,), of the other one, rad.
        other_half_size: (Q, 2), half length and half width of the other one, m.

    Returns:
        (Q,) bool.
    """
    other = torch.stack((heading.cos(), heading.sin()), dim=-1)
    cos = (direction * other).sum(-1).abs()
    sin = _cross(direction, other).abs()
    half_length, half_width = half_size
    other_length, other_width = other_half_size[..., 0], other_half_size[..., 1]
    return (
        ((offset * direction).sum(-1).abs() <= half_length + other_length * cos + other_width * sin)
        & (_cross(direction, offset).abs() <= half_width + other_length * sin + other_width * cos)
        & ((offset * other).sum(-1).abs() <= other_length + half_length * cos + half_width * sin)
        & (_cross(other, offset).abs() <= other_width + half_length * sin + half_width * cos)
    )


def front_edge_touches(
    offset: Tensor, direction: Tensor, half_size: tuple[float, float], heading: Tensor, other_half_size: Tensor
) -> Tensor:
    """Whether the first rectangle's front edge touches the other rectangle; arguments as in `boxes_touch`."""
    half_length, half_width = half_size
    return boxes_touch(offset - direction * half_length, direction, (0.0, half_width), heading, other_half_size)


def bearings(rollouts: Rollouts, prepared: PreparedScenes, contacts: Contacts) -> tuple[Tensor, Tensor]:
    """Whether objects are ahead of the rear axle (less than 30 degrees off the heading) or behind it (more than 150).

    Args:
        rollouts: the rollouts that the contacts index.
        prepared: the scenes' objects.
        contacts: C contacts.

    Returns:
        `ahead` (C,) and `behind` (C,), bool; an object centred on the axle is neither.
    """
    flat = rollouts.speed.reshape(-1, rollouts.shape[2]).shape[0]
    states = rollouts.states.reshape(flat, rollouts.shape[2], -1)[contacts.trajectory, contacts.step]
    center = prepared.object_states[contacts.object_row, contacts.step + contacts.look_ahead, :2]
    offset = center - states[:, :2]
    along = offset[:, 0] * states[:, 2].cos() + offset[:, 1] * states[:, 2].sin()
    distance = torch.linalg.vector_norm(offset, dim=-1)
    return along > _AHEAD_COS * distance, along < _BEHIND_COS * distance


def _same_region(
    rollouts: Rollouts, prepared: PreparedScenes, steps: int, look_ahead: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Pairs of a trajectory and an object of its scene whose swept bounding boxes meet."""
    scenes, candidates, _ = rollouts.shape
    radius_m = math.hypot(rollouts.half_length_m, rollouts.half_width_m)
    margin = radius_m + (rollouts.speed[:, :, :steps] * (look_ahead[-1] * 0.1)).amax(-1).reshape(-1, 1)
    low = rollouts.center[:, :, :steps].amin(2).reshape(-1, 2) - margin
    high = rollouts.center[:, :, :steps].amax(2).reshape(-1, 2) + margin
    states, present = prepared.object_states[..., :2], prepared.object_present[..., None]
    radius = torch.linalg.vector_norm(prepared.object_size, dim=-1, keepdim=True) / 2.0
    object_low = states.masked_fill(~present, torch.inf).amin(1) - radius
    object_high = states.masked_fill(~present, -torch.inf).amax(1) + radius
    scene = torch.arange(scenes, device=low.device).repeat_interleave(candidates)
    trajectory, row = expand(prepared.object_offsets[:-1][scene], prepared.object_offsets.diff()[scene])
    meets = (low[trajectory] <= object_high[row]) & (high[trajectory] >= object_low[row])
    keep = meets.all(-1)
    return trajectory[keep], row[keep]


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
