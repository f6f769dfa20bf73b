"""Who did better than their group: advantages of leaves and of the edges that led to them (paper section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor


class AdvantageScale(str, Enum):
    """What the distance from the group's mean reward is divided by."""

    STANDARD = "standard"
    """The group's standard deviation (the paper's; GRPO)."""
    FIXED = "fixed"
    """A constant, so that small differences among equally good leaves do not count like collisions (METHOD 5)."""


@dataclass(frozen=True)
class EdgeAdvantages:
    """Advantages along the paths of leaves.

    Attributes:
        advantage: (B, L, E), mean advantage of all leaves that share the edge.
        weight: (B, L, E), one over the number of leaves that share it, so that each edge counts once.
    """

    advantage: Tensor
    weight: Tensor


def group_advantages(rewards: Tensor, scale: AdvantageScale, fixed_scale: float = 0.25) -> Tensor:
    """A_i = (r_i - mean r) / scale within each group.

    Args:
        rewards: (B, G), of all leaves of a group, the reference included.
        scale: what to divide by. `STANDARD` takes the population standard deviation; a group of equal rewards gets
            zeros.
        fixed_scale: the constant of `FIXED`.

    Returns:
        (B, G).
    """
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    if scale is AdvantageScale.FIXED:
        return centred / fixed_scale
    deviation = centred.square().mean(dim=1, keepdim=True).sqrt()
    return torch.where(deviation > 1e-6, centred / deviation.clamp(min=1e-6), torch.zeros_like(centred))


def edge_advantages(advantages: Tensor, edges: Tensor) -> EdgeAdvantages:
    """Give each leaf's advantage to every edge on its path; a shared edge gets the mean (METHOD section 4).

    Args:
        advantages: (B, L), of the grown leaves.
        edges: (B, L, E) int64, number of the edge at each level.
    """
    shared = (edges.unsqueeze(2) == edges.unsqueeze(1)).to(advantages.dtype)
    count = shared.sum(2)
    total = (shared * advantages[:, None, :, None]).sum(2)
    return EdgeAdvantages(total / count, 1.0 / count)
