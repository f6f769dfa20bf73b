"""Chance around a deterministic plan: what lets GRPO train a policy that plans one trajectory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.models.bounds import POSITIVE, Bound
from pair_drive_core.scene import PLAN_STEPS

_MOVING_M = 0.1
"""A step shorter than this has no direction: its pose keeps the plan's heading."""


@dataclass(frozen=True)
class StochasticPlanConfig:
    """A normal distribution over smooth departures from a plan.

    Attributes:
        along_m: standard deviation of each of the two coefficients along x, m at the end of the plan.
        across_m: likewise along y.
    """

    along_m: float = 2.0
    across_m: float = 0.6

    BOUNDS: ClassVar[Mapping[str, Bound]] = {"along_m": POSITIVE, "across_m": POSITIVE}


@dataclass(frozen=True)
class PlanDraw:
    """Trajectories drawn around plans.

    Attributes:
        trajectories: (B, K, 8, 3), ego frame at t0; m, rad.
        plans: (B, 8, 3), that they were drawn around.
        coefficients: (B, K, 2, 2), of the departure: two of time, along x and y; m at the end of the plan.
    """

    trajectories: Tensor
    plans: Tensor
    coefficients: Tensor


@dataclass(frozen=True)
class PlanDistribution:
    """The present plans as a distribution over what was drawn around earlier ones.

    Attributes:
        mean: (B, 2, 2), the present plans' departure from the earlier ones, in coefficients.
        std: (2,), along x and y.
    """

    mean: Tensor
    std: Tensor

    def log_prob(self, draw: PlanDraw) -> Tensor:
        """(B, K, 1): log-density of the trajectories drawn."""
        standard = (draw.coefficients - self.mean.unsqueeze(1)) / self.std
        density = -0.5 * standard.square() - self.std.log() - 0.5 * math.log(2.0 * math.pi)
        return density.sum((-2, -1)).unsqueeze(-1)

    def kl_from(self, previous: PlanDistribution) -> Tensor:
        """(B, 1, 1): KL(previous || this), nats; both have one deviation."""
        gap = (self.mean - previous.mean) / self.std
        return 0.5 * gap.square().sum((-2, -1)).reshape(-1, 1, 1)

    def detach(self) -> PlanDistribution:
        """The same without gradients."""
        return PlanDistribution(self.mean.detach(), self.std)


class StochasticPlan:
    """Draws around plans, and tells how probable a draw is under other plans.

    A departure is c2 (t/T)^2 + c3 (t/T)^3 in x and y: it starts with neither a jump nor a kink.
    """

    def __init__(self, config: StochasticPlanConfig | None = None) -> None:
        self.config = config or StochasticPlanConfig()
        time = torch.arange(1, PLAN_STEPS + 1) / PLAN_STEPS
        self._basis = torch.stack((time**2, time**3), dim=1)
        self._fit = torch.linalg.pinv(self._basis)
        self._std = torch.tensor([self.config.along_m, self.config.across_m])

    @property
    def std(self) -> Tensor:
        """(2,): of each coefficient along x and y, m."""
        return self._std

    @torch.no_grad()
    def sample(self, plans: Tensor, count: int, generator: torch.Generator) -> PlanDraw:
        """Draw `count` trajectories around each of B plans, (B, 8, 3)."""
        coefficients = self.coefficients((plans.shape[0], count), plans, generator)
        return PlanDraw(self.depart(plans.unsqueeze(1), coefficients), plans, coefficients)

    def coefficients(self, shape: tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
        """(*shape, 2, 2): of random departures."""
        return self._std.to(like) * torch.randn((*shape, 2, 2), generator=generator).to(like)

    def depart(self, plans: Tensor, coefficients: Tensor) -> Tensor:
        """(..., 8, 3): departures, (..., 2, 2), from plans, (..., 8, 3); headings turn with the path."""
        position = plans[..., :2] + self._basis.to(plans) @ coefficients
        before = plans[..., :2].expand_as(position)
        turn = _directions(position) - _directions(before)
        moving = (_steps(position).norm(dim=-1) > _MOVING_M) & (_steps(before).norm(dim=-1) > _MOVING_M)
        heading = wrap_angle(plans[..., 2] + torch.where(moving, turn, torch.zeros_like(turn)))
        return torch.cat((position, heading.unsqueeze(-1)), dim=-1)

    def between(self, plans: Tensor, others: Tensor) -> Tensor:
        """(..., 2, 2): coefficients of the departure of (..., 8, 2 or 3) from others that is nearest to theirs."""
        gap = plans[..., :2] - others[..., :2]
        found: Tensor = self._fit.to(gap) @ gap
        return found

    def distribution(self, plans: Tensor, draw: PlanDraw) -> PlanDistribution:
        """What plans, (B, 8, 3), make of a draw, with gradients."""
        return PlanDistribution(self.between(plans, draw.plans), self._std.to(plans))


def _steps(position: Tensor) -> Tensor:
    """(..., 8, 2): the way to each pose from the one before, the first from the origin."""
    return torch.diff(position, dim=-2, prepend=torch.zeros_like(position[..., :1, :]))


def _directions(position: Tensor) -> Tensor:
    """(..., 8): where each step goes, rad."""
    step = _steps(position)
    return torch.atan2(step[..., 1], step[..., 0])
