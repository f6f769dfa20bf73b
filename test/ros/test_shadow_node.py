"""Shadow mode over DDS: agreement and disagreement are told, and a large one is recorded around its moment."""

import numpy as np

from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.driving.messages.odometry import to_odometry
from pair_drive_core.driving.messages.trajectories import to_planned_trajectory
from pair_drive_core.evaluation.bag_reader import open_bag
from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.scene import DrivingCommand, EgoStatus


def test_a_plan_that_leaves_the_drivers_path_is_told_and_recorded(peer, start_process, tmp_path):
    import torch
    from nav_msgs.msg import Odometry

    from pair_drive_ros.message_types import ros_message
    from pair_drive_ros.msg import PlanDisagreement, PlannedTrajectory

    parameters = [f"output:={tmp_path / 'bags'}", "after_s:=0.2", "topics:=['/odometry', '/planning/trajectory']"]
    options = [word for parameter in parameters for word in ("-p", parameter)]
    process = start_process("-m", "pair_drive_ros.nodes.shadow_node", "--ros-args", *options)
    found = peer.collect(PlanDisagreement, "shadow/disagreement", 50)
    odometry = peer.node.create_publisher(Odometry, "odometry", 10)
    plans = peer.node.create_publisher(PlannedTrajectory, "planning/trajectory", 10)
    # The comparison and the recording each listen.
    assert peer.spin_until(lambda: all(p.get_subscription_count() == 2 for p in (odometry, plans)), 120)
    peer.spin_for(0.5)

    def status(step):
        pose = np.array([0.5 * step, 0.0, 0.0])
        return EgoStatus(10**6 + step * 100_000, pose, np.array([5.0, 0.0]), np.zeros(2), DrivingCommand.STRAIGHT)

    def plan(step, sideways):
        time = torch.arange(1, 9) * 0.5
        poses = torch.stack((5.0 * time, sideways * time**2, torch.zeros(8)), dim=-1)
        result = GuardedPlan(Plan(poses, PlanSource.IMITATION, 0.9, 0.9), "", False, 0.01)
        plans.publish(to_planned_trajectory(ros_message, result, status(step), "odom", 0.05, "pair"))

    for step in range(62):
        odometry.publish(to_odometry(ros_message, status(step), 0.0, "odom", "base_link"))
        if step in (0, 10):
            plan(step, 0.0 if step == 0 else 0.3)
        peer.spin_for(0.03)
    assert peer.spin_until(lambda: len(found) == 2, 30), process.log_path.read_text()
    agreeing, leaving = found
    assert not agreeing.large and np.abs(agreeing.across_m).max() < 0.01
    assert leaving.large and leaving.planner == "pair" and not leaving.fallback
    np.testing.assert_allclose(leaving.across_m, [0.3, 1.2, 2.7, 4.8], atol=0.05)
    assert (leaving.header.stamp.sec, leaving.header.frame_id) == (2, "odom")
    bag = tmp_path / "bags" / "disagreement_2000000"

    def recorded():
        odometry.publish(to_odometry(ros_message, status(70), 0.0, "odom", "base_link"))
        return bag.exists()

    assert peer.spin_until(recorded, 30), process.log_path.read_text()
    with open_bag(bag) as recording:
        assert recording.count("/planning/trajectory") == 2
        assert recording.count("/odometry") > 30
