"""Who did better than their group: advantages of leaves and of the edges that led to them (paper section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

EQUAL_REWARDS = 1e-6
"""Rewards of a group that differ by less are equal."""


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


def group_advantages(
    rewards: Tensor, scale: AdvantageScale, fixed_scale: float = 0.25, families: Tensor | None = None
) -> Tensor:
    """A_i = (r_i - mean r) / scale within each group, or within each family of a group.

    Args:
        rewards: (B, G), of all leaves of a group, the reference included.
        scale: what to divide by. `STANDARD` takes the population standard deviation; a group of equal rewards gets
            zeros.
        fixed_scale: the constant of `FIXED`.
        families: (B, G) int64; leaves of one number in a group are compared with each other alone.

    Returns:
        (B, G).
    """
    if families is None:
        families = torch.zeros_like(rewards, dtype=torch.int64)
    same = (families.unsqueeze(2) == families.unsqueeze(1)).to(rewards.dtype)
    same = same / same.sum(2, keepdim=True)
    centred = rewards - (same @ rewards.unsqueeze(2)).squeeze(2)
    if scale is AdvantageScale.FIXED:
        return centred / fixed_scale
    deviation = (same @ centred.square().unsqueeze(2)).squeeze(2).sqrt()
    return torch.where(
        deviation > EQUAL_REWARDS, centred / deviation.clamp(min=EQUAL_REWARDS), torch.zeros_like(centred)
    )


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
