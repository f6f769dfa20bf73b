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
from pair_drive_core.training.bev_targets import bev_loss
from pair_drive_core.training.epochs import count_updates, run_epochs
from pair_drive_core.training.optimisation import Optimiser, OptimiserConfig
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.references import ReferenceMix, draw_references, random_leaves
from pair_drive_core.training.reward_source import RewardSource
from pair_drive_core.training.samples import DrivingSamples


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


def train_reward_model(
    branch: ReinforcementBranch,
    samples: DrivingSamples,
    imitation: Tensor,
    rewards: RewardSource,
    config: RewardModelTrainingConfig,
    generator: torch.Generator,
    progress: Progress = silent,
) -> list[float]:
    """Train backbone and reward heads in place on freshly drawn, simulated candidates.

    Args:
        branch: the reinforcement branch; its sampler is not touched.
        samples: inputs and demonstrations.
        imitation: (S, 8, 3), the imitation branch's plans.
        rewards: the simulation.
        config: settings.
        generator: of randomness.
        progress: is told of every update.

    Returns:
        The mean loss of each epoch, nats.
    """
    parameters = [*branch.backbone.parameters(), *branch.reward.parameters()]
    updates = count_updates(len(samples), config.batch_size, config.epochs)
    optimiser = Optimiser(parameters, config.optimiser, updates)
    offsets = branch.sampler.config.offsets

    def update(index: Tensor) -> dict[str, float]:
        human, plan = samples.human[index], imitation[index]
        reference = draw_references(human, plan, config.mix, offsets, generator)
        known = torch.stack((reference, human, plan), dim=1)
        leaves = torch.cat((known, random_leaves(reference, config.candidates, offsets, generator)), dim=1)
        target = rewards(index, leaves).sub_scores
        bev = branch.backbone(augment(samples.features(index), config.augmentation, generator))
        entropy = reward_model_loss(branch.reward(bev, leaves), target)
        loss = entropy
        if config.bev_weight > 0:
            loss = loss + config.bev_weight * bev_loss(branch.backbone, bev, samples.bev[index])
        optimiser.step(loss)
        return {"BCE": float(entropy.detach())}

    branch.train()
    history = run_epochs("reward model", len(samples), config.batch_size, config.epochs, generator, progress, update)
    branch.eval()
    return history
