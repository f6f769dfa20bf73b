"""Which leaf a margin chooses, and what it was worth, on scenes whose rewards are given."""

import pytest
import torch

from pair_drive_core.models.reward_world_model import RewardFormula, head_names
from pair_drive_core.training.tree_evaluation import GrownScenes, calibrate, compare

HEADS = len(head_names(RewardFormula.EPDMS))


@pytest.fixture
def grown():
    """Two scenes of three leaves and the human; the reward model is right about the first scene alone.

    Predicted gains over the imitation plan are 0.3 (worth 0.4) and 0.1 (worth -0.5).
    """
    predicted = torch.tensor([[0.5, 0.8, 0.1], [0.5, 0.2, 0.6]])
    epdms = torch.tensor([[0.5, 0.9, 0.2, 1.0], [0.6, 0.7, 0.1, 0.8]])
    totals = torch.stack((epdms - 0.1, epdms), dim=-1)
    sub_scores = epdms.unsqueeze(-1).expand(-1, -1, HEADS)
    return GrownScenes(torch.zeros(2, 3, 8, 3), torch.zeros(2, 8, 3), predicted, totals, sub_scores)


def test_a_leaf_must_beat_the_first_by_the_margin(grown):
    assert [grown.chosen(margin).tolist() for margin in (0.0, 0.2, 1.0)] == [[1, 2], [1, 0], [0, 0]]
    assert grown.predicted[0, 0] == 0.5, "nothing of it stays"


def test_the_smallest_margin_of_the_best_score_is_taken(grown):
    margin, scores = calibrate(grown, (0.0, 0.2, 0.25, 1.0))
    assert margin == 0.2
    assert scores == pytest.approx({0.0: 0.5, 0.2: 0.75, 0.25: 0.75, 1.0: 0.55})


def test_means_and_gains_of_everybody(grown):
    means = compare(grown, 0.2)
    expected = {"human": 0.9, "root": 0.55, "pair": 0.75, "best leaf": 0.8}
    assert {name: mean.epdms for name, mean in means.items()} == pytest.approx(expected)
    assert {name: mean.pdms for name, mean in means.items()} == pytest.approx({k: v - 0.1 for k, v in expected.items()})
    assert means["root"].gain_epdms == (0.0, 0.0, 0.0)
    gain = means["pair"]
    # Of two scenes, one wins 0.4: a resample has it never, once or twice.
    assert gain.gain_pdms == pytest.approx((0.2, 0.0, 0.4), abs=1e-6)
    assert gain.gain_epdms == pytest.approx((0.2, 0.0, 0.4), abs=1e-6)
    assert set(gain.sub_scores) == set(head_names(RewardFormula.EPDMS))
    assert next(iter(gain.sub_scores.values())) == pytest.approx(0.75)
