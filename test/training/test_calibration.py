"""The margin by which a leaf must beat the imitation plan, found on scenes with known rewards."""

import pytest
import torch

from pair_drive_core.training.calibration import Calibration, calibrate_margin
from pair_drive_core.training.reward_source import Rewards
from pair_drive_core.training.samples import DrivingSamples


@pytest.fixture
def samples(features, reference):
    bev = torch.zeros(3, 32, 32, dtype=torch.uint8)
    return DrivingSamples.from_features([features], reference, bev)


def only_the_first_leaf(scenes, trajectories):
    """Every departure from the imitation plan fails."""
    total = torch.zeros(trajectories.shape[:2])
    total[:, 0] = 1.0
    return Rewards(total, total.unsqueeze(-1).expand(-1, -1, 5))


def anything_but_the_first_leaf(scenes, trajectories):
    scored = only_the_first_leaf(scenes, trajectories)
    return Rewards(1.0 - scored.total, 1.0 - scored.sub_scores)


def test_smallest_margin_of_the_best_score():
    assert Calibration((0.0, 0.1, 0.2), (0.5, 0.7, 0.7)).best_margin == 0.1


def test_a_misleading_reward_model_gets_a_margin_it_cannot_reach(model, samples):
    found = calibrate_margin(model, samples, only_the_first_leaf, (0.0, 1.0))
    assert found.scores[1] == 1.0
    assert found.best_margin == (1.0 if found.scores[0] < 1.0 else 0.0)


def test_a_helpful_one_is_followed(model, samples):
    found = calibrate_margin(model, samples, anything_but_the_first_leaf, (0.0, 1.0))
    assert found.scores[1] == 0.0
    assert found.best_margin == 0.0
