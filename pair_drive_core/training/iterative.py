"""The iterative scheme: epochs of imitation and of GRPO in turn, on the same network (a baseline of the paper)."""

from __future__ import annotations

from dataclasses import replace

import torch

from pair_drive_core.models.transfuser import TransFuser
from pair_drive_core.training.imitation import ImitationConfig, train_imitation
from pair_drive_core.training.policy_optimisation import PolicyTrainingConfig, train_policy
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.reward_source import RewardSource
from pair_drive_core.training.samples import DrivingSamples


def train_iterative(
    network: TransFuser,
    samples: DrivingSamples,
    rewards: RewardSource,
    imitation: ImitationConfig,
    policy: PolicyTrainingConfig,
    generator: torch.Generator,
    progress: Progress = silent,
    rounds: int = 4,
) -> tuple[list[float], list[float]]:
    """Train in place; each round has its share of the epochs of both, at least one, and schedules of its own.

    Returns:
        The trajectory losses of the imitation's epochs, m, and the plans' rewards in the policy's.

    Raises:
        ValueError: if the epochs of either are not a multiple of the rounds.
    """
    for name, epochs in (("imitation", imitation.epochs), ("policy", policy.epochs)):
        if rounds < 1 or epochs % rounds:
            raise ValueError(f"{name}.epochs: expected a multiple of the {rounds} rounds, got {epochs}")
    losses: list[float] = []
    scores: list[float] = []
    for _ in range(rounds):
        part = replace(imitation, epochs=imitation.epochs // rounds)
        losses += train_imitation(network, samples, part, generator, progress)
        share = replace(policy, epochs=policy.epochs // rounds)
        scores += train_policy(network, samples, rewards, share, generator, progress)
    return losses, scores
