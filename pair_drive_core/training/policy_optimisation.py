"""GRPO on an imitation network itself: what one-shot and iterative training do (the paper's baselines)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from pair_drive_core.models.bounds import AT_LEAST_ONE, Bound
from pair_drive_core.models.imitation_policies import groups_of
from pair_drive_core.models.imitation_policy import ImitationPolicy
from pair_drive_core.models.stochastic_plan import StochasticPlanConfig
from pair_drive_core.training.group_training import GroupTask
from pair_drive_core.training.grpo import GrpoConfig
from pair_drive_core.training.loop import Course, Runner, run_task, seed_from
from pair_drive_core.training.optimisation import OptimiserConfig
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.reward_source import RewardSource
from pair_drive_core.training.samples import Samples


@dataclass(frozen=True)
class PolicyTrainingConfig:
    """GRPO on a network that plans.

    Attributes:
        epochs: passes over the moments.
        batch_size: moments (groups) a rollout.
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
    network: ImitationPolicy,
    samples: Samples,
    rewards: RewardSource,
    config: PolicyTrainingConfig,
    generator: torch.Generator,
    progress: Progress = silent,
    runner: Runner = run_task,
    stage: str = "policy",
) -> list[float]:
    """Train in place on trajectories that the network itself draws.

    Normalisation statistics stay, so that the ratio before an update is exactly 1.

    Returns:
        The mean reward of the network's own plans in each epoch.
    """

    def references(index: Tensor, _: torch.Generator) -> Tensor:
        return samples.human[index]

    course = Course.of_epochs(stage, "given", len(samples), config, config.updates, statistics=False)
    policy = groups_of(network, config.group_size, config.spread)
    task = GroupTask(course, network, list(network.parameters()), policy, samples, references, rewards, config.grpo)
    return runner(task, seed_from(generator), progress)
