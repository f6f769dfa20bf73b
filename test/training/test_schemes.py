"""One network trained by imitation and by rewards: rewards rise, in one shot and in turn."""

import pytest
import torch

from pair_drive_core.training.augmentation import AugmentationConfig
from pair_drive_core.training.imitation import ImitationConfig
from pair_drive_core.training.iterative import train_iterative
from pair_drive_core.training.one_shot import train_one_shot
from pair_drive_core.training.optimisation import OptimiserConfig
from pair_drive_core.training.policy_optimisation import PolicyTrainingConfig
from pair_drive_core.training.reward_source import Rewards
from pair_drive_core.training.samples import DrivingSamples

PLAIN = AugmentationConfig(0.0, 0.0, 0.0, 0.0)


@pytest.fixture
def samples(features, reference):
    parts = [features[i : i + 1] for i in range(3)]
    return DrivingSamples.from_features(parts, reference, torch.zeros(3, 32, 32, dtype=torch.uint8))


def to_the_left(scenes, trajectories):
    """The further to the left a plan ends the better."""
    total = torch.sigmoid(trajectories[..., -1, 1] / 4.0)
    return Rewards(total, total.unsqueeze(-1).expand(-1, -1, 5))


def settings(imitation_epochs, policy_epochs):
    optimiser = OptimiserConfig(learning_rate=3e-3, weight_decay=0.0)
    imitation = ImitationConfig(imitation_epochs, 3, bev_weight=0.0, optimiser=optimiser, augmentation=PLAIN)
    return imitation, PolicyTrainingConfig(policy_epochs, 3, optimiser=optimiser)


def test_one_shot_imitates_and_then_goes_where_rewards_are(model, samples):
    generator = torch.Generator().manual_seed(0)
    losses, scores = train_one_shot(model.imitation, samples, to_the_left, *settings(20, 25), generator)
    assert (len(losses), len(scores)) == (20, 25)
    assert losses[-1] < losses[0]
    assert sum(scores[-3:]) / 3 > sum(scores[:3]) / 3 + 0.1


def test_iterative_takes_turns(model, samples):
    stages = []
    generator = torch.Generator().manual_seed(0)
    losses, scores = train_iterative(
        model.imitation,
        samples,
        to_the_left,
        *settings(4, 2),
        generator,
        lambda stage, *_: stages.append(stage),
        rounds=2,
    )
    assert stages == ["imitation", "imitation", "policy"] * 2
    assert (len(losses), len(scores)) == (4, 2)
    with pytest.raises(ValueError, match=r"policy.epochs: expected a multiple of the 3 rounds, got 2"):
        train_iterative(model.imitation, samples, to_the_left, *settings(3, 2), generator, rounds=3)
