"""The follower around the kinematic bicycle: how near it stays to its plans, where it stops, and when it brakes."""

import math

import numpy as np
import pytest
import torch

from pair_drive_core.driving.ego_track import MotionSample
from pair_drive_core.driving.follower import Follower, FollowerConfig, FollowerLimits, TrackingGains
from pair_drive_core.simulation.commanded_vehicle import ActuatorCommand, obey
from pair_drive_core.simulation.plan_follower import TimedPlan

TIMES = np.arange(9) * 0.5
STEP_US = 100_000


def circle(speed, radius):
    """Poses on a circle through the origin; positive radius bends left."""

    def poses(start_s):
        angle = speed * (start_s + TIMES) / radius
        return np.column_stack((radius * np.sin(angle), radius * (1 - np.cos(angle)), angle))

    return poses


def straight(speed):
    return lambda start_s: np.column_stack((speed * (start_s + TIMES), 0 * TIMES, 0 * TIMES))


def stopping(speed, deceleration):
    def poses(start_s):
        time = np.clip(start_s + TIMES, 0, speed / deceleration)
        return np.column_stack((speed * time - 0.5 * deceleration * time**2, 0 * TIMES, 0 * TIMES))

    return poses


class Drive:
    """A vehicle, its follower, and a planner that gives a new plan each 0.2 s."""

    def __init__(self, poses, speed, y=0.0, config=None):
        self.follower, self.poses, self.step = Follower(config), poses, 0
        self.state = torch.zeros(11, dtype=torch.float64)
        self.state[1], self.state[3] = y, speed
        self.commands = []

    @property
    def time_us(self):
        return self.step * STEP_US

    def plan(self):
        self.follower.receive_plan(TimedPlan(self.time_us, TIMES, self.poses(self.time_us * 1e-6)), "odom")

    def motion(self, frame="odom", moved=0.0):
        pose = self.state[:3].numpy() + np.array([moved, 0.0, 0.0])
        self.follower.receive_motion(MotionSample(self.time_us, pose, np.array([float(self.state[3]), 0.0])), frame)

    def go(self, seconds, replan=True):
        for _ in range(round(seconds * 10)):
            if replan and self.step % 2 == 0:
                self.plan()
            self.motion()
            command = self.follower.command(self.time_us)
            self.commands.append(command)
            self.state = obey(self.state, ActuatorCommand(command.steering_rad, command.acceleration_mps2))
            self.step += 1
        return self


@pytest.mark.parametrize(("speed", "radius"), [(3, 8), (5, -12), (8, 20), (10, 30), (15, -80)])
def test_on_a_curve_it_stays_near_the_path_and_at_its_speed(speed, radius):
    drive = Drive(circle(speed, radius), speed).go(10.0)
    lateral = np.array([command.lateral_m for command in drive.commands])
    assert np.abs(lateral).max() < 0.4, "entering the curve with the wheel straight"
    assert np.sqrt(np.mean(lateral[30:] ** 2)) < 0.2
    assert max(abs(command.behind_m) for command in drive.commands[20:]) < 0.25
    assert float(drive.state[3]) == pytest.approx(speed, abs=0.15)
    assert math.copysign(1, drive.commands[-1].steering_rad) == math.copysign(1, radius), "left is positive"
    assert not any(command.reason for command in drive.commands)


@pytest.mark.parametrize("speed", [2.0, 5.0, 10.0, 15.0])
def test_an_offset_dies_out_without_swinging_over(speed):
    drive = Drive(straight(speed), speed, y=1.0).go(6.0)
    lateral = [command.lateral_m for command in drive.commands]
    assert min(lateral) > -0.05 and lateral[-1] < 0.1
    assert drive.commands[0].steering_rad < 0.0, "to the right, from the left of the path"


@pytest.mark.parametrize("speed", [5.0, 10.0, 15.0])
def test_it_stops_where_the_plan_stops_and_stands(speed):
    drive = Drive(stopping(speed, 2.0), speed).go(14.0)
    assert float(drive.state[0]) == pytest.approx(speed**2 / 4.0, abs=0.25)
    assert float(drive.state[3]) == 0.0
    assert drive.commands[-1].acceleration_mps2 < 0.0, "held"
    assert min(command.acceleration_mps2 for command in drive.commands) > -3.2
    place = float(drive.state[0])
    assert float(drive.go(2.0).state[0]) == place


def test_from_a_standstill_it_starts_with_the_plan():
    drive = Drive(lambda s: np.column_stack(((s + TIMES) ** 2, 0 * TIMES, 0 * TIMES)), 0.0).go(3.0)
    assert float(drive.state[3]) == pytest.approx(6.0, abs=0.8)


def test_a_late_plan_is_joined_where_it_wants_the_vehicle_now():
    drive = Drive(straight(10.0), 10.0)
    drive.plan()
    drive.step = 5
    drive.state[0] = 5.0
    drive.motion()
    command = drive.follower.command(drive.time_us)
    assert abs(command.behind_m) < 0.05 and abs(command.acceleration_mps2) < 0.1


def test_limits_of_steering_rate_acceleration_and_jerk_hold():
    drive = Drive(circle(8.0, 6.0), 2.0, config=FollowerConfig(limits=FollowerLimits(off_plan_m=100.0))).go(5.0)
    vehicle = drive.follower.config.vehicle
    steering = np.array([command.steering_rad for command in drive.commands])
    acceleration = np.array([command.acceleration_mps2 for command in drive.commands])
    assert np.abs(steering).max() <= vehicle.max_steering_rad
    assert np.abs(np.diff(steering)).max() <= vehicle.max_steering_rate_rps * 0.1 + 1e-9
    assert acceleration.max() <= vehicle.max_acceleration_mps2
    assert np.abs(np.diff(acceleration)).max() <= vehicle.max_jerk_mps3 * 0.1 + 1e-9


def test_a_second_command_of_the_same_moment_replaces_the_first():
    drive = Drive(circle(5.0, 10.0), 5.0)
    drive.plan()
    drive.motion()
    first, second = drive.follower.command(0), drive.follower.command(0)
    assert second.steering_rad == first.steering_rad > 0.0


def test_without_new_plans_it_brakes_along_the_old_ones_path():
    drive = Drive(circle(8.0, 20.0), 8.0).go(2.0).go(8.0, replan=False)
    reasons = [command.reason for command in drive.commands]
    first = next(index for index, reason in enumerate(reasons) if reason)
    assert "old, limit 1.0 s" in reasons[first] and first == 18 + 11
    assert float(drive.state[3]) == 0.0
    radius = math.hypot(float(drive.state[0]), float(drive.state[1]) - 20.0)
    assert radius == pytest.approx(20.0, abs=0.6), "still on the path"


def test_a_frame_that_jumps_or_changes_makes_it_brake_until_a_plan_of_after_it_comes():
    drive = Drive(straight(8.0), 8.0).go(1.0)
    drive.motion(moved=3.0)
    command = drive.follower.command(drive.time_us)
    assert "jumped" in command.reason and command.acceleration_mps2 == -drive.follower.config.limits.brake_mps2
    old = TimedPlan(drive.time_us - STEP_US, TIMES, drive.poses(0.0))
    assert not drive.follower.receive_plan(old, "odom")
    poses = drive.poses(drive.time_us * 1e-6) + np.array([3.0, 0.0, 0.0])
    assert drive.follower.receive_plan(TimedPlan(drive.time_us, TIMES, poses), "odom")
    assert drive.follower.command(drive.time_us).reason == ""
    drive.step += 1
    drive.motion(frame="map", moved=3.8)
    assert "'map'" in drive.follower.command(drive.time_us).reason


def test_a_plan_that_lies_elsewhere_is_not_followed():
    drive = Drive(lambda start_s: straight(8.0)(start_s) + np.array([0.0, 4.0, 0.0]), 8.0)
    drive.plan()
    drive.motion()
    command = drive.follower.command(0)
    assert "4.0 m from the ego" in command.reason and command.steering_rad == 0.0


def test_old_odometry_no_odometry_and_no_plan_brake():
    drive = Drive(straight(8.0), 8.0)
    assert drive.follower.command(0).reason == "no odometry yet"
    drive.motion()
    assert drive.follower.command(0).reason == "no plan yet"
    drive.plan()
    assert drive.follower.command(0).reason == ""
    assert "odometry 0.60 s old" in drive.follower.command(600_000).reason
    drive.follower.reset("time jumped")
    drive.motion()
    assert drive.follower.command(0).reason == "time jumped"


def test_a_plan_to_stand_still_keeps_the_wheel():
    drive = Drive(circle(3.0, 10.0), 3.0).go(2.0)
    wheel = drive.commands[-1].steering_rad
    here = drive.state[:3].numpy().copy()
    drive.poses = lambda start_s: np.tile(here, (9, 1)) + np.array([0.0, 0.0, 1.0]) * np.sin(TIMES)[:, None]
    drive.go(4.0)
    assert drive.commands[-1].steering_rad == pytest.approx(wheel, abs=1e-6)
    assert float(drive.state[3]) == 0.0


def test_values_that_make_no_sense_are_named_together():
    config = FollowerConfig(gains=TrackingGains(damping=-1.0), limits=FollowerLimits(brake_mps2=50.0))
    with pytest.raises(ValueError, match=r"gains\.damping.*limits\.brake_mps2"):
        Follower(config)
