"""Bounded, smooth offsets along and across a reference: what the edges of the tree of trajectories mean.

Paper section 3.3 bounds the offsets per intention and adds them up recurrently, `w_t = w_{t-1} + dw_{t-1}`. Here an
edge is one second of the plan (two poses) and has two numbers: a change of speed along the reference and a lateral
shift across it. Both come in along a minimum-jerk ramp, so that plans are comfortable by construction (METHOD 4), and
the heading follows from the path.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.models.reference_path import ReferencePath
from pair_drive_core.planning.plan import Intention
from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS

STEPS_PER_EDGE = 2
"""The tree expands every second pose (paper section 3.3)."""
EDGES = PLAN_STEPS // STEPS_PER_EDGE
"""Edges from the root to a leaf."""
_MOVING_M = 0.1
"""Below this way between the neighbours of a pose the heading stays what it was."""


@dataclass(frozen=True)
class OffsetBounds:
    """What one edge of one intention may do.

    Attributes:
        along_mps: least and greatest change of speed, at `OffsetConfig.full_scale_speed_mps` and above.
        across_m: least and greatest lateral shift, left positive.
    """

    along_mps: tuple[float, float]
    across_m: tuple[float, float]


@dataclass(frozen=True)
class OffsetConfig:
    """Bounds of the five intentions and the shape of the offsets (METHOD section 4).

    Attributes:
        keep: stay near the reference.
        left: shift to the left, never to the right.
        right: shift to the right, never to the left.
        accelerate: gain speed, never lose it.
        decelerate: lose speed, never gain it.
        ramp_s: time that an edge's change takes to come in.
        max_slope: greatest lateral shift per metre along the reference.
        full_scale_speed_mps: speed of the reference from which `along_mps` counts in full.
        min_scale: share of `along_mps` that remains at standstill.
    """

    keep: OffsetBounds = field(default_factory=lambda: OffsetBounds((-0.5, 0.5), (-0.25, 0.25)))
    left: OffsetBounds = field(default_factory=lambda: OffsetBounds((-0.5, 0.5), (0.05, 1.0)))
    right: OffsetBounds = field(default_factory=lambda: OffsetBounds((-0.5, 0.5), (-1.0, -0.05)))
    accelerate: OffsetBounds = field(default_factory=lambda: OffsetBounds((0.2, 1.75), (-0.25, 0.25)))
    decelerate: OffsetBounds = field(default_factory=lambda: OffsetBounds((-3.0, -0.2), (-0.25, 0.25)))
    ramp_s: float = 2.0
    max_slope: float = 0.3
    full_scale_speed_mps: float = 8.0
    min_scale: float = 0.5

    def table(self) -> Tensor:
        """(N, 2, 2): per `Intention`, for along and across, the least and the greatest offset."""
        by_intention = {
            Intention.KEEP: self.keep,
            Intention.LEFT: self.left,
            Intention.RIGHT: self.right,
            Intention.ACCELERATE: self.accelerate,
            Intention.DECELERATE: self.decelerate,
        }
        return torch.tensor([[by_intention[i].along_mps, by_intention[i].across_m] for i in Intention])


def speed_scale(reference: Tensor, config: OffsetConfig) -> Tensor:
    """(B,): share of `along_mps` that counts, from the reference's greatest speed; references are (B, 8, 3)."""
    arc = ReferencePath.through(reference).arc_length
    fastest = arc.diff(dim=1).amax(dim=1) / PLAN_INTERVAL_S
    return (fastest / config.full_scale_speed_mps).clamp(config.min_scale, 1.0)


def apply_offsets(reference: Tensor, offsets: Tensor, config: OffsetConfig) -> Tensor:
    """Trajectories that the edges' offsets make of a reference.

    Args:
        reference: (B, 8, 3), ego frame at t0, 2 Hz; m, rad.
        offsets: (B, K, 4, 2): per edge the change of speed in m/s and the lateral shift in m (left positive). Zeros
            leave the reference as it is.
        config: ramp and greatest slope.

    Returns:
        (B, K, 8, 3), ego frame at t0; m, rad. Never backwards along the reference.
    """
    path = ReferencePath.through(reference)
    arc = torch.cat((path.arc_length, 2.0 * path.arc_length[:, -1:] - path.arc_length[:, -2:-1]), dim=1)
    position_basis, speed_basis = _ramps(config.ramp_s, offsets)
    gained = torch.einsum("bke,te->bkt", offsets[..., 0], speed_basis)
    shifted = torch.einsum("bke,te->bkt", offsets[..., 1], position_basis)
    step_along = (arc.diff(dim=1).unsqueeze(1) + gained.diff(dim=2)).clamp(min=0.0)
    reach = config.max_slope * step_along
    step_across = torch.minimum(torch.maximum(shifted.diff(dim=2), -reach), reach)
    along, across = step_along.cumsum(2), step_across.cumsum(2)
    poses = path.poses_at(along[..., :PLAN_STEPS])
    slope = _held_slope(step_along, step_across)
    normal = torch.stack((-poses[..., 2].sin(), poses[..., 2].cos()), dim=-1)
    xy = poses[..., :2] + across[..., :PLAN_STEPS, None] * normal
    heading = wrap_angle(poses[..., 2] + torch.atan(slope))
    return torch.cat((xy, heading.unsqueeze(-1)), dim=-1)


def _ramps(ramp_s: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Minimum-jerk step and its time integral for each edge at 0, 0.5, .., 4.5 s: two of (10, 4)."""
    time = torch.arange(PLAN_STEPS + 2, dtype=like.dtype, device=like.device) * PLAN_INTERVAL_S
    start = torch.arange(EDGES, dtype=like.dtype, device=like.device) * (STEPS_PER_EDGE * PLAN_INTERVAL_S)
    since = (time.unsqueeze(1) - start).clamp(min=0.0)
    u = (since / ramp_s).clamp(max=1.0)
    step = u**3 * (10.0 - 15.0 * u + 6.0 * u**2)
    integral = ramp_s * u**4 * (2.5 - 3.0 * u + u**2) + (since - ramp_s).clamp(min=0.0)
    return step, integral


def _held_slope(step_along: Tensor, step_across: Tensor) -> Tensor:
    """(B, K, 8) lateral slope at each pose from the steps before and after it; held where the vehicle stands."""
    way = step_along[..., :-1] + step_along[..., 1:]
    shift = step_across[..., :-1] + step_across[..., 1:]
    current = torch.zeros_like(way[..., 0])
    slopes: list[Tensor] = []
    for step in range(PLAN_STEPS):
        fresh = shift[..., step] / way[..., step].clamp(min=_MOVING_M)
        current = torch.where(way[..., step] > _MOVING_M, fresh, current)
        slopes.append(current)
    return torch.stack(slopes, dim=-1)
