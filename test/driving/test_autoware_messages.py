"""Plans and leaves as Autoware's messages, made from the published lists of their fields."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from rosbags.typesys import get_types_from_msg

from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.driving.messages import bag_messages, motion_sample, stamp_us, yaw_of
from pair_drive_core.driving.messages.autoware import to_autoware_candidates, to_autoware_trajectory
from pair_drive_core.driving.messages.candidates import to_candidates
from pair_drive_core.driving.messages.odometry import to_odometry
from pair_drive_core.driving.messages.rear_axle import odometry_at_rear_axle
from pair_drive_core.driving.messages.routes import route_points
from pair_drive_core.driving.messages.trajectories import to_planned_trajectory
from pair_drive_core.planning.plan import CandidateTrajectories, Plan, PlanSource
from pair_drive_core.scene import DrivingCommand, EgoStatus

RADIUS_M, SPEED_MPS, WHEEL_BASE_M = 20.0, 5.0, 3.0
INFO = "autoware_internal_planning_msgs/msg/GeneratorInfo"


@pytest.fixture
def make(bag_types):
    path = Path(__file__).resolve().parents[1] / "interface_packages.py"
    spec = importlib.util.spec_from_file_location("pair_drive_test_interface_packages", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for package in ("autoware_planning_msgs", "autoware_internal_planning_msgs"):
        for name, fields in module.PACKAGES[package][1].items():
            kind = f"{package}/msg/{name}"
            if kind not in bag_types.fielddefs:
                bag_types.register(get_types_from_msg(fields, kind))
    if "unique_identifier_msgs/msg/UUID" not in bag_types.fielddefs:
        bag_types.register(get_types_from_msg("uint8[16] uuid", "unique_identifier_msgs/msg/UUID"))
    return bag_messages(bag_types)


@pytest.fixture
def status():
    pose = np.array([100.0, 50.0, math.pi / 2])
    return EgoStatus(7_250_000, pose, np.array([SPEED_MPS, 0.0]), np.zeros(2), DrivingCommand.LEFT)


def circle():
    angle = torch.arange(1, 9) * 0.5 * SPEED_MPS / RADIUS_M
    return torch.stack((RADIUS_M * angle.sin(), RADIUS_M * (1 - angle.cos()), angle), dim=-1)


def test_a_left_bend_keeps_its_stamp_and_turns_the_front_wheel_left(make, status):
    result = GuardedPlan(Plan(circle(), PlanSource.IMITATION, 0.9, 0.9), "", False, 0.01)
    plan = to_planned_trajectory(make, result, status, "map", 0.05, "pair")
    message = to_autoware_trajectory(make, plan, WHEEL_BASE_M)
    assert stamp_us(message.header.stamp) == 7_250_000 and message.header.frame_id == "map"
    times = [stamp_us(point.time_from_start) for point in message.points]
    assert times == [100_000 * index for index in range(41)]
    first, middle, last = message.points[0], message.points[20], message.points[-1]
    assert (first.pose.position.x, first.pose.position.y) == pytest.approx((100.0, 50.0))
    assert middle.longitudinal_velocity_mps == pytest.approx(SPEED_MPS, abs=0.05)
    assert middle.heading_rate_rps == pytest.approx(SPEED_MPS / RADIUS_M, abs=0.01)
    assert middle.front_wheel_angle_rad == pytest.approx(math.atan(WHEEL_BASE_M / RADIUS_M), abs=0.01)
    assert middle.lateral_velocity_mps == 0.0 == middle.rear_wheel_angle_rad
    assert last.longitudinal_velocity_mps == 0.0, "it ends there"
    assert yaw_of(last.pose.orientation) == pytest.approx(math.pi / 2 + 1.0, abs=0.02)


def test_the_leaves_come_by_score_each_a_generator_of_its_own(make, status):
    poses = torch.stack((circle(), circle() * 0.5))
    rewards = torch.tensor([0.2, 0.8])
    leaves = CandidateTrajectories(
        poses, torch.zeros(2, 1, dtype=torch.int64), rewards * 0, rewards, rewards, rewards[:, None], ("ttc",), 0
    )
    candidates = to_candidates(make, leaves, status, "map", 0.5)
    message = to_autoware_candidates(make, candidates, "pair", WHEEL_BASE_M, INFO)
    names = [info.generator_name.data for info in message.generator_info]
    assert names == ["pair/0 score 0.800", "pair/1 score 0.200"]
    ids = [bytes(info.generator_id.uuid) for info in message.generator_info]
    assert ids == [bytes(leaf.generator_id.uuid) for leaf in message.candidate_trajectories]
    assert len(set(ids)) == 2
    points = message.candidate_trajectories[1].points
    assert [stamp_us(points[index].time_from_start) for index in (0, -1)] == [500_000, 4_000_000]
    assert points[0].pose.position.y == pytest.approx(50.0 + RADIUS_M * math.sin(0.125), abs=1e-3)


def test_autowares_path_is_a_route(make):
    from pair_drive_core.driving.messages.odometry import to_pose
    from pair_drive_core.driving.messages.stamps import to_header

    points = [
        make(
            "autoware_planning_msgs/msg/PathPoint",
            pose=to_pose(make, (x, 2.0, 0.0)),
            longitudinal_velocity_mps=5.0,
            lateral_velocity_mps=0.0,
            heading_rate_rps=0.0,
            is_final=False,
        )
        for x in (0.0, 10.0)
    ]
    header = to_header(make, 0, "map")
    path = make("autoware_planning_msgs/msg/Path", header=header, points=points, left_bound=[], right_bound=[])
    np.testing.assert_array_equal(route_points(path), [[0.0, 2.0], [10.0, 2.0]])


def test_odometry_of_the_middle_is_moved_to_the_rear_axle(make):
    heading = math.radians(60.0)
    pose, velocity = np.array([100.0, 50.0, heading]), np.array([SPEED_MPS, 0.0])
    ego = EgoStatus(7_250_000, pose, velocity, np.zeros(2), DrivingCommand.LEFT)
    moved = odometry_at_rear_axle(make, to_odometry(make, ego, 0.25, "map", "ego_vehicle"), 1.4, "base_link")
    sample = motion_sample(moved)
    np.testing.assert_allclose(sample.pose, [100.0 - 0.7, 50.0 - 1.4 * math.sin(heading), heading], atol=1e-9)
    np.testing.assert_allclose(sample.velocity, [SPEED_MPS, -0.35], atol=1e-9)
    assert (moved.child_frame_id, moved.header.frame_id, sample.time_us) == ("base_link", "map", 7_250_000)
