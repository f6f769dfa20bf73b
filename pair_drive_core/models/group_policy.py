"""What GRPO can train: a policy that draws groups of trajectories and tells how probable its decisions were.

The tree sampler (`tree_groups`), chance around a plan (`plan_groups`) and a denoising chain (`denoising_groups`) are
such policies; the objective (`training/grpo.py`) and the loop around it know nothing else of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from pair_drive_core.models.features import Features

DrawT = TypeVar("DrawT", bound="Draw")
DecisionsT = TypeVar("DecisionsT", bound="Decisions")
PresentT = TypeVar("PresentT", bound="Decisions", covariant=True)
SelfT = TypeVar("SelfT", bound="Decisions")


@dataclass(frozen=True)
class Moments:
    """B moments in which trajectories are drawn.

    Attributes:
        features: network inputs.
        reference: (B, 8, 3), what a policy that departs from a trajectory departs from; others do not look at it.
    """

    features: Features
    reference: Tensor


class Draw(Protocol):
    """Groups of G trajectories: one that is given, then the L = G - 1 that were drawn, each by E decisions."""

    @property
    def leaves(self) -> Tensor:
        """(B, G, 8, 3), ego frame at t0; m, rad."""
        ...

    @property
    def numbers(self) -> Tensor:
        """(B, L, E) int64: which of the decisions of its place each was; shared ones have one number."""
        ...

    @property
    def families(self) -> Tensor:
        """(B, G) int64: leaves of one number are alike enough to be compared with each other alone."""
        ...


class Decisions(Protocol):
    """A policy at the decisions of a draw; (B, L, E) each."""

    def log_prob(self) -> Tensor:
        """Log-probability (density) of what was decided."""
        ...

    def kl_from(self: SelfT, previous: SelfT) -> Tensor:
        """KL(previous || this), nats."""
        ...

    def entropy(self) -> Tensor:
        """Of the choices that can collapse, nats; 0 where there are none."""
        ...

    def detach(self: SelfT) -> SelfT:
        """The same without gradients."""
        ...


class GroupPolicy(Protocol[DrawT, PresentT]):
    """Samples, and judges what was sampled earlier."""

    def sample(self, moments: Moments, generator: torch.Generator) -> DrawT:
        """Draw a group in each moment, without gradients."""
        ...

    def decisions(self, moments: Moments, draw: DrawT) -> PresentT:
        """The present policy at the decisions of a draw of the same moments, with gradients."""
        ...
