"""The tree of trajectories and the distribution over its edges (paper section 3.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TrajectoryTree:
    """Trees grown around B references; the reference itself is leaf 0, followed by L = G - 1 grown leaves.

    Attributes:
        reference: (B, 8, 3), ego frame at t0; m, rad.
        grown: (B, L, 8, 3), the grown leaves.
        intentions: (B, L, 4) int64, `Intention` of each edge from the root to the leaf.
        latents: (B, L, 4, 2), the unbounded numbers that were drawn for each edge (along, across).
        offsets: (B, L, 4, 2), what they mean: change of speed in m/s, lateral shift in m.
        edges: (B, L, 4) int64, which edge of its level a leaf's path uses; leaves that share an edge share its number.
        log_prob: (B, L), cumulative log-probability of the intentions under the policy that grew the trees.
    """

    reference: Tensor
    grown: Tensor
    intentions: Tensor
    latents: Tensor
    offsets: Tensor
    edges: Tensor
    log_prob: Tensor

    @property
    def leaves(self) -> Tensor:
        """(B, G, 8, 3): the reference and the grown leaves."""
        return torch.cat((self.reference.unsqueeze(1), self.grown), dim=1)

    def __getitem__(self, index: Tensor | slice) -> TrajectoryTree:
        """The trees of some of the moments."""
        return TrajectoryTree(
            self.reference[index],
            self.grown[index],
            self.intentions[index],
            self.latents[index],
            self.offsets[index],
            self.edges[index],
            self.log_prob[index],
        )


@dataclass(frozen=True)
class EdgeDistribution:
    """The policy at the edges of the grown leaves: an intention, then a normal distribution of its latents.

    Attributes:
        log_intention: (..., N), log-probability of each intention at the node that the edge leaves.
        mean: (..., 2), of the latents of the intention that the edge took.
        std: (..., 2), likewise.
    """

    log_intention: Tensor
    mean: Tensor
    std: Tensor

    def log_prob(self, intentions: Tensor, latents: Tensor) -> Tensor:
        """Log-probability (density) of edges.

        Args:
            intentions: (...) int64.
            latents: (..., 2).

        Returns:
            (...).
        """
        chosen = self.log_intention.gather(-1, intentions.unsqueeze(-1)).squeeze(-1)
        standard = (latents - self.mean) / self.std
        density = -0.5 * standard**2 - self.std.log() - 0.5 * math.log(2.0 * math.pi)
        return chosen + density.sum(-1)

    def kl_from(self, previous: EdgeDistribution) -> Tensor:
        """KL(previous || this) per edge: of the intentions exactly, of the latents for the intention taken.

        Returns:
            (...), nats, >= 0.
        """
        intention = (previous.log_intention.exp() * (previous.log_intention - self.log_intention)).sum(-1)
        variance, before = self.std**2, previous.std**2
        gap = (self.mean - previous.mean) ** 2
        latent = (self.std / previous.std).log() + (before + gap) / (2.0 * variance) - 0.5
        return intention + latent.sum(-1)

    def detach(self) -> EdgeDistribution:
        """The same without gradients."""
        return EdgeDistribution(self.log_intention.detach(), self.mean.detach(), self.std.detach())

    def __getitem__(self, index: Tensor | slice) -> EdgeDistribution:
        """The distribution of some of the moments."""
        return EdgeDistribution(self.log_intention[index], self.mean[index], self.std[index])
