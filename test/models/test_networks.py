"""Shapes, gradients and independence of the networks."""

import pytest
import torch

from pair_drive_core.models import (
    BackboneConfig,
    PairConfig,
    PairModel,
    ResNetConfig,
    RewardFormula,
    compose_reward,
    head_names,
)
from pair_drive_core.models.bev_sampling import footprint_points, sample_bev
from pair_drive_core.models.reward_world_model import confidence_from


def test_imitation_plans_eight_poses(model, features):
    poses = model.imitation(features)
    assert poses.shape == (3, 8, 3)
    assert poses[..., 2].abs().max() < torch.pi


def test_every_weight_of_the_imitation_branch_learns(model, features):
    model.imitation.train()(features).square().sum().backward()
    silent = [n for n, p in model.imitation.named_parameters() if p.grad is None]
    # The BEV map and its classes learn from the auxiliary loss alone; TransFuser's decoder reads the tokens.
    assert all(n.startswith(("backbone.lateral", "backbone.smooth", "backbone.semantic_head")) for n in silent)


def test_branches_share_nothing(model):
    own = {id(p) for p in model.imitation.parameters()}
    assert own.isdisjoint({id(p) for p in model.reinforcement.parameters()})


def test_reward_model_scores_each_candidate_alone(model, features, reference):
    bev = model.reinforcement.backbone(features)
    candidates = torch.stack((reference, reference * 0.5, reference * 1.2), dim=1)
    together = model.reinforcement.reward(bev, candidates)
    assert together.shape == (3, 3, 5)
    alone = torch.cat([model.reinforcement.reward(bev, candidates[:, i : i + 1]) for i in range(3)], dim=1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_reward_depends_on_trajectory_and_scene(model, features, reference):
    with torch.no_grad():
        bev = model.reinforcement.backbone(features)
        candidates = torch.stack((reference, reference * 0.5), dim=1)
        logits = model.reinforcement.reward(bev, candidates)
        assert (logits[:, 0] - logits[:, 1]).abs().min() > 0
        other = model.reinforcement.reward(model.reinforcement.backbone(features[torch.tensor([1, 2, 0])]), candidates)
        assert (logits - other).abs().max() > 0


def test_pdms_by_hand():
    """NC 1/2, DAC 1, EP 0.8, TTC 1, C 0: 0.5 * (5 * 0.8 + 5) / 12."""
    assert head_names(RewardFormula.PDMS) == ("NC", "DAC", "EP", "TTC", "C")
    scores = torch.tensor([0.5, 1.0, 0.8, 1.0, 0.0])
    assert compose_reward(scores, RewardFormula.PDMS).item() == pytest.approx(0.375)


def test_epdms_by_hand():
    """All factors 1, EP 0.5, TTC 1, LK 0, HC 1: (2.5 + 5 + 2) / 14; any factor of 0 makes it 0."""
    assert head_names(RewardFormula.EPDMS) == ("NC", "DAC", "DDC", "TLC", "EP", "TTC", "LK", "HC")
    scores = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.5, 1.0, 0.0, 1.0])
    assert compose_reward(scores, RewardFormula.EPDMS).item() == pytest.approx(9.5 / 14)
    for factor in range(4):
        spoilt = scores.clone()
        spoilt[factor] = 0.0
        assert compose_reward(spoilt, RewardFormula.EPDMS).item() == 0.0


def test_confidence_is_one_when_certain_and_zero_when_not():
    assert confidence_from(torch.zeros(5)).item() == pytest.approx(0.0, abs=1e-6)
    assert confidence_from(torch.tensor([40.0, -40.0, 40.0, -40.0, 40.0])).item() == pytest.approx(1.0, abs=1e-6)
    assert 0 < confidence_from(torch.full((5,), 2.0)).item() < 1


def test_bev_reading_follows_the_axes():
    """Row along x, column along y, zero outside."""
    bev_map = torch.zeros(1, 1, 8, 8)
    bev_map[0, 0, 6, 1] = 1.0  # x in [4, 6), y in [-6, -4) of a map of +-8 m
    points = torch.tensor([[[[5.0, -5.0], [-5.0, 5.0], [-5.0, -5.0], [5.0, 40.0]]]])
    assert sample_bev(bev_map, points, 8.0)[0, 0, :, 0].tolist() == pytest.approx([1.0, 0.0, 0.0, 0.0], abs=1e-6)


def test_footprint_is_the_box_around_the_rear_axle():
    corners = footprint_points(torch.tensor([10.0, 0.0, torch.pi / 2]))
    assert corners[1].tolist() == pytest.approx([10.0 - 2.297 / 2, 4.049], abs=1e-5)
    assert corners[4].tolist() == pytest.approx([10.0 + 2.297 / 2, -1.127], abs=1e-5)


def test_different_channels_are_refused():
    with pytest.raises(ValueError, match="same channels"):
        BackboneConfig(camera=ResNetConfig(channels=(8, 8), blocks=(1, 1), strides=(1, 2)))


def test_the_paper_sizes_build():
    """About 56 million parameters in the imitation branch (METHOD section 6: TransFuser)."""
    with torch.device("meta"):
        model = PairModel(PairConfig())
    count = sum(p.numel() for p in model.imitation.parameters())
    assert 50e6 < count < 62e6
