"""Plans against what the driver did: where they lie from the driver, and what cannot be compared."""

import math

import numpy as np
import pytest

from pair_drive_core.driving.ego_track import MotionSample
from pair_drive_core.driving.shadow import ShadowComparer, ShadowLimits
from pair_drive_core.simulation.plan_follower import TimedPlan

TIMES = np.arange(9) * 0.5


def plan(start_s, speed=5.0, bend=0.0):
    """Straight on in +y from (0, 5 start), or bending off to the left (-x)."""
    y = 5.0 * start_s + speed * TIMES
    return TimedPlan(round(start_s * 1e6), TIMES, np.column_stack((-bend * TIMES**2, y, np.full(9, math.pi / 2))))


def drive(comparer, until_s, from_s=0.0, frame="odom", moved=0.0):
    """A driver who goes straight on in +y at 5 m/s."""
    found = []
    for step in range(round(from_s * 10), round(until_s * 10) + 1):
        pose = np.array([moved, 0.5 * step, math.pi / 2])
        found += comparer.receive_motion(MotionSample(step * 100_000, pose, np.array([5.0, 0.0])), frame)
    return found


def test_a_plan_that_the_driver_drove_agrees_when_its_last_horizon_is_known():
    comparer = ShadowComparer()
    drive(comparer, 0.5)
    comparer.receive_plan(plan(0.0), "odom", "pair", False)
    assert drive(comparer, 3.9, 0.6) == []
    (found,) = drive(comparer, 4.0, 4.0)
    assert found.plan_us == 0 and not found.large and found.planner == "pair"
    assert np.abs([*found.along_m, *found.across_m, *found.heading_rad]).max() < 1e-9


def test_ahead_and_left_are_seen_from_where_the_driver_is():
    comparer = ShadowComparer()
    comparer.receive_plan(plan(0.0, speed=6.0, bend=0.1), "odom", "pair", False)
    (found,) = drive(comparer, 4.0)
    assert found.along_m == pytest.approx((1.0, 2.0, 3.0, 4.0))
    assert found.across_m == pytest.approx((0.1, 0.4, 0.9, 1.6), abs=0.03)
    assert found.large, "1.6 m aside is more than 1.5"
    near = ShadowComparer(ShadowLimits(across_m=2.0))
    near.receive_plan(plan(0.0, speed=6.0, bend=0.1), "odom", "pair", False)
    assert not drive(near, 4.0)[0].large


def test_plans_across_a_jump_a_gap_or_of_another_frame_are_counted_not_compared():
    comparer = ShadowComparer()
    drive(comparer, 0.5)
    comparer.receive_plan(plan(0.0), "odom", "pair", False)
    comparer.receive_plan(plan(0.0), "map", "pair", False)
    assert comparer.not_compared == 1
    assert drive(comparer, 9.0, 0.6, moved=3.0) == [] and comparer.not_compared == 2
    comparer.receive_plan(plan(8.5), "odom", "pair", False)
    assert drive(comparer, 15.0, 11.0, moved=3.0) == [] and comparer.not_compared == 3, "2 s without odometry"


def test_time_that_goes_back_starts_anew():
    comparer = ShadowComparer()
    drive(comparer, 6.0)
    comparer.receive_plan(plan(5.0), "odom", "pair", False)
    drive(comparer, 1.0)
    comparer.receive_plan(plan(1.0), "odom", "pair", False)
    (found,) = drive(comparer, 5.0, 1.1)
    assert found.plan_us == 1_000_000 and comparer.not_compared == 1
