"""The one-shot scheme: imitation, then GRPO on the same network (a baseline of the paper)."""

from __future__ import annotations

import torch

from pair_drive_core.models.transfuser import TransFuser
from pair_drive_core.training.imitation import ImitationConfig, train_imitation
from pair_drive_core.training.policy_optimisation import PolicyTrainingConfig, train_policy
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.reward_source import RewardSource
from pair_drive_core.training.samples import DrivingSamples


def train_one_shot(
    network: TransFuser,
    samples: DrivingSamples,
    rewards: RewardSource,
    imitation: ImitationConfig,
    policy: PolicyTrainingConfig,
    generator: torch.Generator,
    progress: Progress = silent,
) -> tuple[list[float], list[float]]:
    """Train in place.

    Returns:
        The trajectory losses of the imitation's epochs, m, and the plans' rewards in the policy's.
    """
    losses = train_imitation(network, samples, imitation, generator, progress)
    return losses, train_policy(network, samples, rewards, policy, generator, progress)
