"""Moments shown with a slower ego than they had, so that who stands learns to set off again.

A human who drives past a green light at speed says nothing about how to start there, and one who stands mostly goes on
standing: a network that copies both reads its own speed instead of the light ("copycat"). Here the same picture comes
with a lower speed, down to none, and the way that a calm driver would make along the human's path from it: never
faster at any place than the human was, so never closer to anybody in front.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.models.reference_path import ReferencePath
from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS

_VELOCITY, _ACCELERATION = slice(4, 6), slice(6, 8)
"""Places in the status vector, see `build_features`."""
_MOVING_MPS = 1.0
"""Who is slower than this at any time of the 4 s has a reason to be, which a slower ego need not have."""
_ACCELERATION_MPS2 = (1.0, 2.0)
"""Calm drivers' range; PDM-Closed has 1.5."""
_STANDING_SHARE = 0.5
"""Of the slowed moments; the others keep a random share of their speed."""
_FINE_STEPS = 10
"""Of the integration, between two poses."""


@dataclass(frozen=True)
class SlowedMoments:
    """B moments, some of them with a slower ego.

    Attributes:
        status: (B, 8).
        human: (B, 8, 3), ego frame at t0; m, rad.
        slowed: (B,) bool.
    """

    status: Tensor
    human: Tensor
    slowed: Tensor


def slow_down(status: Tensor, human: Tensor, share: float, generator: torch.Generator) -> SlowedMoments:
    """Slow some of the moments in which the human moves all the time.

    Args:
        status: (B, 8), as the features hold it: command, velocity in m/s, acceleration in m/s^2.
        human: (B, 8, 3), what the human drove.
        share: of the moments with a moving human.
        generator: source of chance; the same number of draws whatever the moments are.
    """
    batch = len(status)
    chance, kept, stands, pull = torch.rand(4, batch, generator=generator)
    speeds = _speeds(status, human)
    slowed = (chance < share) & (speeds.amin(1) > _MOVING_MPS)
    kept = torch.where(stands < _STANDING_SHARE, torch.zeros_like(kept), kept)
    low, high = _ACCELERATION_MPS2
    retimed = retime(human, speeds, kept * speeds[:, 0], low + (high - low) * pull)
    shown = status.clone()
    shown[:, _VELOCITY] *= kept.unsqueeze(1)
    shown[:, _ACCELERATION] = 0.0
    return SlowedMoments(
        torch.where(slowed[:, None], shown, status), torch.where(slowed[:, None, None], retimed, human), slowed
    )


def retime(human: Tensor, speeds: Tensor, start_mps: Tensor, acceleration_mps2: Tensor) -> Tensor:
    """The human's path driven from a lower speed: v(s, t) = min(human's speed at s, start + acceleration * t).

    Args:
        human: (B, 8, 3), ego frame at t0; m, rad.
        speeds: (B, 9), the human's speed at 0, 0.5, .., 4 s, m/s.
        start_mps: (B,), at t0.
        acceleration_mps2: (B,).

    Returns:
        (B, 8, 3), on the same path.
    """
    path = ReferencePath.through(human)
    interval = PLAN_INTERVAL_S / _FINE_STEPS
    gone = torch.zeros_like(start_mps)
    reached: list[Tensor] = []
    for step in range(PLAN_STEPS * _FINE_STEPS):
        wanted = start_mps + acceleration_mps2 * (step + 0.5) * interval
        gone = gone + interval * torch.minimum(_speed_at(path.arc_length, speeds, gone), wanted)
        if (step + 1) % _FINE_STEPS == 0:
            reached.append(gone)
    return path.poses_at(torch.minimum(torch.stack(reached, dim=1), path.arc_length[:, 1:]))


def _speeds(status: Tensor, human: Tensor) -> Tensor:
    """(B, 9): the human's speed at t0 and at each pose, m/s; inside from the way between the neighbours."""
    arc = ReferencePath.through(human).arc_length
    between = arc.diff(dim=1) / PLAN_INTERVAL_S
    inside = (between[:, 1:] + between[:, :-1]) / 2.0
    return torch.cat((status[:, _VELOCITY].norm(dim=1, keepdim=True), inside, between[:, -1:]), dim=1)


def _speed_at(arc: Tensor, speeds: Tensor, distance: Tensor) -> Tensor:
    """(B,): the human's speed where it had gone `distance`, between the poses linear in the way."""
    after = torch.searchsorted(arc.contiguous(), distance.unsqueeze(1), right=True).clamp(1, arc.shape[1] - 1)
    start, end = arc.gather(1, after - 1), arc.gather(1, after)
    share = ((distance.unsqueeze(1) - start) / (end - start).clamp(min=1e-6)).clamp(0.0, 1.0)
    speed: Tensor = torch.lerp(speeds.gather(1, after - 1), speeds.gather(1, after), share).squeeze(1)
    return speed
