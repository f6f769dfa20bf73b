"""GRPO on the imitation network itself: what one-shot and iterative training do (paper section 3.1, its baselines)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from pair_drive_core.models.bounds import AT_LEAST_ONE, Bound
from pair_drive_core.models.stochastic_plan import StochasticPlan, StochasticPlanConfig
from pair_drive_core.models.transfuser import TransFuser
from pair_drive_core.training.advantages import EQUAL_REWARDS, EdgeAdvantages, group_advantages
from pair_drive_core.training.epochs import count_updates, run_epochs
from pair_drive_core.training.grpo import AdaptiveBeta, GrpoConfig, policy_loss, weighted_mean
from pair_drive_core.training.optimisation import Optimiser, OptimiserConfig
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.reward_source import RewardSource
from pair_drive_core.training.samples import DrivingSamples


@dataclass(frozen=True)
class PolicyTrainingConfig:
    """GRPO on a network that plans one trajectory.

    Attributes:
        epochs: passes over the scenes.
        batch_size: scenes (groups) a rollout.
        group_size: trajectories G of each, the plan itself included.
        updates: gradient steps on each rollout.
        spread: how trajectories are drawn around the plan.
        grpo: the objective; intentions there are none, so its `within_intention` has no effect.
        optimiser: AdamW.
    """

    epochs: int = 1
    batch_size: int = 32
    group_size: int = 15
    updates: int = 2
    spread: StochasticPlanConfig = field(default_factory=StochasticPlanConfig)
    grpo: GrpoConfig = field(default_factory=GrpoConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "epochs": AT_LEAST_ONE,
        "batch_size": AT_LEAST_ONE,
        "group_size": Bound(2, 4096),
        "updates": AT_LEAST_ONE,
    }


def train_policy(
    network: TransFuser,
    samples: DrivingSamples,
    rewards: RewardSource,
    config: PolicyTrainingConfig,
    generator: torch.Generator,
    progress: Progress = silent,
) -> list[float]:
    """Train in place on trajectories drawn around the network's own plans.

    Normalisation statistics stay, so that the ratio before an update is exactly 1.

    Returns:
        The mean reward of the network's own plans in each epoch.
    """
    rollouts = count_updates(len(samples), config.batch_size, config.epochs)
    optimiser = Optimiser(network.parameters(), config.optimiser, rollouts * config.updates)
    beta, around = AdaptiveBeta(config.grpo.kl), StochasticPlan(config.spread)

    def update(index: Tensor) -> dict[str, float]:
        features = samples.features(index)
        with torch.no_grad():
            plans = network(features)
        draw = around.sample(plans, config.group_size - 1, generator)
        previous = around.distribution(plans, draw)
        before = previous.log_prob(draw)
        total = rewards(index, torch.cat((plans.unsqueeze(1), draw.trajectories), dim=1)).total
        credit = credit_of_plans(total, config.grpo)
        for _ in range(config.updates):
            present = around.distribution(network(features), draw)
            log_prob = present.log_prob(draw)
            kl = present.kl_from(previous).expand_as(log_prob)
            loss = policy_loss(log_prob, before, kl, torch.zeros_like(log_prob), credit, config.grpo, beta.value)
            optimiser.step(loss.total)
        with torch.no_grad():
            moved = around.distribution(network(features), draw).kl_from(previous).expand_as(before)
        divergence = float(weighted_mean(moved, credit.weight))
        beta.update(divergence)
        reward = {"plan": float(total[:, 0].mean()), "group": float(total[:, 1:].mean())}
        return {**reward, "KL": divergence, "beta": beta.value}

    network.eval()
    return run_epochs("policy", len(samples), config.batch_size, config.epochs, generator, progress, update)


def credit_of_plans(total: Tensor, config: GrpoConfig) -> EdgeAdvantages:
    """Credit of drawn trajectories, one decision each; the plan itself, first of (B, G), is one of the group."""
    advantage = group_advantages(total, config.scale, config.fixed_scale)[:, 1:].unsqueeze(-1)
    counted = total[:, 0] < config.train_below
    if config.drop_equal_groups:
        counted &= total.amax(1) - total.amin(1) > EQUAL_REWARDS
    return EdgeAdvantages(advantage, torch.ones_like(advantage) * counted.reshape(-1, 1, 1))
