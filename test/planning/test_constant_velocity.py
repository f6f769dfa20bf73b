"""The constant velocity baseline."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pair_drive_core.planning.constant_velocity import ConstantVelocityPlanner
from pair_drive_core.planning.planner import Planner, PrivilegedPlanner
from pair_drive_core.scene import AgentInput, DrivingCommand, EgoStatus, SceneError


def agent_input(velocity):
    status = EgoStatus(0, np.zeros(3), np.asarray(velocity, float), np.zeros(2), DrivingCommand.STRAIGHT)
    return AgentInput((status,), {}, None)


def test_is_both_kinds_of_planner():
    planner = ConstantVelocityPlanner()
    assert isinstance(planner, Planner)
    assert isinstance(planner, PrivilegedPlanner)


@pytest.mark.parametrize("velocity, speed", [((6.0, 0.0), 6.0), ((3.0, 4.0), 5.0), ((-2.0, 0.0), 2.0), ((0.0, 0.0), 0)])
def test_drives_straight_at_the_length_of_the_velocity(roads, velocity, speed):
    scene = roads.road()
    ego = replace(scene.ego, velocity=torch.tensor(velocity, dtype=torch.float64))
    expected = torch.zeros(8, 3, dtype=torch.float64)
    expected[:, 0] = speed * 0.5 * torch.arange(1, 9)
    for plan in (
        ConstantVelocityPlanner().plan(agent_input(velocity)),
        ConstantVelocityPlanner().plan_scene(replace(scene, ego=ego)),
    ):
        torch.testing.assert_close(plan.poses, expected)
        assert plan.interval_s == 0.5
        assert plan.candidates is None


@pytest.mark.parametrize("velocity", [(float("nan"), 0.0), (1.0, float("inf")), (1.0, 2.0, 3.0)])
def test_refuses_bad_velocities_by_name(velocity):
    with pytest.raises(SceneError, match="velocity"):
        ConstantVelocityPlanner().plan(agent_input(velocity))


def test_refuses_an_input_without_status():
    with pytest.raises(SceneError, match="status"):
        ConstantVelocityPlanner().plan(AgentInput((), {}, None))
