"""What a training must not lose without anybody noticing: each test kills one change that once went unseen."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from pair_drive_core.models.features import Features
from pair_drive_core.models.group_policy import Moments
from pair_drive_core.models.pair_model import JoinConfig
from pair_drive_core.models.reward_world_model import PredictedReward
from pair_drive_core.policies.parallel import choose
from pair_drive_core.training.advantages import AdvantageScale
from pair_drive_core.training.augmentation import AugmentationConfig, augment
from pair_drive_core.training.calibration import Calibration
from pair_drive_core.training.group_training import roll_out
from pair_drive_core.training.grpo import GrpoConfig, KlConfig, credit_of
from pair_drive_core.training.imitation import ImitationConfig, train_imitation
from pair_drive_core.training.optimisation import MAX_SKIPPED_IN_A_ROW, Optimiser, OptimiserConfig
from pair_drive_core.training.policy_optimisation import PolicyTrainingConfig, train_policy
from pair_drive_core.training.reinforcement import ReinforcementTrainingConfig, train_reinforcement
from pair_drive_core.training.reward_source import Rewards
from pair_drive_core.training.run import keep_better
from pair_drive_core.training.samples import DrivingSamples

ALL = torch.arange(3)


@pytest.fixture
def samples(features, reference):
    parts = [features[i : i + 1] for i in range(3)]
    return DrivingSamples.from_features(parts, reference, torch.ones(3, 32, 32, dtype=torch.uint8))


def paid(scenes, trajectories):
    """The reference (the first) gets 1, the others are worth what their length is."""
    total = torch.sigmoid(trajectories[..., -1, 0] / 40.0)
    total[:, 0] = 1.0
    return Rewards(total, total.unsqueeze(-1).expand(-1, -1, 5))


def rolled(branch, features, reference, config=None):
    config, moments = config or ReinforcementTrainingConfig(), Moments(features, reference)
    return roll_out(config.groups_of(branch), moments, ALL, paid, config.grpo, torch.Generator().manual_seed(0))


def reinforce(model, samples, reference, **changes):
    figures = []
    config = replace(ReinforcementTrainingConfig(epochs=1, batch_size=3, updates=1, extra_candidates=0), **changes)
    train_reinforcement(
        model.reinforcement,
        samples,
        reference,
        paid,
        config,
        torch.Generator().manual_seed(0),
        lambda _, __, ___, values: figures.append(values),
    )
    return figures


def test_the_reference_is_one_of_the_group(model, features, reference):
    config = ReinforcementTrainingConfig(grpo=GrpoConfig(scale=AdvantageScale.FIXED, fixed_scale=1.0))
    rollout = rolled(model.reinforcement, features, reference, config)
    total = paid(ALL, rollout.draw.leaves).total
    # A leaf's last edge is its own: its advantage is the leaf's, told from the mean of all, the reference included.
    torch.testing.assert_close(rollout.credit.advantage[:, :, -1], total[:, 1:] - total.mean(1, keepdim=True))


@pytest.mark.parametrize(("rate", "grows"), [(0.05, True), (1e-9, False)])
def test_beta_follows_what_the_last_step_did_even_if_it_is_the_only_one(model, samples, reference, rate, grows):
    kl = KlConfig(initial_beta=0.1, target=1e-3, factor=2.0)
    optimiser = OptimiserConfig(learning_rate=rate, weight_decay=0.0)
    figures = reinforce(model, samples, reference, grpo=GrpoConfig(kl=kl), optimiser=optimiser)[0]
    assert figures["KL"] > 2e-3 if grows else figures["KL"] < 5e-4
    assert figures["beta"] == pytest.approx(0.2 if grows else 0.05)


def statistics_of(module):
    return {name: value.clone() for name, value in module.named_buffers() if "running" in name}


def test_normalisation_statistics_stay_while_reinforcing_and_move_while_imitating(model, samples, reference):
    before = statistics_of(model.reinforcement)
    model.reinforcement.train()
    reinforce(model, samples, reference)
    assert before and all(torch.equal(before[n], v) for n, v in statistics_of(model.reinforcement).items())
    before = statistics_of(model.imitation)
    train_imitation(model.imitation, samples, ImitationConfig(epochs=1, batch_size=3), torch.Generator())
    assert any(not torch.equal(before[n], v) for n, v in statistics_of(model.imitation).items())
    assert not model.imitation.training


def test_normalisation_statistics_stay_while_a_policy_draws_for_itself(model, samples):
    before = statistics_of(model.imitation)
    model.imitation.train()
    config = PolicyTrainingConfig(epochs=1, batch_size=3, updates=1, group_size=3)
    train_policy(model.imitation, samples, paid, config, torch.Generator().manual_seed(0))
    assert before and all(torch.equal(before[n], v) for n, v in statistics_of(model.imitation).items())


def backbone_moved(model, samples, reference, train_backbone):
    before = [p.detach().clone() for p in model.reinforcement.backbone.parameters()]
    reinforce(model, samples, reference, train_backbone=train_backbone)
    return any(not torch.equal(a, b) for a, b in zip(before, model.reinforcement.backbone.parameters(), strict=True))


def test_reinforcement_trains_the_backbone_if_it_is_told_to(model, samples, reference):
    assert not backbone_moved(model, samples, reference, train_backbone=False)
    assert backbone_moved(model, samples, reference, train_backbone=True)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_map_loss_teaches_the_map_head(model, samples, weight):
    before = model.imitation.backbone.semantic_head.weight.detach().clone()
    optimiser = OptimiserConfig(weight_decay=0.0)
    config = ImitationConfig(epochs=1, batch_size=3, bev_weight=weight, optimiser=optimiser)
    train_imitation(model.imitation, samples, config, torch.Generator().manual_seed(0))
    moved = not torch.equal(before, model.imitation.backbone.semantic_head.weight)
    assert moved == (weight > 0)


def test_gradients_are_clipped():
    weight = nn.Parameter(torch.zeros(4))
    optimiser = Optimiser([weight], OptimiserConfig(max_gradient_norm=0.5), 10)
    optimiser.step((weight * 1000.0).sum())
    assert float(weight.grad.norm()) == pytest.approx(0.5, rel=1e-3)


def test_a_step_that_is_not_finite_changes_nothing_and_a_run_of_them_ends_the_training():
    weight = nn.Parameter(torch.ones(2))
    optimiser = Optimiser([weight], OptimiserConfig(), 10)
    assert not optimiser.step((weight * torch.tensor(float("nan"))).sum())
    # A finite loss whose gradient is not: the slope of the root at zero.
    assert not optimiser.step((weight - 1.0).abs().sqrt().sum())
    assert weight.tolist() == [1.0, 1.0] and optimiser.guard.skipped == 2
    assert optimiser.step(weight.sum())
    with pytest.raises(ValueError, match=f"training diverged: .* {MAX_SKIPPED_IN_A_ROW} steps in a row"):
        for _ in range(MAX_SKIPPED_IN_A_ROW):
            optimiser.step(weight.sum() * float("inf"))


def test_lidar_drop_empties_its_share_of_the_cells(features):
    full = Features(features.camera, torch.ones_like(features.lidar), features.ground, features.status)
    config = AugmentationConfig(0.0, 0.0, 0.3, 0.0)
    dropped = augment(full, config, torch.Generator().manual_seed(0)).lidar
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.03)


def likes_left(monkeypatch, branch):
    """A reward model that thinks the better of a plan the more to the left it ends."""

    def predict(bev, poses):
        reward = torch.sigmoid(poses[..., -1, 1])
        sub_scores = reward.unsqueeze(-1).expand(*reward.shape, len(branch.reward.names))
        return PredictedReward(sub_scores, reward, torch.ones_like(reward))

    monkeypatch.setattr(branch.reward, "predict", predict)


def how_far_left(tree):
    return float(tree.grown[..., -1, 1].mean())


@torch.no_grad()
def test_predicted_rewards_decide_which_branches_grow(model, features, reference, monkeypatch):
    branch = model.reinforcement
    likes_left(monkeypatch, branch)
    bev = branch.backbone(features)
    ends = [how_far_left(choose(branch, bev, reference, JoinConfig(value_weight=w)).tree) for w in (0.0, 1e4)]
    assert ends[1] > ends[0] + 0.5
    settings = [ReinforcementTrainingConfig(value_weight=w, exploration=0.01) for w in (0.0, 1e4)]
    grown = [rolled(branch, features, reference, s).draw.tree for s in settings]
    assert how_far_left(grown[1]) > how_far_left(grown[0]) + 0.5


@pytest.mark.parametrize("after", [0.4, 0.5, 0.6])
def test_what_reinforcement_made_is_kept_only_if_it_is_no_worse(model, after):
    branch = model.reinforcement
    earlier = {name: value.clone() for name, value in branch.state_dict().items()}
    with torch.no_grad():
        branch.sampler.log_std.add_(1.0)
    calibrations = Calibration((0.0, 0.1), (0.1, 0.5)), Calibration((0.0, 0.1), (0.2, after))
    kept = keep_better(branch, earlier, *calibrations)
    put_back = torch.equal(branch.sampler.log_std, earlier["sampler.log_std"])
    assert (put_back, kept is calibrations[0]) == ((after < 0.5), (after < 0.5))


def test_groups_that_teach_nothing_weigh_nothing(model, features, reference):
    draw = rolled(model.reinforcement, features, reference).draw
    leaves = draw.leaves.shape[1]
    total = torch.linspace(0.0, 1.0, leaves).repeat(3, 1)
    total[0] = 0.7
    total[1, 0] = 0.95
    credit = credit_of(total, draw, GrpoConfig(drop_equal_groups=True, train_below=0.9))
    assert (credit.weight.flatten(1).sum(1) > 0).tolist() == [False, False, True]
    assert (credit_of(total, draw, GrpoConfig()).weight.flatten(1).sum(1) > 0).all()


def test_leaves_of_one_intention_are_compared_with_each_other(model, features, reference):
    draw = rolled(model.reinforcement, features, reference).draw
    # All of one first intention score alike, another for each: within an intention nobody is better than the others.
    total = torch.cat((torch.zeros(3, 1), draw.tree.intentions[:, :, 0].float() / 5.0), dim=1)
    assert credit_of(total, draw, GrpoConfig(within_intention=True)).advantage.abs().max() < 1e-3
    assert credit_of(total, draw, GrpoConfig()).advantage.abs().max() > 0.5
