"""Roots for the trees to grow from while training (METHOD section 4, root shift)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pair_drive_core.models.bounds import SHARE, Bound
from pair_drive_core.models.path_offsets import EDGES, OffsetConfig, apply_offsets, speed_scale


@dataclass(frozen=True)
class ReferenceMix:
    """Which trajectories the trees grow around; what the shares leave are imitation plans.

    Attributes:
        human: share of human trajectories (the paper's).
        perturbed_human: share of disturbed human trajectories.
        perturbed_imitation: share of disturbed imitation plans.
    """

    human: float = 0.3
    perturbed_human: float = 0.2
    perturbed_imitation: float = 0.2

    BOUNDS: ClassVar[Mapping[str, Bound]] = {"human": SHARE, "perturbed_human": SHARE, "perturbed_imitation": SHARE}

    def problems(self) -> list[str]:
        """What is wrong with the shares together."""
        total = self.human + self.perturbed_human + self.perturbed_imitation
        return [] if not total > 1.0 + 1e-9 else [f"expected reference shares of a sum of at most 1, got {total:g}"]


def random_offsets(reference: Tensor, count: int, config: OffsetConfig, generator: torch.Generator) -> Tensor:
    """Offsets of `count` leaves with intentions and offsets drawn evenly within the bounds: (B, count, 4, 2)."""
    table = config.table()
    batch = reference.shape[0]
    intention = torch.randint(table.shape[0], (batch, count, EDGES), generator=generator)
    low, high = table[intention].unbind(-1)
    offsets = low + (high - low) * torch.rand(low.shape, generator=generator)
    offsets[..., 0] *= speed_scale(reference, config).reshape(-1, 1, 1)
    return offsets


def random_leaves(reference: Tensor, count: int, config: OffsetConfig, generator: torch.Generator) -> Tensor:
    """(B, count, 8, 3): leaves of an undirected search around references (B, 8, 3)."""
    return apply_offsets(reference, random_offsets(reference, count, config, generator), config)


def draw_references(
    human: Tensor, imitation: Tensor, mix: ReferenceMix, config: OffsetConfig, generator: torch.Generator
) -> Tensor:
    """One reference a moment.

    Args:
        human: (B, 8, 3).
        imitation: (B, 8, 3), the imitation branch's plans.
        mix: shares.
        config: what a disturbance may be.
        generator: of randomness.

    Returns:
        (B, 8, 3).
    """
    kind = torch.rand(human.shape[0], generator=generator)
    edges = torch.tensor([mix.human, mix.perturbed_human, mix.perturbed_imitation]).cumsum(0)
    from_human = (kind < edges[1]).reshape(-1, 1, 1)
    base = torch.where(from_human, human, imitation)
    disturbed = ((kind >= edges[0]) & (kind < edges[2])).reshape(-1, 1, 1)
    return torch.where(disturbed, random_leaves(base, 1, config, generator)[:, 0], base)
