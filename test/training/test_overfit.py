"""Each training makes a handful of scenes its own within seconds, and does so twice alike."""

from dataclasses import replace

import pytest
import torch

from pair_drive_core.models import PairModel
from pair_drive_core.models.imitation_policy import imitation_loss
from pair_drive_core.models.presets import tiny_config
from pair_drive_core.training.augmentation import AugmentationConfig
from pair_drive_core.training.grpo import GrpoConfig
from pair_drive_core.training.imitation import ImitationConfig, imitation_plans, train_imitation
from pair_drive_core.training.optimisation import OptimiserConfig
from pair_drive_core.training.reinforcement import ReinforcementTrainingConfig, train_reinforcement
from pair_drive_core.training.reward_model import RewardModelTrainingConfig, train_reward_model
from pair_drive_core.training.reward_source import Rewards
from pair_drive_core.training.samples import DrivingSamples

PLAIN = AugmentationConfig(0.0, 0.0, 0.0, 0.0)
FAST = OptimiserConfig(learning_rate=5e-3, weight_decay=0.0)


@pytest.fixture
def samples(features, reference):
    return DrivingSamples.from_features(
        [features[i : i + 1] for i in range(3)], reference, torch.zeros(3, 32, 32, dtype=torch.uint8)
    )


def way(trajectories):
    """Metres driven in 4 s."""
    points = torch.cat((torch.zeros_like(trajectories[..., :1, :2]), trajectories[..., :2]), dim=-2)
    return points.diff(dim=-2).norm(dim=-1).sum(-1)


@pytest.fixture
def prefer_fast(reference):
    """A simulation in which everything is fine, but progress is the better the farther a plan goes."""

    def simulate(scenes, trajectories):
        progress = torch.sigmoid((way(trajectories) - way(reference[scenes]).unsqueeze(1)) / 2.0)
        ones = torch.ones_like(progress)
        return Rewards(progress, torch.stack((ones, ones, progress, ones, ones), dim=-1))

    return simulate


def train_all(samples, prefer_fast, seed):
    torch.manual_seed(seed)
    model = PairModel(tiny_config())
    generator = torch.Generator().manual_seed(seed)
    config = ImitationConfig(epochs=2, batch_size=2, optimiser=FAST)
    train_imitation(model.imitation, samples, config, generator)
    plans = imitation_plans(model.imitation, samples)
    train_reward_model(
        model.reinforcement,
        samples,
        plans,
        prefer_fast,
        RewardModelTrainingConfig(epochs=2, batch_size=2, candidates=3, optimiser=FAST),
        generator,
    )
    train_reinforcement(
        model.reinforcement,
        samples,
        plans,
        prefer_fast,
        ReinforcementTrainingConfig(epochs=2, batch_size=2, optimiser=FAST),
        generator,
    )
    return model


def test_imitation_learns_three_scenes_by_heart(model, samples):
    before = float(imitation_loss(imitation_plans(model.imitation, samples), samples.human, 1.0))
    config = ImitationConfig(epochs=120, batch_size=3, optimiser=FAST, augmentation=PLAIN)
    history = train_imitation(model.imitation, samples, config, torch.Generator().manual_seed(0))
    assert len(history) == 120
    assert before > 4.0
    assert history[-1] < 0.5


def test_imitation_loss_by_hand():
    """One metre off in x at one of eight poses, and a heading of 2 pi off nowhere."""
    human = torch.zeros(1, 8, 3)
    planned = human.clone()
    planned[0, 0, 0] = 1.0
    planned[0, 1, 2] = 2 * torch.pi
    assert imitation_loss(planned, human, 1.0).item() == pytest.approx(1.0 / 16, abs=1e-6)
    planned[0, 2, 2] = -0.8
    assert imitation_loss(planned, human, 2.0).item() == pytest.approx(1.0 / 16 + 2.0 * 0.8 / 8, abs=1e-6)


def test_reward_model_learns_what_the_simulation_says(model, samples, reference, prefer_fast):
    steady = OptimiserConfig(learning_rate=2e-3, weight_decay=0.0)
    config = RewardModelTrainingConfig(epochs=150, batch_size=3, candidates=12, optimiser=steady, augmentation=PLAIN)
    generator = torch.Generator().manual_seed(0)
    train_reward_model(model.reinforcement, samples, reference, prefer_fast, config, generator)
    branch = model.reinforcement
    faster = torch.stack((reference, reference * torch.tensor([1.15, 1.15, 1.0])), dim=1)
    with torch.no_grad():
        predicted = branch.reward.predict(branch.backbone(samples.features(torch.arange(3))), faster)
    truth = prefer_fast(torch.arange(3), faster)
    assert (predicted.sub_scores - truth.sub_scores).abs().mean() < 0.05
    assert (predicted.reward[:, 1] > predicted.reward[:, 0]).all()


def test_reinforcement_moves_the_leaves_to_better_rewards(model, samples, reference, prefer_fast):
    """Without the reward model's help in pruning: what rises is the policy's own doing."""
    config = ReinforcementTrainingConfig(
        epochs=40, batch_size=3, updates=2, value_weight=0.0, extra_candidates=0, grpo=GrpoConfig(), optimiser=FAST
    )
    generator = torch.Generator().manual_seed(0)
    history = train_reinforcement(model.reinforcement, samples, reference, prefer_fast, config, generator)
    assert sum(history[-5:]) / 5 > sum(history[:5]) / 5 + 0.15


def test_reinforcement_leaves_the_imitation_branch_alone(model, samples, reference, prefer_fast):
    before = {name: p.clone() for name, p in model.imitation.state_dict().items()}
    config = ReinforcementTrainingConfig(epochs=1, batch_size=3)
    generator = torch.Generator().manual_seed(0)
    train_reinforcement(model.reinforcement, samples, reference, prefer_fast, config, generator)
    assert all(torch.equal(before[name], p) for name, p in model.imitation.state_dict().items())


def test_training_is_the_same_twice_for_a_seed_and_differs_between_seeds(samples, prefer_fast):
    first, second, other = (train_all(samples, prefer_fast, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_divergence_stops_the_training(model, samples):
    bad = replace(samples, human=samples.human * float("inf"))
    with pytest.raises(ValueError, match="training diverged: expected a finite loss"):
        train_imitation(model.imitation, bad, ImitationConfig(epochs=5), torch.Generator())
