"""What a sub-score says about each candidate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Verdict:
    """One sub-score of K candidates in S scenes.

    Attributes:
        value: (S, K), in [0, 1].
        step: (S, K) int64, step of the first infraction (time = 0.1 s * step), -1 where there is none.
        cause: (S, K) int64, row of the object or red connector that caused it in the prepared scenes, -1 where there
            is none or the infraction has no such cause.
    """

    value: Tensor
    step: Tensor
    cause: Tensor


def first_step(flag: Tensor) -> Tensor:
    """First step at which a flag is set.

    Args:
        flag: (S, K, T) bool.

    Returns:
        (S, K) int64, -1 where it is never set.
    """
    return torch.where(flag.any(-1), flag.to(torch.uint8).argmax(-1), -1)


def without_cause(value: Tensor, step: Tensor) -> Verdict:
    """A verdict that no object has caused."""
    return Verdict(value, step, torch.full_like(step, -1))


def earliest(shape: tuple[int, int], trajectory: Tensor, step: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """The earliest of several infractions of each candidate; of simultaneous ones the object with the lowest row.

    Args:
        shape: (S, K).
        trajectory: (C,) int64, flat index of scene and candidate.
        step: (C,) int64.
        row: (C,) int64, row of the object.

    Returns:
        Step and row, each (S, K) int64, -1 where there is no infraction.
    """
    never = 2**62
    code = torch.full((shape[0] * shape[1],), never, dtype=torch.int64, device=step.device)
    code = code.scatter_reduce(0, trajectory, step * 2**40 + row, "amin").reshape(shape)
    none = code == never
    return torch.where(none, -1, code // 2**40), torch.where(none, -1, code % 2**40)
