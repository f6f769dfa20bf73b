import dataclasses
import math

import numpy as np
import pytest
import torch

from pair_drive_core.driving.output_guard import GuardLimits, guard_violations
from pair_drive_core.scene import DrivingCommand, EgoStatus

LIMITS = GuardLimits()


def ego(speed):
    return EgoStatus(0, np.zeros(3), np.array([speed, 0.0]), np.zeros(2), DrivingCommand.STRAIGHT)


def along(speeds, headings=None):
    """Poses of a vehicle that drives each half second at the given speed and heading."""
    headings = torch.zeros(8) if headings is None else headings
    step = torch.as_tensor(speeds, dtype=torch.float32) * 0.5
    x = (step * headings.cos()).cumsum(0)
    y = (step * headings.sin()).cumsum(0)
    return torch.stack((x, y, headings), dim=-1)


def violations(poses, speed):
    return guard_violations(poses, ego(speed), LIMITS, 0.5)


@pytest.mark.parametrize("speed", [0.0, 3.0, 15.0])
def test_keeping_the_speed_is_fine(speed):
    assert violations(along([speed] * 8), speed) == []


def test_braking_hard_to_a_stop_is_fine():
    assert violations(along([8.0, 4.0, 0.5, 0, 0, 0, 0, 0]), 10.0) == []


def test_a_town_corner_is_fine():
    # 90 degrees in 4 s at 4 m/s: radius 10 m.
    assert violations(along([4.0] * 8, torch.linspace(0.2, math.pi / 2, 8)), 4.0) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused(bad):
    poses = along([5.0] * 8)
    poses[3, 1] = bad
    assert violations(poses, 5.0) == ["not finite"]


def test_too_fast_is_refused_with_value_and_limit():
    (found,) = violations(along([31.0] * 8), 30.0)
    assert found == "speed 31.00 m/s above 30.0 at 0.5 s"


def test_reversing_is_refused():
    assert any(found.startswith("reverse speed 3.00") for found in violations(along([-3.0] * 8), -3.0))


@pytest.mark.parametrize(
    ("speeds", "name"), [([5, 5, 5, 10, 10, 10, 10, 10], "acceleration"), ([10, 10, 10, 4, 4, 4, 4, 4], "deceleration")]
)
def test_jumps_of_speed_are_refused(speeds, name):
    (found,) = violations(along(speeds), float(speeds[0]))
    assert found.startswith(f"{name} 1") and found.endswith("at 1.5 s")


def test_speeding_up_and_braking_in_turns_is_refused():
    assert violations(along([8, 8, 11, 8, 11, 8, 11, 8]), 8.0) == []
    (found,) = violations(along([8, 8, 11.9, 8, 11.9, 8, 8, 8]), 8.0)
    assert found == "jerk 31.20 m/s^3 above 30.0 at 1.0 s"


def test_turning_tighter_than_a_car_can_is_refused():
    assert any("curvature" in found for found in violations(along([2.0] * 8, torch.arange(1, 9) * 0.6), 2.0))


def test_turning_on_the_spot_while_standing_is_noise_not_curvature():
    poses = torch.zeros(8, 3)
    poses[:, 2] = 0.02 * torch.arange(8)
    assert violations(poses, 0.0) == []


def test_turning_too_hard_for_the_speed_is_refused():
    assert any("lateral acceleration" in v for v in violations(along([20.0] * 8, torch.arange(1, 9) * 0.25), 20.0))


def test_sliding_sideways_is_refused():
    poses = along([5.0] * 8)
    poses[:, 1] = 3.0 * torch.arange(1, 9)
    assert any("sideways step 3.00 m" in found for found in violations(poses, 5.0))


@pytest.mark.parametrize(("first", "speed"), [(12.0, 10.0), (0.0, 10.0), (4.0, 0.0)])
def test_a_plan_that_does_not_start_at_the_ego_is_refused(first, speed):
    poses = along([2 * first] * 8)
    assert any("beyond what the ego" in found for found in violations(poses, speed))


def test_wrong_shapes_are_refused():
    assert violations(torch.zeros(8, 2), 0.0) == ["expected poses of shape (8, 3), got (8, 2)"]


def test_limits_must_be_positive_and_consistent():
    broken = dataclasses.replace(LIMITS, max_speed_mps=0.5, max_curvature_per_m=-1.0)
    problems = broken.problems()
    assert [text.split(":")[0] for text in problems] == ["max_curvature_per_m", "max_reverse_speed_mps"]


@pytest.mark.parametrize("turn", [0.6, -0.6, 0.12])
def test_spinning_on_the_spot_is_refused(turn):
    poses = torch.zeros(8, 3)
    poses[:, 2] = turn * torch.arange(1, 9)
    assert any("turn on the spot" in found for found in violations(poses, 0.0))


@pytest.mark.parametrize("aside", [0.95, -0.95, 0.5])
def test_crabbing_is_refused(aside):
    poses = along([5.0] * 8)
    poses[:, 1] = aside * torch.arange(1, 9)
    assert any("mean sideways step" in found for found in violations(poses, 5.0))


def test_one_sideways_step_that_is_taken_back_is_noise():
    poses = along([5.0] * 8)
    poses[3, 1] = 0.6
    assert violations(poses, 5.0) == []


def test_a_vehicle_that_is_too_fast_already_may_slow_down():
    assert violations(along([34.0, 33.0, 32.0, 31.0, 30.0, 29.0, 28.0, 27.0]), 35.0) == []
    assert any(found.startswith("speed 35.00") for found in violations(along([35.0] * 8), 35.0))


@pytest.mark.parametrize("shape", [(8,), (0, 3), (8, 4)])
def test_other_shapes_are_refused(shape):
    assert violations(torch.zeros(shape), 0.0) == [f"expected poses of shape (8, 3), got {shape}"]
