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
from torch.nn import functional

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


class PathOffsets:
    """Offsets along and across some references; what depends on the references alone is computed once.

    Args:
        reference: (B, 8, 3), ego frame at t0, 2 Hz; m, rad.
        config: ramp and greatest slope.
    """

    def __init__(self, reference: Tensor, config: OffsetConfig) -> None:
        self._max_slope = config.max_slope
        self._path = ReferencePath.through(reference)
        arc = self._path.arc_length
        steps = arc.diff(dim=1)
        self._steps = torch.cat((steps, steps[:, -1:]), dim=1).unsqueeze(1)
        shift, way = _ramps(config.ramp_s, reference)
        self._along, self._across = way.diff(dim=0).T, shift.diff(dim=0).T
        self._fastest = steps.amax(dim=1) / PLAN_INTERVAL_S
        self._config = config

    @property
    def speed_scale(self) -> Tensor:
        """(B,): share of `along_mps` that counts, from the reference's greatest speed."""
        return (self._fastest / self._config.full_scale_speed_mps).clamp(self._config.min_scale, 1.0)

    def apply(self, offsets: Tensor) -> Tensor:
        """Trajectories that the edges' offsets make of the references; see `apply_offsets`."""
        gained, shifted = offsets[..., 0] @ self._along, offsets[..., 1] @ self._across
        step_along = (self._steps + gained).clamp(min=0.0)
        reach = self._max_slope * step_along
        step_across = torch.minimum(torch.maximum(shifted, -reach), reach)
        along, across = step_along[..., :PLAN_STEPS].cumsum(2), step_across[..., :PLAN_STEPS].cumsum(2)
        poses = self._path.poses_at(along)
        slope = _held_slope(step_along, step_across)
        heading = poses[..., 2]
        x = poses[..., 0] - across * heading.sin()
        y = poses[..., 1] + across * heading.cos()
        return torch.stack((x, y, wrap_angle(heading + torch.atan(slope))), dim=-1)


def speed_scale(reference: Tensor, config: OffsetConfig) -> Tensor:
    """(B,): share of `along_mps` that counts, from the reference's greatest speed; references are (B, 8, 3)."""
    return PathOffsets(reference, config).speed_scale


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
    return PathOffsets(reference, config).apply(offsets)


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
    fresh = shift / way.clamp(min=_MOVING_M)
    # The newest pose up to each that moves, counted from 1; 0 before the first, where the slope is none.
    number = torch.arange(1, PLAN_STEPS + 1, device=way.device)
    newest = torch.where(way > _MOVING_M, number, 0).cummax(-1).values
    return functional.pad(fresh, (1, 0)).gather(-1, newest)
