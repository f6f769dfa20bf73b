"""The plan before, as the ego sees it now."""

import math

import numpy as np
import pytest
import torch

from pair_drive_core.geometry import compose_se2
from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.planning.plan_memory import EarlierPlan, plan_after
from pair_drive_core.planning.planner import Planner, SteadyPlanner
from pair_drive_core.scene import AgentInput, DrivingCommand, EgoStatus


def status(seconds, pose):
    return EgoStatus(round(seconds * 1e6), np.array(pose), np.array([5.0, 0.0]), np.zeros(2), DrivingCommand.STRAIGHT)


@pytest.fixture
def plan():
    """Left along a circle of 10 m at 5 m/s."""
    angle = 0.25 * torch.arange(1, 9)
    poses = torch.stack((10.0 * angle.sin(), 10.0 * (1.0 - angle.cos()), angle), dim=-1)
    return Plan(poses, PlanSource.IMITATION, 0.5, 0.5)


def test_at_its_own_moment_it_is_what_it_was(plan):
    start = status(3.0, (100.0, -20.0, 2.0))
    torch.testing.assert_close(EarlierPlan.of(plan, start).at(start), plan.poses.double(), atol=1e-6, rtol=0)


def test_half_a_second_later_on_its_path_it_is_the_rest_of_itself(plan):
    start = status(3.0, (100.0, -20.0, 2.0))
    place = compose_se2(torch.from_numpy(start.pose), plan.poses[0].double())
    rest = EarlierPlan.of(plan, start).at(status(3.5, place.tolist()))
    # The rest of a circle is the same circle.
    torch.testing.assert_close(rest[:7], plan.poses[:7].double(), atol=1e-6, rtol=0)
    # Beyond its end it goes straight on, as far as it went last.
    assert torch.linalg.norm(rest[7, :2] - rest[6, :2]) == pytest.approx(20.0 * math.sin(0.125), abs=1e-6)


def test_an_ego_beside_the_path_sees_it_beside_itself(plan):
    start = status(3.0, (0.0, 0.0, 0.0))
    seen = EarlierPlan.of(plan, start).at(status(3.0, (0.0, 1.0, 0.0)))
    torch.testing.assert_close(seen[:, 1], plan.poses[:, 1].double() - 1.0, atol=1e-6, rtol=0)


class Steady:
    name = "steady"

    def __init__(self, plan):
        self.answer, self.previous = plan, None

    def plan(self, agent_input):
        return self.answer

    def plan_after(self, agent_input, previous):
        self.previous = previous
        return self.answer


def test_only_planners_that_can_weigh_the_plan_before_are_told_of_it(plan):
    steady, seen = Steady(plan), AgentInput((status(3.2, (0.5, 0.0, 0.0)),), {}, None)
    earlier = EarlierPlan.of(plan, status(3.0, (0.0, 0.0, 0.0)))
    assert isinstance(steady, SteadyPlanner)
    plan_after(steady, seen, None)
    assert steady.previous is None
    plan_after(steady, seen, earlier)
    assert torch.equal(steady.previous, earlier.at(seen.now))

    class Plain:
        name = "plain"

        def plan(self, agent_input):
            return plan

    assert isinstance(Plain(), Planner)
    assert not isinstance(Plain(), SteadyPlanner)
    assert plan_after(Plain(), seen, earlier) is plan
