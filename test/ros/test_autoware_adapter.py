"""The adapter between this package's messages and Autoware's, with packages built from their lists of fields."""

import json
from pathlib import Path

import numpy as np
import pytest

from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.driving.messages.candidates import to_candidates
from pair_drive_core.driving.messages.trajectories import to_planned_trajectory
from pair_drive_core.planning.plan import CandidateTrajectories, Plan, PlanSource
from pair_drive_core.scene import DrivingCommand, EgoStatus

pytestmark = pytest.mark.timeout(600)
"""The first of them may have to build the message packages."""
NODE = ("-m", "pair_drive_ros.nodes.autoware_adapter_node", "--ros-args")


def test_plans_and_leaves_reach_autoware_with_their_stamp_and_the_wheel_to_the_left(
    peer, start_process, interface_packages, monkeypatch
):
    import torch

    from pair_drive_ros.message_types import ros_message
    from pair_drive_ros.msg import CandidateTrajectories as Candidates
    from pair_drive_ros.msg import PlannedTrajectory

    for name, value in interface_packages.items():
        monkeypatch.setenv(name, value)
    adapter = start_process(*NODE)
    listener = start_process(Path(__file__).with_name("autoware_listener.py"))
    plans = peer.node.create_publisher(PlannedTrajectory, "planning/trajectory", 1)
    candidates = peer.node.create_publisher(Candidates, "planning/candidates", 1)
    angle = torch.arange(1, 9) * 0.125
    poses = torch.stack((20.0 * angle.sin(), 20.0 * (1 - angle.cos()), angle), dim=-1)
    ones = torch.ones(1)
    leaves = CandidateTrajectories(
        poses[None], torch.zeros(1, 1, dtype=torch.int64), 0 * ones, ones, ones, ones[None], ("ttc",), 0
    )
    status = EgoStatus(7_250_000, np.zeros(3), np.array([5.0, 0.0]), np.zeros(2), DrivingCommand.LEFT)
    result = GuardedPlan(Plan(poses, PlanSource.REINFORCEMENT, 0.9, 0.9, leaves), "", False, 0.01)

    def heard():
        plans.publish(to_planned_trajectory(ros_message, result, status, "map", 0.05, "pair"))
        candidates.publish(to_candidates(ros_message, leaves, status, "map", 0.5))
        return listener.poll() is not None

    assert peer.spin_until(heard, 150, period_s=0.2), adapter.log_path.read_text() + listener.log_path.read_text()
    told = json.loads(listener.log_path.read_text())
    assert (told["frame"], told["stamp"], told["points"]) == ("map", [7, 250_000_000], 41)
    assert told["wheel"] > 0.1 and told["y"] > 5.0, "to the left"
    (name,) = told["names"]
    assert name.endswith("/0 score 1.000"), "ranked by predicted score"


def test_without_autowares_messages_it_says_which_package_is_missing(start_process):
    process = start_process(*NODE)
    assert process.wait(120) == 2
    assert "expected the ROS package 'autoware_planning_msgs' to be installed" in process.log_path.read_text()
