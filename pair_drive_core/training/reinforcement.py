"""Reinforcement: trees grown by the present policy, simulated, and the policy moved towards their better leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from pair_drive_core.models.bounds import AT_LEAST_ONE, AT_LEAST_ZERO, Bound
from pair_drive_core.models.group_policy import Moments
from pair_drive_core.models.pair_model import ReinforcementBranch
from pair_drive_core.models.tree_groups import EdgeDecisions, GrownGroup, TreeGroups
from pair_drive_core.training.group_training import Companion, GroupTask, Rollout
from pair_drive_core.training.grpo import GrpoConfig
from pair_drive_core.training.loop import Course, Runner, run_task, seed_from
from pair_drive_core.training.optimisation import OptimiserConfig
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.references import ReferenceMix, draw_references, random_leaves
from pair_drive_core.training.reward_model import reward_model_loss
from pair_drive_core.training.reward_source import RewardSource
from pair_drive_core.training.samples import Samples


@dataclass(frozen=True)
class ReinforcementTrainingConfig:
    """Training of the tree sampler; the reward world model keeps learning from the same leaves.

    Attributes:
        epochs: passes over the scenes.
        batch_size: scenes (groups) a rollout.
        updates: gradient steps on each rollout.
        exploration: noise while growing.
        value_weight: nats that a predicted reward of 1 is worth in pruning while training.
        extra_candidates: random leaves on top, scored for the reward world model only.
        reward_weight: of the reward world model's loss.
        train_backbone: whether backbone and F_BEV keep learning; without, an update costs half.
        mix: references.
        grpo: the objective.
        optimiser: AdamW.
    """

    epochs: int = 5
    batch_size: int = 32
    updates: int = 2
    exploration: float = 1.0
    value_weight: float = 3.0
    extra_candidates: int = 6
    reward_weight: float = 1.0
    train_backbone: bool = True
    mix: ReferenceMix = field(default_factory=ReferenceMix)
    grpo: GrpoConfig = field(default_factory=GrpoConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "epochs": AT_LEAST_ONE,
        "batch_size": AT_LEAST_ONE,
        "updates": AT_LEAST_ONE,
        "exploration": AT_LEAST_ZERO,
        "value_weight": AT_LEAST_ZERO,
        "extra_candidates": AT_LEAST_ZERO,
        "reward_weight": AT_LEAST_ZERO,
    }

    def groups_of(self, branch: ReinforcementBranch) -> TreeGroups:
        """A branch as the policy that is trained."""
        return TreeGroups(branch, self.exploration, self.value_weight, self.train_backbone)


class RewardModelCompanion(Companion[GrownGroup, EdgeDecisions]):
    """The reward world model goes on learning from the same leaves and some random ones."""

    def __init__(self, branch: ReinforcementBranch, config: ReinforcementTrainingConfig) -> None:
        self._branch, self._config = branch, config

    def candidates(self, moments: Moments, generator: torch.Generator) -> Tensor:
        """(B, K, 8, 3): random leaves around the references."""
        offsets = self._branch.sampler.config.offsets
        return random_leaves(moments.reference, self._config.extra_candidates, offsets, generator)

    def loss(
        self, present: EdgeDecisions, rollout: Rollout[GrownGroup, EdgeDecisions]
    ) -> tuple[Tensor, Mapping[str, float]]:
        """See `Companion`."""
        assert present.bev is not None
        loss = reward_model_loss(self._branch.reward(present.bev, rollout.candidates), rollout.sub_scores)
        return self._config.reward_weight * loss, {"BCE": float(loss.detach())}


def train_reinforcement(
    branch: ReinforcementBranch,
    samples: Samples,
    imitation: Tensor,
    rewards: RewardSource,
    config: ReinforcementTrainingConfig,
    generator: torch.Generator,
    progress: Progress = silent,
    runner: Runner = run_task,
) -> list[float]:
    """Train sampler, backbone and reward heads in place.

    Normalisation statistics stay as the reward model's training left them, so that the policy that grows a tree and
    the one that is updated differ by their weights alone.

    Args:
        branch: the reinforcement branch.
        samples: inputs and demonstrations.
        imitation: (S, 8, 3), the imitation branch's plans.
        rewards: the simulation.
        config: settings.
        generator: of randomness.
        progress: is told of every rollout.
        runner: takes the updates to their end.

    Returns:
        The mean reward of the grown leaves in each epoch.
    """
    heads = [*branch.sampler.parameters(), *branch.reward.parameters()]

    def references(index: Tensor, chance: torch.Generator) -> Tensor:
        offsets = branch.sampler.config.offsets
        return draw_references(samples.human[index], imitation[index], config.mix, offsets, chance)

    course = Course.of_epochs("reinforcement", "leaves", len(samples), config, config.updates, statistics=False)
    task = GroupTask(
        course,
        branch,
        list(branch.parameters()) if config.train_backbone else heads,
        config.groups_of(branch),
        samples,
        references,
        rewards,
        config.grpo,
        RewardModelCompanion(branch, config),
    )
    return runner(task, seed_from(generator), progress)
