import math

import numpy as np
import pytest
import torch

from pair_drive_core.driving.guarded_planner import GuardedPlanner, Intervention, way_of
from pair_drive_core.driving.output_guard import GuardLimits
from pair_drive_core.driving.world_look import ContactSpeed, LookLimits, first_contact
from pair_drive_core.planning.constant_velocity import ConstantVelocityPlanner
from pair_drive_core.scene import PACIFICA, AgentInput, DrivingCommand, EgoStatus, LidarSweep

LIMITS = LookLimits()


def ground(slope=0.0, reach_m=60):
    """Points of a road, five a square metre or so; z rises with x."""
    rng = np.random.default_rng(0)
    xy = np.stack((rng.uniform(-10, reach_m, 6000), rng.uniform(-8, 8, 6000)), axis=-1)
    return np.column_stack((xy, slope * np.clip(xy[:, :1], 0, None), np.full(6000, 0.3))).astype(np.float32)


def rear_of_a_car(distance_m, aside_m=0.0, bottom_m=0.3, top_m=1.5):
    """Points on the rear of a car, which is two metres wide."""
    y, z = np.meshgrid(np.linspace(aside_m - 1, aside_m + 1, 15), np.linspace(bottom_m, top_m, 6))
    return np.column_stack((np.full(y.size, distance_m), y.ravel(), z.ravel(), np.full(y.size, 0.5))).astype(np.float32)


def straight(speed=8.0):
    poses = torch.zeros(8, 3)
    poses[:, 0] = 0.5 * speed * torch.arange(1, 9)
    return poses


def contact(*clouds, poses=None):
    return first_contact(way_of(straight() if poses is None else poses), np.concatenate(clouds), LIMITS)


def test_the_way_to_a_car_ahead_is_that_of_the_bumper():
    assert contact(ground(), rear_of_a_car(20.0)).distance_m == pytest.approx(20.0 - PACIFICA.front_length_m, abs=0.3)


@pytest.mark.parametrize("slope", [0.0, 0.1, -0.1])
def test_the_ground_is_nothing_in_the_way_even_where_it_rises(slope):
    assert contact(ground(slope)) is None


@pytest.mark.parametrize(
    "cloud",
    [
        rear_of_a_car(20.0, aside_m=3.5),
        rear_of_a_car(20.0, bottom_m=3.0, top_m=5.0),
        rear_of_a_car(20.0, bottom_m=0.0, top_m=0.2),
        rear_of_a_car(-6.0),
        rear_of_a_car(2.0),
        rear_of_a_car(20.0)[:2],
    ],
    ids=["beside", "bridge", "curb", "behind", "own roof", "two points"],
)
def test_what_the_vehicle_does_not_touch_is_not_in_the_way(cloud):
    assert contact(ground(), cloud) is None


def test_the_way_is_that_of_the_plan_not_straight_on():
    angle = 0.1 * torch.arange(1, 9)
    curve = torch.stack((30 * angle.sin(), 30 * (1 - angle.cos()), angle), dim=-1)
    beside_the_road = rear_of_a_car(24.0, aside_m=-2.0)
    assert contact(ground(), beside_the_road, poses=curve) is None
    in_the_curve = rear_of_a_car(20.0, aside_m=30 - math.sqrt(30**2 - 20**2))
    assert contact(ground(), in_the_curve, poses=curve).distance_m == pytest.approx(17.0, abs=1.5)


def test_the_speed_of_what_is_ahead_is_believed_once_it_was_seen():
    speed = ContactSpeed()
    assert speed.update(0.0, np.array([20.0, 0.0]), 0.0) == 0.0
    assert speed.update(0.1, np.array([20.8, 0.0]), 0.0) == 0.0
    assert speed.update(0.2, np.array([21.6, 0.0]), 0.0) == pytest.approx(8.0)
    assert speed.update(0.3, np.array([21.7, 0.0]), 0.0) == pytest.approx(1.0), "the slower of the last and the whole"
    assert speed.update(0.4, None, 0.0) == 0.0
    assert speed.update(0.5, np.array([30.0, 0.0]), 0.0) == 0.0


class Road:
    """An ego on a straight road behind something; drives the first half second of each plan, every tenth of it anew."""

    def __init__(self, guarded, ahead_m, speed, other_speed=0.0):
        self.guarded, self.ahead_m, self.other_speed = guarded, ahead_m, other_speed
        self.x, self.speed, self.time_s, self.results = 0.0, speed, 0.0, []

    def step(self):
        status = EgoStatus(
            round(self.time_s * 1e6),
            np.array([self.x, 0.0, 0.0]),
            np.array([self.speed, 0.0]),
            np.zeros(2),
            DrivingCommand.STRAIGHT,
        )
        other = rear_of_a_car(self.ahead_m + self.other_speed * self.time_s - self.x)
        sweep = LidarSweep(np.concatenate((ground(), other)), status.time_us)
        result = self.guarded.plan(AgentInput((status,), {}, sweep))
        self.results.append(result)
        step_m = float(result.plan.poses[0, 0])
        end_speed = max(2 * step_m / 0.5 - self.speed, 0.0)
        self.speed += 0.2 * (end_speed - self.speed)
        self.x += 0.1 * self.speed
        self.time_s += 0.1

    @property
    def gap_m(self):
        return self.ahead_m + self.other_speed * self.time_s - self.x - PACIFICA.front_length_m


@pytest.mark.parametrize("speed", [3.0, 8.0, 14.0])
def test_a_planner_that_only_keeps_its_speed_does_not_run_into_a_standing_car(speed):
    road = Road(GuardedPlanner(ConstantVelocityPlanner(), GuardLimits()), 55.0, speed)
    for _ in range(200):
        road.step()
        assert road.gap_m > 0.3
    assert road.speed < 0.1 and road.gap_m < 6.0
    kinds = {result.intervention for result in road.results}
    assert kinds <= {Intervention.NONE, Intervention.SLOWED, Intervention.HARD_STOP}
    braked = next(result for result in road.results if result.intervention is not Intervention.NONE)
    assert "something in the way: " in braked.reason and 0 < braked.contact_s < 10
    assert road.results[0].intervention is Intervention.NONE or speed > 10


def test_a_car_that_drives_ahead_as_fast_is_followed_in_peace():
    road = Road(GuardedPlanner(ConstantVelocityPlanner(), GuardLimits()), 20.0, 8.0, other_speed=8.0)
    for _ in range(30):
        road.step()
    assert all(result.intervention is Intervention.NONE for result in road.results[5:])


def test_without_the_look_it_would_drive_on():
    look = LookLimits(enabled=False)
    road = Road(GuardedPlanner(ConstantVelocityPlanner(), GuardLimits(), look=look), 30.0, 8.0)
    for _ in range(40):
        road.step()
    assert road.gap_m < 0


def test_limits_must_be_positive_and_consistent():
    problems = LookLimits(braking_mps2=0.0, least_height_m=3.0).problems()
    assert [text.split(":")[0] for text in problems] == ["braking_mps2", "least_height_m"]
