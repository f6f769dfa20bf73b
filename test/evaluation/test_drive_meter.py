"""What the meter of a drive counts: a human's clean drive, and an ego that goes where nobody should."""

import numpy as np
import pytest

from pair_drive_core.evaluation.plan_jumps import PlanJumpMeter
from pair_drive_core.evaluation.town_drive import TownDrive
from pair_drive_core.scene import PACIFICA
from pair_drive_core.simulation.commanded_vehicle import ActuatorCommand
from pair_drive_core.simulation.plan_follower import TimedPlan

TIMES = np.arange(9) * 0.5


def test_a_human_drives_without_fault_and_comfortably():
    drive = TownDrive(20005, 1, image_width_px=96)
    for _ in range(100):
        drive.advance(None)
    measures = drive.meter.measures()
    assert measures.duration_s == pytest.approx(10.0)
    assert measures.distance_m > 50.0 and measures.progress_m == pytest.approx(measures.distance_m, abs=1.0)
    faults = (measures.at_fault_collisions, measures.other_collisions, measures.off_road_s, measures.red_lights)
    assert faults == (0, 0, 0.0, 0)
    assert measures.comfortable_share == 1.0


def test_an_ego_that_drives_blindly_straight_on_leaves_the_road():
    drive = TownDrive(20003, 1, image_width_px=96)
    for _ in range(60):
        drive.advance(ActuatorCommand(0.0, 2.0))
    measures = drive.meter.measures()
    assert measures.off_road_s > 1.0
    assert measures.distance_m > 50.0


def put(drive, pose, speed):
    """Put the ego somewhere and look."""
    simulator = drive._simulator
    simulator.set_ego(pose, np.array([speed, 0.0]), np.zeros(2))
    simulator.step()
    drive.meter.observe()
    return drive.meter.measures()


def facing(state, size, gap_m):
    """Rear-axle pose behind an object, the front bumper this far from its rear."""
    back = 0.5 * size[0] + gap_m + PACIFICA.front_length_m
    direction = np.array([np.cos(state[2]), np.sin(state[2])])
    return np.array([*(state[:2] - back * direction), state[2]])


def test_running_into_what_stands_is_the_egos_fault_and_counts_once():
    drive = TownDrive(20003, 1, image_width_px=96)
    states, sizes = drive._cutter.object_states(drive._simulator.now), drive._cutter.object_sizes
    parked = next(row for row in range(len(states)) if sizes[row, 0] > 4.0 and not states[row, 3:].any())
    assert put(drive, facing(states[parked], sizes[parked], 1.0), 3.0).at_fault_collisions == 0
    assert put(drive, facing(states[parked], sizes[parked], -0.3), 3.0).at_fault_collisions == 1
    assert put(drive, facing(states[parked], sizes[parked], -0.6), 3.0).at_fault_collisions == 1


def test_who_is_run_into_from_behind_or_stands_is_not_at_fault():
    drive = TownDrive(20005, 1, image_width_px=96)
    simulator = drive._simulator
    moving = next(row for row in range(1, 12) if simulator.now.speed_mps[row] > 4.0)
    pose = simulator.now.pose[moving]
    ahead = pose[:2] + 4.5 * np.array([np.cos(pose[2]), np.sin(pose[2])])
    measures = put(drive, np.array([*ahead, pose[2]]), 1.0)
    assert (measures.at_fault_collisions, measures.other_collisions) == (0, 1)
    other = TownDrive(20003, 1, image_width_px=96)
    states, sizes = other._cutter.object_states(other._simulator.now), other._cutter.object_sizes
    parked = next(row for row in range(len(states)) if sizes[row, 0] > 4.0 and not states[row, 3:].any())
    assert put(other, facing(states[parked], sizes[parked], -0.3), 0.0).at_fault_collisions == 0


def test_a_vehicle_that_brakes_stops_and_stands():
    drive = TownDrive(20005, 1, image_width_px=96)
    for _ in range(60):
        drive.advance(ActuatorCommand(0.0, -4.0))
    place = drive.status().pose.copy()
    drive.advance(ActuatorCommand(0.3, -4.0))
    np.testing.assert_array_equal(drive.status().pose, place)
    assert drive.status().velocity[0] == 0.0 and drive.yaw_rate == 0.0
    measures = drive.meter.measures()
    assert measures.standing_s > 1.0 and measures.at_fault_collisions == 0


def test_a_wheel_to_the_left_turns_left():
    drive = TownDrive(20005, 1, image_width_px=96)
    before = drive.status().pose[2]
    for _ in range(10):
        drive.advance(ActuatorCommand(0.1, 0.0))
    assert 0.1 < np.angle(np.exp(1j * (drive.status().pose[2] - before))) < 0.6
    assert drive.yaw_rate > 0.0


def plan(start_us, y=0.0, speed=10.0):
    x = speed * (start_us * 1e-6 + TIMES)
    return TimedPlan(start_us, TIMES, np.column_stack((x, y + 0 * TIMES, 0 * TIMES)))


def test_plans_that_agree_do_not_jump_and_the_shift_of_others_is_measured():
    meter = PlanJumpMeter()
    for start_us, y in ((0, 0.0), (200_000, 0.0), (400_000, 0.5), (5_000_000, 9.0)):
        meter.add(plan(start_us, y))
    jumps = meter.summary()
    assert jumps.pairs == 2, "plans seconds apart are no pair"
    assert jumps.max_m == pytest.approx((0.5, 0.5, 0.5), abs=1e-6)
    assert np.isnan(PlanJumpMeter().summary().p95_m[0])
