"""The tracker's closed forms against the textbook formulation, and the model's limits."""

import math

import numpy as np
import pytest
import torch

from pair_drive_core.scene import PACIFICA, SceneError
from pair_drive_core.simulation import plan_sampling, simulate, simulate_poses
from pair_drive_core.simulation.kinematic_bicycle import propagate
from pair_drive_core.simulation.lqr_tracker import make_reference, track

STEP = 0.1


def winding_path(seed, speed):
    """(41, 3): a path with changing speed and curvature."""
    rng = np.random.default_rng(seed)
    speeds = np.maximum(speed + np.cumsum(rng.normal(0, 0.2, 40)), 0.0)
    headings = 0.5 + np.cumsum(rng.normal(0, 0.02, 41))
    xy = np.concatenate(
        (
            np.zeros((1, 2)),
            np.cumsum(speeds[:, None] * STEP * np.stack((np.cos(headings[:-1]), np.sin(headings[:-1])), -1), 0),
        )
    )
    return np.concatenate((xy, headings[:, None]), axis=-1)


def least_squares_profiles(poses):
    """Speeds and curvatures by dense regularised least squares."""
    step = np.diff(poses, axis=0)
    along = np.cos(poses[:-1, 2]) * step[:, 0] + np.sin(poses[:-1, 2]) * step[:, 1]
    design = np.tril(np.full((40, 40), STEP**2))
    design[:, 0] = STEP
    penalty = np.zeros((38, 40))
    penalty[:, 1:39] = -np.eye(38)
    penalty[37, 39] = 1.0
    x = np.linalg.solve(design.T @ design + 1e-4 * penalty.T @ penalty, design.T @ along)
    speed = x[0] + np.concatenate(([0.0], np.cumsum(x[1:] * STEP)))
    design = np.tril(np.ones((40, 40))) * speed[:, None] * STEP**2
    design[:, 0] = speed * STEP
    prior = 1e-2 * np.eye(40)
    prior[0, 0] = 1e-10
    x = np.linalg.solve(design.T @ design + prior, design.T @ step[:, 2])
    return speed, x[0] + np.concatenate(([0.0], np.cumsum(x[1:] * STEP)))


def textbook_commands(poses, step, state, wheel_base):
    """One control step with explicit matrices."""
    speed, curvature = least_squares_profiles(poses)
    acceleration = 10.0 / 11.0 * (speed[min(step + 10, 39)] - state[3])
    a, b, g = np.eye(3), np.zeros(3), np.zeros(3)
    for k in range(10):
        v = state[3] + acceleration * STEP * k
        m = np.array([[1, v * STEP, 0], [0, 1, v * STEP / wheel_base], [0, 0, 1.0]])
        a, b = m @ a, m @ b + [0, 0, STEP]
        g = m @ g + [0, -v * curvature[min(step + k, 39)] * STEP, 0]
    dx, dy, heading = state[0] - poses[step, 0], state[1] - poses[step, 1], poses[step, 2]
    error = a @ [-dx * math.sin(heading) + dy * math.cos(heading), state[2] - heading, state[7]] + g
    q = np.diag([1.0, 10.0, 0.0])
    return acceleration, -(b @ q @ error) / (b @ q @ b + 1.0)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("step", [0, 17, 33, 39])
def test_commands_equal_the_textbook_formulation(seed, step):
    poses = winding_path(seed, 8.0)
    state = np.zeros(11)
    state[:3] = poses[step] + [0.3, -0.2, 0.05]
    state[[3, 7]] = 7.0, 0.08
    reference = make_reference(torch.from_numpy(poses)[None])
    acceleration, rate = track(reference, step, torch.from_numpy(state)[None], PACIFICA.wheel_base_m)
    expected = textbook_commands(poses, step, state, PACIFICA.wheel_base_m)
    assert float(acceleration) == pytest.approx(expected[0], abs=1e-9)
    assert float(rate) == pytest.approx(expected[1], abs=1e-9)


@pytest.mark.parametrize("speed", [9.0, 0.3])
def test_a_rollout_is_tracking_and_moving_in_turns(speed):
    poses = torch.stack([torch.from_numpy(winding_path(seed, speed)) for seed in range(5)])
    start = torch.zeros(5, 11, dtype=torch.float64)
    start[:, 2], start[:, 3], start[:, 4], start[:, 5], start[:, 7], start[:, 9] = 0.5, speed, 0.1, 0.7, 0.02, 0.03
    reference, state = make_reference(poses), start
    rollout = simulate_poses(poses, start)
    assert torch.equal(rollout[:, 0], start)
    for step in range(40):
        state = propagate(state, *track(reference, step, state, PACIFICA.wheel_base_m), PACIFICA.wheel_base_m)
        torch.testing.assert_close(rollout[:, step + 1], state, rtol=0, atol=1e-9)


def test_below_walking_pace_the_stopping_controller_takes_over():
    poses = torch.zeros(1, 41, 3, dtype=torch.float64)
    state = torch.zeros(1, 11, dtype=torch.float64)
    state[0, 3], state[0, 7] = 0.2, 0.3
    acceleration, rate = track(make_reference(poses), 0, state, PACIFICA.wheel_base_m)
    assert float(acceleration) == pytest.approx(-0.1)
    assert float(rate) == 0.0
    state[0, 3] = 0.21
    assert float(track(make_reference(poses), 0, state, PACIFICA.wheel_base_m)[0]) == pytest.approx(-0.21 * 10 / 11)


def test_a_straight_plan_at_the_present_speed_is_driven_exactly():
    time = torch.arange(41, dtype=torch.float64) * STEP
    poses = torch.stack((10 * time, 0 * time, 0 * time), dim=-1)[None]
    start = torch.zeros(11, dtype=torch.float64)
    start[3] = 10.0
    states = simulate_poses(poses, start)
    torch.testing.assert_close(states[0, :, :3], poses[0], rtol=0, atol=1e-9)


def test_steering_stays_within_the_model(seed=3):
    angle = torch.linspace(0, 40 * math.pi, 41, dtype=torch.float64)
    poses = torch.stack((angle * 0.2, angle.sin(), angle), dim=-1)[None]
    start = torch.zeros(11, dtype=torch.float64)
    start[3] = 15.0
    states = simulate_poses(poses, start)
    assert states[..., 7].abs().max() <= math.pi / 3
    assert torch.isfinite(states).all()
    assert (states[..., 2] >= -math.pi).all() and (states[..., 2] < math.pi).all()


@pytest.mark.parametrize(("t0", "largest"), [(10_000_000, 0.0), (1_635_193_837_244_831, 1e-6)])
def test_samples_of_epoch_time_stamps_are_up_to_a_microsecond_off(t0, largest):
    index, weight = plan_sampling(np.array([t0]))
    late = index[0] * 0.5 + weight[0] * 0.5 - np.arange(41) * STEP
    assert np.abs(late).max() == pytest.approx(largest, abs=1e-9)
    assert index.max() == 7 and weight.max() <= 1.0


def test_plans_of_one_pose_hold_it():
    index, weight = plan_sampling(np.array([10_000_000]), plan_steps=1, interval_s=0.5)
    assert (index == 0).all() and (weight[0, 6:] == 1.0).all()


def test_wrong_shapes_are_named():
    with pytest.raises(SceneError, match="poses"):
        simulate_poses(torch.zeros(40, 3), torch.zeros(11))
    with pytest.raises(SceneError, match="plans"):
        simulate(torch.zeros(8, 3), torch.zeros(1, 11), torch.zeros(1, 41), torch.zeros(1, 41))
