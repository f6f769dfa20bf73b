"""Chance around plans as groups that GRPO can learn from: any policy of one trajectory, the paper's baselines."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.models.group_policy import Moments
from pair_drive_core.models.imitation_policy import ImitationPolicy
from pair_drive_core.models.stochastic_plan import PlanDistribution, PlanDraw, StochasticPlan, StochasticPlanConfig


@dataclass(frozen=True)
class PlanGroup:
    """A plan, and trajectories drawn around it.

    Attributes:
        drawn: K trajectories around each of B plans.
    """

    drawn: PlanDraw

    @property
    def leaves(self) -> Tensor:
        """(B, 1 + K, 8, 3): the plan and what was drawn."""
        return torch.cat((self.drawn.plans.unsqueeze(1), self.drawn.trajectories), dim=1)

    @property
    def numbers(self) -> Tensor:
        """(B, K, 1): each trajectory is one decision of its own."""
        batch, count = self.drawn.trajectories.shape[:2]
        return torch.arange(count, device=self.drawn.plans.device).expand(batch, -1).unsqueeze(-1)

    @property
    def families(self) -> Tensor:
        """(B, 1 + K): all alike."""
        return torch.zeros_like(self.leaves[..., 0, 0], dtype=torch.int64)


@dataclass(frozen=True)
class PlanDecisions:
    """The present plans' view of what was drawn.

    Attributes:
        policy: the distribution.
        drawn: from an earlier one.
    """

    policy: PlanDistribution
    drawn: PlanDraw

    def log_prob(self) -> Tensor:
        """(B, K, 1)."""
        return self.policy.log_prob(self.drawn)

    def kl_from(self, previous: PlanDecisions) -> Tensor:
        """(B, K, 1): the same for all that was drawn around a plan."""
        return self.policy.kl_from(previous.policy).expand(-1, self.drawn.trajectories.shape[1], -1)

    def entropy(self) -> Tensor:
        """(B, K, 1): zeros; the deviation does not learn, so nothing can collapse."""
        return torch.zeros_like(self.drawn.coefficients[..., 0, :1])

    def detach(self) -> PlanDecisions:
        """See `Decisions`."""
        return PlanDecisions(self.policy.detach(), self.drawn)


class PlanGroups:
    """An imitation policy as a policy of groups.

    Args:
        network: in evaluation mode; plans.
        group_size: trajectories G, the plan included.
        spread: how they are drawn.
    """

    def __init__(self, network: ImitationPolicy, group_size: int, spread: StochasticPlanConfig) -> None:
        self.network, self.group_size, self.around = network, group_size, StochasticPlan(spread)

    @torch.no_grad()
    def sample(self, moments: Moments, generator: torch.Generator) -> PlanGroup:
        """See `GroupPolicy`."""
        return PlanGroup(self.around.sample(self.network(moments.features), self.group_size - 1, generator))

    def decisions(self, moments: Moments, draw: PlanGroup) -> PlanDecisions:
        """See `GroupPolicy`."""
        return PlanDecisions(self.around.distribution(self.network(moments.features), draw.drawn), draw.drawn)
