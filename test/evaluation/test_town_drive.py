"""The drive through the town without a node: who drives the ego, and when the truth is known."""

import numpy as np
import pytest

from pair_drive_core.evaluation.town_drive import STEP_US, TownDrive
from pair_drive_core.scene import FRONT_CAMERAS
from pair_drive_core.simulation.plan_follower import TimedPlan


@pytest.fixture
def drive():
    return TownDrive(layout_seed=20002, seed=3, image_width_px=96)


def straight_on(drive, speed):
    """A plan from the ego's pose at a constant speed."""
    pose = drive.status().pose
    time_s = np.arange(9) * 0.5
    direction = np.array([np.cos(pose[2]), np.sin(pose[2])])
    poses = np.column_stack((pose[:2] + speed * time_s[:, None] * direction, np.full(9, pose[2])))
    return TimedPlan(drive.time_us, time_s, poses)


def test_the_ego_follows_a_plan_from_the_state_in_which_the_human_left_it(drive):
    drive.advance(None)
    before = drive.status()
    plan = straight_on(drive, float(before.velocity[0]))
    for _ in range(10):
        drive.advance(plan)
    after = drive.status()
    moved = after.pose[:2] - before.pose[:2]
    assert np.hypot(*moved) == pytest.approx(before.velocity[0], abs=0.2), "one second at its speed"
    assert after.velocity[0] == pytest.approx(before.velocity[0], abs=0.2)
    assert after.time_us == before.time_us + 10 * STEP_US


def test_all_readings_carry_the_time_of_the_moment(drive):
    readings = drive.readings()
    assert set(readings.cameras) == set(FRONT_CAMERAS)
    stamps = {image.time_us for image in readings.cameras.values()} | {readings.lidar.time_us, readings.status.time_us}
    assert stamps == {drive.time_us}
    assert readings.cameras["CAM_F0"].validate().rgb.shape == (54, 96, 3)


def test_the_truth_of_a_moment_is_known_five_seconds_later_and_scores_its_plan(drive):
    step, time_us = drive.step, drive.time_us
    plan = straight_on(drive, float(drive.status().velocity[0]))
    for _ in range(50):
        assert drive.scene_at(step) is None
        drive.advance(None)
    drive.advance(None)
    scene = drive.scene_at(step)
    assert scene.time_us == time_us
    scores = drive.score_of(scene, plan)
    assert scores.total.shape == (1, 1) and 0.0 <= float(scores.total) <= 1.0
    away = TimedPlan(plan.start_us, plan.time_s, plan.poses + np.array([0.0, 0.0, 1.2]))
    assert float(drive.score_of(scene, away).progress_m) < float(scores.progress_m)


def test_the_same_seeds_give_the_same_drive(drive):
    other = TownDrive(layout_seed=20002, seed=3, image_width_px=96)
    for _ in range(5):
        drive.advance(None)
        other.advance(None)
    np.testing.assert_array_equal(drive.status().pose, other.status().pose)
    np.testing.assert_array_equal(drive.readings().lidar.points, other.readings().lidar.points)


def test_a_long_drive_remembers_only_its_last_seconds():
    drive = TownDrive(20000, 1, image_width_px=240)
    for _ in range(260):
        drive.advance(None)
    moments = drive._simulator.moments
    assert (len(list(moments)), len(moments)) == (201, drive.step + 1)
    assert drive.scene_at(drive.step - 50) is not None
    assert drive.scene_at(10) is None
