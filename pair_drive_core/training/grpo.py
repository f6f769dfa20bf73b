"""Group-relative policy optimisation of the tree sampler (paper section 3.3, after Shao et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pair_drive_core.models.tree import EdgeDistribution
from pair_drive_core.training.advantages import AdvantageScale, EdgeAdvantages


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


@dataclass(frozen=True)
class GrpoConfig:
    """The objective.

    Attributes:
        clip: epsilon of the clipped ratio.
        scale: of the advantages.
        fixed_scale: the constant of `AdvantageScale.FIXED`.
        entropy_weight: bonus for undecided intentions, against early collapse.
        kl: divergence from the previous policy.
    """

    clip: float = 0.2
    scale: AdvantageScale = AdvantageScale.STANDARD
    fixed_scale: float = 0.25
    entropy_weight: float = 0.003
    kl: KlConfig = field(default_factory=KlConfig)


@dataclass(frozen=True)
class GrpoLoss:
    """Terms of one update; scalars.

    Attributes:
        total: to minimise.
        policy: the clipped objective, negated.
        kl: KL(previous || present), nats an edge.
        entropy: of the intentions, nats a node.
        clipped: share of edges whose ratio left the clip range.
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


def clipped_objective(log_prob: Tensor, previous_log_prob: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """min(ratio * A, clip(ratio, 1 - epsilon, 1 + epsilon) * A), elementwise; to maximise."""
    ratio = (log_prob - previous_log_prob).exp()
    return torch.minimum(ratio * advantage, ratio.clamp(1.0 - clip, 1.0 + clip) * advantage)


def grpo_loss(
    present: EdgeDistribution,
    previous: EdgeDistribution,
    intentions: Tensor,
    latents: Tensor,
    credit: EdgeAdvantages,
    config: GrpoConfig,
    beta: float,
) -> GrpoLoss:
    """The loss of one update.

    Args:
        present: the policy being trained, at the edges (B, L, E).
        previous: the policy that grew the trees, at the same edges, without gradients.
        intentions: (B, L, E) int64, taken.
        latents: (B, L, E, 2), drawn.
        credit: advantages of the edges.
        config: the objective.
        beta: present weight of the KL term.
    """
    log_prob = present.log_prob(intentions, latents)
    before = previous.log_prob(intentions, latents)
    policy = -_mean(clipped_objective(log_prob, before, credit.advantage, config.clip), credit.weight)
    kl = _mean(present.kl_from(previous), credit.weight)
    entropy = _mean(-(present.log_intention.exp() * present.log_intention).sum(-1), credit.weight)
    clipped = _mean((((log_prob - before).exp() - 1.0).abs() > config.clip).to(log_prob.dtype), credit.weight)
    total = policy + beta * kl - config.entropy_weight * entropy
    return GrpoLoss(total, policy, kl.detach(), entropy.detach(), clipped)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean: every edge of every tree counts once."""
    return (values * weight).sum() / weight.sum()
