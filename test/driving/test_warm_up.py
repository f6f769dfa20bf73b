"""Plans from made-up readings, before a network drives."""

import math

import numpy as np
import pytest
import torch

from pair_drive_core.driving.sensor_feed import SensorMounts
from pair_drive_core.driving.warm_up import made_up_input, warm_up
from pair_drive_core.planning.constant_velocity import ConstantVelocityPlanner
from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.scene import DrivingCommand


class Recorder:
    """Plans what the test says, and keeps what it was shown."""

    name = "recorder"

    def __init__(self, *lengths):
        self.lengths, self.shown = list(lengths), []

    def plan(self, agent_input):
        self.shown.append(agent_input.validate())
        return Plan(torch.full((8, 3), self.lengths.pop(0)), PlanSource.IMITATION, 0.5, 0.5)


def test_it_is_shown_a_standing_ego_before_nothing_and_a_driving_one_before_a_wall():
    planner = Recorder(0.0, 1.0)
    assert warm_up(planner, SensorMounts()) == ""
    standing, driving = planner.shown
    assert (standing.now.velocity.tolist(), driving.now.velocity.tolist()) == ([0.0, 0.0], [8.0, 0.0])
    assert driving.now.command is DrivingCommand.STRAIGHT
    stamps = {image.time_us for image in driving.cameras.values()}
    assert stamps == {driving.now.time_us} == {driving.lidar.time_us}, "all of one moment"
    for name in ("CAM_L0", "CAM_F0", "CAM_R0"):
        assert not standing.cameras[name].rgb.any()
        picture = driving.cameras[name].rgb
        assert picture.shape == (270, 480, 3) and picture[:, ::2].all() and not picture[:, 1::2].any()
    calibration = driving.cameras["CAM_F0"].calibration
    np.testing.assert_allclose(calibration.intrinsics, [[386.0, 0, 240.0], [0, 386.0, 135.0], [0, 0, 1]])
    np.testing.assert_allclose(calibration.ego_t_camera, [1.66, 0.0, 1.55])
    points = driving.lidar.points
    np.testing.assert_allclose(np.hypot(points[:, 0], points[:, 1]), 15.0, atol=1e-4)
    assert (points[:, 0] > 0).all() and np.ptp(points[:, 1]) > 20.0
    assert (points[:, 2:] == 0.5).all(), "above the ground, of middling intensity"


@pytest.mark.parametrize("lengths", [(math.nan, 1.0), (0.0, math.inf)])
def test_plans_that_are_not_finite_are_refused(lengths):
    assert warm_up(Recorder(*lengths), SensorMounts()) == "plans from made-up readings are not finite"


def test_a_planner_that_looks_at_nothing_is_refused_and_one_that_looks_is_not():
    assert "it looks at nothing it is given" in warm_up(Recorder(1.0, 1.0), SensorMounts())
    assert warm_up(ConstantVelocityPlanner(), SensorMounts()) == ""


def test_the_cameras_sit_where_the_mounts_say():
    mounts = SensorMounts(front=(1.0, 0.5, 2.0, 0.0, 0.0, 0.0))
    calibration = made_up_input(mounts, 0.0).cameras["CAM_F0"].calibration
    np.testing.assert_allclose(calibration.ego_t_camera, [1.0, 0.5, 2.0])
