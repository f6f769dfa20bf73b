import numpy as np
import pytest
import torch

from pair_drive_core.scene import SceneError
from pair_drive_core.simulation.plan_follower import TimedPlan, follow

TIMES = np.arange(9) * 0.5


def straight(speed, start_us=0, x=0.0):
    poses = np.zeros((9, 3))
    poses[:, 0] = x + speed * TIMES
    return TimedPlan(start_us, TIMES, poses)


def drive(plan, state, steps, start_us=0):
    for step in range(steps):
        state = follow(plan, start_us + step * 100_000, state)
    return state


def moving(speed, x=0.0, y=0.0):
    state = torch.zeros(11, dtype=torch.float64)
    state[0], state[1], state[3] = x, y, speed
    return state


def test_a_vehicle_on_its_plan_stays_on_it():
    state = drive(straight(10.0), moving(10.0), 20)
    assert state[:4].tolist() == pytest.approx([20.0, 0.0, 0.0, 10.0], abs=1e-2)


def test_a_vehicle_beside_its_plan_comes_back():
    state = drive(straight(10.0), moving(10.0, y=1.0), 35)
    assert abs(float(state[1])) < 0.2


def test_a_plan_of_half_a_second_ago_is_joined_where_it_is_now():
    state = follow(straight(10.0), 500_000, moving(10.0, x=5.0))
    assert float(state[3]) == pytest.approx(10.0, abs=0.05), "no braking for a pose that lies behind"


def test_after_the_end_of_a_plan_the_vehicle_stops():
    state = drive(straight(3.0), moving(3.0), 80)
    assert float(state[3]) == pytest.approx(0.0, abs=0.1)


def test_headings_are_interpolated_the_short_way():
    poses = np.array([[0, 0, 3.1], [-1, 0, -3.1]], dtype=np.float64)
    heading = TimedPlan(0, np.array([0.0, 0.2]), poses).at(100_000, 1)[0, 2]
    assert np.cos(heading) == pytest.approx(-1.0, abs=1e-3)


def test_times_that_do_not_increase_are_refused():
    with pytest.raises(SceneError, match="increasing"):
        TimedPlan(0, np.array([0.0, 0.0]), np.zeros((2, 3))).validate()
