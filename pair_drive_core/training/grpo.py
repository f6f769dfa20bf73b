"""Group-relative policy optimisation (paper section 3.3, after Shao et al. 2024) of any policy of groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from pair_drive_core.models.bounds import AT_LEAST_ZERO, POSITIVE, Bound
from pair_drive_core.models.group_policy import DecisionsT, Draw
from pair_drive_core.training.advantages import (
    EQUAL_REWARDS,
    AdvantageScale,
    EdgeAdvantages,
    edge_advantages,
    group_advantages,
)


@dataclass(frozen=True)
class KlConfig:
    """How the weight of the divergence from the previous policy adapts (METHOD section 4).

    Attributes:
        initial_beta: weight at the start.
        target: nats per edge that an update should move the policy.
        factor: beta grows by it above `target` * `factor`, shrinks by it below `target` / `factor`.
        min_beta: beta stays above it.
        max_beta: beta stays below it.
    """

    initial_beta: float = 0.05
    target: float = 0.02
    factor: float = 1.5
    min_beta: float = 1e-3
    max_beta: float = 10.0

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "initial_beta": AT_LEAST_ZERO,
        "target": POSITIVE,
        "factor": Bound(1.0, open_low=True),
        "min_beta": AT_LEAST_ZERO,
        "max_beta": AT_LEAST_ZERO,
    }

    def problems(self) -> list[str]:
        """What is wrong with the weights together."""
        if self.min_beta <= self.initial_beta <= self.max_beta:
            return []
        order = f"{self.min_beta:g}, {self.initial_beta:g}, {self.max_beta:g}"
        return [f"expected min_beta <= initial_beta <= max_beta, got {order}"]


@dataclass(frozen=True)
class GrpoConfig:
    """The objective.

    Attributes:
        clip: epsilon of the clipped ratio.
        clip_above: epsilon of its upper side, where that is another one; improbable edges can then rise further than
            probable ones fall (0.28 beside 0.2 in others' work).
        scale: of the advantages.
        fixed_scale: the constant of `AdvantageScale.FIXED`.
        within_intention: whether leaves are compared with those of the same first intention alone.
        drop_equal_groups: whether groups of equal rewards are left out altogether, instead of weighing on the means.
        train_below: scenes whose reference scores as much or more are left out.
        entropy_weight: bonus for undecided intentions, against early collapse.
        kl: divergence from the previous policy.
    """

    clip: float = 0.2
    clip_above: float | None = None
    scale: AdvantageScale = AdvantageScale.STANDARD
    fixed_scale: float = 0.25
    within_intention: bool = False
    drop_equal_groups: bool = False
    train_below: float = 2.0
    entropy_weight: float = 0.003
    kl: KlConfig = field(default_factory=KlConfig)

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "clip": Bound(0.0, 1.0, open_low=True, open_high=True),
        "clip_above": POSITIVE,
        "fixed_scale": POSITIVE,
        "train_below": POSITIVE,
        "entropy_weight": AT_LEAST_ZERO,
    }


@dataclass(frozen=True)
class GrpoLoss:
    """Terms of one update; scalars.

    Attributes:
        total: to minimise.
        policy: the clipped objective, negated.
        kl: KL(previous || present), nats a decision.
        entropy: of the choices, nats a decision.
        clipped: share of decisions whose ratio left the clip range.
    """

    total: Tensor
    policy: Tensor
    kl: Tensor
    entropy: Tensor
    clipped: Tensor


class AdaptiveBeta:
    """The weight of the KL term: raised when the measured KL passes the target, lowered when it stays under."""

    def __init__(self, config: KlConfig) -> None:
        self.config = config
        self.value = config.initial_beta

    def update(self, measured_kl: float) -> float:
        """Adapt to a measured KL (nats an edge) and return the new weight."""
        config = self.config
        if measured_kl > config.target * config.factor:
            self.value *= config.factor
        elif measured_kl < config.target / config.factor:
            self.value /= config.factor
        self.value = min(max(self.value, config.min_beta), config.max_beta)
        return self.value


def clipped_objective(
    log_prob: Tensor, previous_log_prob: Tensor, advantage: Tensor, clip: float, clip_above: float | None = None
) -> Tensor:
    """min(ratio * A, clip(ratio, 1 - epsilon, 1 + epsilon') * A), elementwise; to maximise."""
    ratio = (log_prob - previous_log_prob).exp()
    above = clip if clip_above is None else clip_above
    return torch.minimum(ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + above) * advantage)


def grpo_loss(
    present: DecisionsT, previous: DecisionsT, credit: EdgeAdvantages, config: GrpoConfig, beta: float
) -> GrpoLoss:
    """The loss of one update of any policy of groups (`models/group_policy.py`).

    Args:
        present: the policy being trained, at the decisions (B, L, E) of a draw.
        previous: the policy that drew, at the same decisions, without gradients.
        credit: advantages of the decisions.
        config: the objective.
        beta: present weight of the KL term.
    """
    log_prob, before = present.log_prob(), previous.log_prob()
    objective = clipped_objective(log_prob, before, credit.advantage, config.clip, config.clip_above)
    policy = -weighted_mean(objective, credit.weight)
    kl = weighted_mean(present.kl_from(previous), credit.weight)
    entropy = weighted_mean(present.entropy(), credit.weight)
    ratio = (log_prob - before).exp()
    above = config.clip if config.clip_above is None else config.clip_above
    clipped = weighted_mean(((ratio < 1.0 - config.clip) | (ratio > 1.0 + above)).to(ratio.dtype), credit.weight)
    total = policy + beta * kl - config.entropy_weight * entropy
    return GrpoLoss(total, policy, kl.detach(), entropy.detach(), clipped)


def credit_of(total: Tensor, draw: Draw, config: GrpoConfig) -> EdgeAdvantages:
    """Advantages of the decisions of a draw whose leaves scored (B, G); the first leaf is one of the group.

    Groups in which nothing can be learnt (see `GrpoConfig`) weigh nothing.
    """
    families = draw.families if config.within_intention else None
    advantage = group_advantages(total, config.scale, config.fixed_scale, families)
    credit = edge_advantages(advantage[:, 1:], draw.numbers)
    counted = total[:, 0] < config.train_below
    if config.drop_equal_groups:
        counted &= total.amax(1) - total.amin(1) > EQUAL_REWARDS
    return EdgeAdvantages(credit.advantage, credit.weight * counted.reshape(-1, 1, 1))


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean: every edge of every tree that counts does so once; 0 where none does."""
    return (values * weight).sum() / weight.sum().clamp(min=1e-12)
