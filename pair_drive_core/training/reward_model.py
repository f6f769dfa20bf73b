"""Training of the reward world model: one binary cross-entropy a sub-score (paper section 3.4, METHOD section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from pair_drive_core.models.bounds import AT_LEAST_ONE, AT_LEAST_ZERO, Bound
from pair_drive_core.models.pair_model import ReinforcementBranch
from pair_drive_core.training.augmentation import AugmentationConfig, augment
from pair_drive_core.training.loop import Course, Runner, Step, Task, run_task, seed_from
from pair_drive_core.training.optimisation import OptimiserConfig
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.references import ReferenceMix, draw_references, random_leaves
from pair_drive_core.training.reward_source import RewardSource
from pair_drive_core.training.samples import Samples


@dataclass(frozen=True)
class RewardModelTrainingConfig:
    """Training of the reward world model and, through it, of the reinforcement branch's backbone.

    Attributes:
        epochs: passes over the scenes.
        batch_size: scenes an update.
        candidates: random leaves around each reference; the reference, the human and the imitation plan come on top.
        mix: references.
        bev_weight: of the auxiliary BEV map's loss; 0 leaves it out.
        optimiser: AdamW.
        augmentation: of the inputs.
    """

    epochs: int = 10
    batch_size: int = 32
    candidates: int = 21
    mix: ReferenceMix = field(default_factory=ReferenceMix)
    bev_weight: float = 0.5
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "epochs": AT_LEAST_ONE,
        "batch_size": AT_LEAST_ONE,
        "candidates": AT_LEAST_ZERO,
        "bev_weight": AT_LEAST_ZERO,
    }


def reward_model_loss(logits: Tensor, sub_scores: Tensor) -> Tensor:
    """Mean binary cross-entropy over heads and trajectories, in nats.

    Args:
        logits: (B, K, S).
        sub_scores: (B, K, S) in [0, 1]; values between are soft targets.
    """
    return functional.binary_cross_entropy_with_logits(logits, sub_scores)


class RewardModelTask(Task):
    """Updates of backbone and reward heads on freshly drawn, simulated candidates."""

    def __init__(
        self,
        branch: ReinforcementBranch,
        samples: Samples,
        imitation: Tensor,
        rewards: RewardSource,
        config: RewardModelTrainingConfig,
    ) -> None:
        self.course = Course.of_epochs("reward model", "BCE", len(samples), config)
        self.module, self.parameters = branch, [*branch.backbone.parameters(), *branch.reward.parameters()]
        self._branch, self._samples, self._imitation = branch, samples, imitation
        self._rewards, self._config = rewards, config

    def update(self, index: Tensor, generator: torch.Generator, step: Step) -> Mapping[str, float]:
        """One step."""
        branch, config, offsets = self._branch, self._config, self._branch.sampler.config.offsets
        human, plan = self._samples.human[index], self._imitation[index]
        reference = draw_references(human, plan, config.mix, offsets, generator)
        known = torch.stack((reference, human, plan), dim=1)
        leaves = torch.cat((known, random_leaves(reference, config.candidates, offsets, generator)), dim=1)
        target = self._rewards(index, leaves).sub_scores
        bev = branch.backbone(augment(self._samples.features(index), config.augmentation, generator))
        entropy = reward_model_loss(branch.reward(bev, leaves), target)
        loss = entropy
        if config.bev_weight > 0:
            loss = loss + config.bev_weight * self._samples.auxiliary_loss(branch.backbone, bev, index)
        step(loss)
        return {"BCE": float(entropy.detach())}

    def inputs(self, index: Tensor) -> dict[str, Tensor]:
        """See `Task`."""
        return {**self._samples.features(index).tensors(), "human": self._samples.human[index]}


def train_reward_model(
    branch: ReinforcementBranch,
    samples: Samples,
    imitation: Tensor,
    rewards: RewardSource,
    config: RewardModelTrainingConfig,
    generator: torch.Generator,
    progress: Progress = silent,
    runner: Runner = run_task,
) -> list[float]:
    """Train backbone and reward heads in place.

    Args:
        branch: the reinforcement branch; its sampler is not touched.
        samples: inputs and demonstrations.
        imitation: (S, 8, 3), the imitation branch's plans.
        rewards: the simulation.
        config: settings.
        generator: of randomness.
        progress: is told of every update.
        runner: takes the updates to their end.

    Returns:
        The mean loss of each epoch, nats.
    """
    return runner(RewardModelTask(branch, samples, imitation, rewards, config), seed_from(generator), progress)
