"""The learned planners: what they answer, from what, and why."""

import math

import pytest
import torch

from pair_drive_core.models import CheckpointError, JoinConfig, build_features, save_checkpoint
from pair_drive_core.planning.plan import PlanSource
from pair_drive_core.planning.planner import Planner
from pair_drive_core.policies import ImitationPlanner, ParallelPlanner, load_planner, plan_batch
from pair_drive_core.scene import AgentInput, SceneError


@pytest.fixture
def planner(model):
    return ParallelPlanner(model)


def test_both_are_planners(model, planner):
    assert isinstance(planner, Planner)
    assert isinstance(ImitationPlanner(model.imitation, model.config.features), Planner)


def test_imitation_plans_what_its_network_says(model, agent_input):
    plan = ImitationPlanner(model.imitation, model.config.features).plan(agent_input)
    expected = model.imitation(build_features(agent_input, model.config.features))[0]
    torch.testing.assert_close(plan.poses, expected, atol=1e-4, rtol=1e-4)
    assert plan.source is PlanSource.IMITATION
    assert math.isnan(plan.score)
    assert plan.candidates is None


def test_first_candidate_is_the_imitation_plan(model, planner, agent_input):
    candidates = planner.plan(agent_input).candidates
    imitation = ImitationPlanner(model.imitation, model.config.features).plan(agent_input)
    assert candidates.imitation_index == 0
    assert torch.equal(candidates.poses[0], imitation.poses)
    assert candidates.log_prob[0] == 0
    assert (candidates.log_prob[1:] < 0).all()


def test_plan_is_the_leaf_of_the_best_predicted_reward(planner, agent_input):
    plan = planner.plan(agent_input)
    best = int(plan.candidates.reward.argmax())
    assert torch.equal(plan.poses, plan.candidates.poses[best])
    assert plan.score == pytest.approx(float(plan.candidates.reward[best]))
    assert plan.confidence == pytest.approx(float(plan.candidates.confidence[best]))
    assert plan.source is (PlanSource.IMITATION if best == 0 else PlanSource.REINFORCEMENT)


def test_imitation_plan_wins_when_nothing_beats_it_by_the_margin(model, agent_input):
    plan = ParallelPlanner(model, config=JoinConfig(margin=1.0)).plan(agent_input)
    assert plan.source is PlanSource.IMITATION
    assert torch.equal(plan.poses, plan.candidates.poses[0])


@pytest.mark.parametrize("group_size", [4, 30])
def test_group_size_can_be_chosen_at_inference(model, agent_input, group_size):
    plan = ParallelPlanner(model, config=JoinConfig(group_size=group_size)).plan(agent_input)
    assert plan.candidates.poses.shape[0] == group_size


def test_equal_backbones_look_once_and_plan_the_same(model, agent_input):
    model.reinforcement.backbone.load_state_dict(model.imitation.backbone.state_dict())
    looks = []
    model.imitation.backbone.register_forward_hook(lambda *_: looks.append("imitation"))
    model.reinforcement.backbone.register_forward_hook(lambda *_: looks.append("reinforcement"))
    once = ParallelPlanner(model).plan(agent_input)
    assert len(looks) == 1
    expected = model.imitation(build_features(agent_input, model.config.features))[0]
    torch.testing.assert_close(once.candidates.poses[0], expected, atol=1e-4, rtol=1e-4)


def test_backbones_that_differ_in_one_weight_both_look(model, agent_input):
    model.reinforcement.backbone.load_state_dict(model.imitation.backbone.state_dict())
    with torch.no_grad():
        next(model.reinforcement.backbone.parameters()).flatten()[0] += 1e-3
    looks = []
    for branch in (model.imitation, model.reinforcement):
        branch.backbone.register_forward_hook(lambda *_: looks.append(1))
    ParallelPlanner(model).plan(agent_input)
    assert len(looks) == 2


def test_same_input_same_plan(planner, agent_input):
    assert torch.equal(planner.plan(agent_input).poses, planner.plan(agent_input).poses)


@pytest.fixture
def previous(planner, agent_input):
    """A plan before that is no leaf of the tree."""
    poses = planner.plan(agent_input).candidates.poses[1].clone()
    poses[:, 1] += 0.5
    return poses


def test_without_a_cost_of_change_the_plan_before_says_nothing(planner, agent_input, previous):
    plan, before = planner.plan_after(agent_input, previous), planner.plan(agent_input)
    assert torch.equal(plan.candidates.poses, before.candidates.poses)
    assert torch.equal(plan.poses, before.poses)


def test_where_change_costs_much_the_plan_before_is_driven_on(model, agent_input, previous):
    plan = ParallelPlanner(model, config=JoinConfig(change_cost=1.0)).plan_after(agent_input, previous.double())
    assert torch.equal(plan.poses, previous)
    assert torch.equal(plan.candidates.poses[-1], previous)
    assert len(plan.candidates.poses) == model.config.reinforcement.sampler.group_size + 1
    assert plan.source is PlanSource.REINFORCEMENT
    assert plan.candidates.log_prob[-1] == 0


def test_change_costs_by_its_mean_distance_over_three_seconds(model, agent_input, previous):
    cost = 0.01
    plan = ParallelPlanner(model, config=JoinConfig(change_cost=cost)).plan_after(agent_input, previous)
    leaves = plan.candidates
    distance = (leaves.poses[:, :6, :2] - previous[:6, :2]).pow(2).sum(-1).sqrt().mean(1)
    best = int((leaves.reward - cost * distance).argmax())
    assert torch.equal(plan.poses, leaves.poses[best])
    assert plan.score == pytest.approx(float(leaves.reward[best])), "the reward is the reward, without the cost"


def test_without_a_plan_before_nothing_costs(model, planner, agent_input):
    plan = ParallelPlanner(model, config=JoinConfig(change_cost=1.0)).plan(agent_input)
    assert torch.equal(plan.poses, planner.plan(agent_input).poses)


def test_batch_agrees_with_single_plans(model, planner, agent_input):
    features = build_features(agent_input, model.config.features)
    both = type(features).concatenate([features, features])
    choice = plan_batch(model, both)
    plan = planner.plan(agent_input)
    leaves = choice.tree.leaves[torch.arange(2), choice.chosen]
    torch.testing.assert_close(leaves, plan.poses.expand(2, -1, -1), atol=1e-4, rtol=1e-4)


def test_missing_reading_is_an_error(planner, agent_input):
    with pytest.raises(SceneError, match="CAM_F0"):
        planner.plan(AgentInput(agent_input.status, {}, agent_input.lidar))


def test_broken_network_is_an_error_not_a_plan(model, agent_input):
    with torch.no_grad():
        model.imitation.query.fill_(float("nan"))
    with pytest.raises(SceneError, match="finite"):
        ParallelPlanner(model).plan(agent_input)


def test_load_planner_gives_back_what_was_saved(model, planner, agent_input, tmp_path):
    save_checkpoint(tmp_path / "model.safetensors", model, {})
    loaded = load_planner(tmp_path / "model.safetensors")
    assert torch.equal(loaded.plan(agent_input).poses, planner.plan(agent_input).poses)


def test_load_planner_refuses_other_files(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_planner(tmp_path / "model.safetensors")
