"""The town as a process of its own: driven by commands, with faults set while it lives, and what it reports."""

import json
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.driving.messages.trajectories import to_planned_trajectory
from pair_drive_core.evaluation.plan_jumps import PlanJumpMeter
from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.scene import DrivingCommand, EgoStatus

NODE = "pair_drive_ros.nodes.town_simulator_node"


@pytest.fixture
def town(start_process):
    def start(**parameters):
        given = {"layout_seed": 20005, "planner_wait_s": 0.0, "image_width_px": 64, "publish_truth": False}
        given |= {name.replace("__", "."): value for name, value in parameters.items()}
        options = [word for name, value in given.items() for word in ("-p", f"{name}:={str(value).lower()}")]
        return start_process("-m", NODE, "--ros-args", *options)

    return start


def test_a_follower_drives_the_town_by_commands_and_the_watchdog_brakes_without_them(town, peer, tmp_path):
    from nav_msgs.msg import Odometry

    from pair_drive_ros.msg import VehicleCommand

    odometry = peer.collect(Odometry, "odometry", 50)
    publisher = peer.node.create_publisher(VehicleCommand, "control/command", 10)
    report = tmp_path / "report.json"
    # Not faster than real time: the town must still drive when both sides have found each other.
    process = town(
        driver="command", duration_s=12.0, sensor_period_s=4.0, plan_wait_s=0.1, real_time_factor=1.0, report=report
    )
    assert peer.spin_until(lambda: odometry, 90), process.log_path.read_text()

    def answered(until_s):
        start = odometry[0].header.stamp.sec

        def done():
            command = VehicleCommand(header=odometry[-1].header, steering_angle_rad=0.2, acceleration_mps2=0.5)
            publisher.publish(command)
            return odometry[-1].header.stamp.sec - start >= until_s

        return peer.spin_until(done, 60, period_s=0.01)

    assert answered(3.0)
    turning = odometry[-1].twist.twist
    assert turning.angular.z > 0.1 and turning.linear.x > 1.0, "to the left; the yaw rate of every reading is true"
    assert process.wait(90) == 0, process.log_path.read_text()
    measured = json.loads(report.read_text())
    assert measured["watchdog_steps"] > 10 and measured["driver"] == "command"
    assert measured["drive"]["duration_s"] == pytest.approx(12.0)
    assert peer.spin_until(lambda: odometry[-1].twist.twist.linear.x == 0.0, 5), "the watchdog's brake"


def test_faults_are_set_while_the_town_lives_and_refused_when_they_name_nothing(town, peer):
    from rcl_interfaces.srv import SetParametersAtomically
    from rclpy.parameter import Parameter
    from sensor_msgs.msg import PointCloud2

    clouds = peer.collect(PointCloud2, "lidar/points", 50)
    process = town(driver="human", duration_s=600.0, real_time_factor=4.0)
    assert peer.spin_until(lambda: len(clouds) > 1, 90), process.log_path.read_text()
    client = peer.node.create_client(SetParametersAtomically, "/pair_drive_town/set_parameters_atomically")
    assert peer.spin_until(client.service_is_ready, 30)
    peer.spin_for(0.5)

    def set_parameter(name, value):
        request = SetParametersAtomically.Request()
        request.parameters = [Parameter(name, value=value).to_parameter_msg()]
        future = client.call_async(request)
        assert peer.spin_until(future.done, 60)
        return future.result().result

    assert set_parameter("fault.lidar", "drop").successful
    peer.spin_for(0.3)
    count = len(clouds)
    peer.spin_for(1.0)
    assert len(clouds) == count
    refused = set_parameter("fault.lidar", "explode")
    assert not refused.successful and "explode" in refused.reason
    assert "can only be given at the start" in set_parameter("seed", 7).reason
    assert set_parameter("fault.lidar", "freeze").successful
    assert peer.spin_until(lambda: len(clouds) > count + 2, 30)
    assert bytes(clouds[-1].data) == bytes(clouds[-2].data)
    assert clouds[-1].header.stamp != clouds[-2].header.stamp


def test_a_fault_that_is_none_ends_the_node_with_the_reason(town):
    process = town(fault__front="explode")
    assert process.wait(90) == 2
    assert "expected each of drop, delay, freeze, corrupt, stamp" in process.log_path.read_text()


def test_plans_that_no_truth_will_score_are_forgotten():
    """A drive of hours without ground truth; only the last half minute of plans is kept."""
    from pair_drive_ros.message_types import ros_message
    from pair_drive_ros.nodes.town_simulator_node import TownSimulatorNode

    node = SimpleNamespace(
        _plans=0, _unscored={}, _sources=Counter(), _reasons=Counter(), _jumps=PlanJumpMeter(), _plan=None
    )
    plan = GuardedPlan(Plan(torch.zeros(8, 3), PlanSource.IMITATION, 0.5, 0.5), "", False, 0.0)
    for second in range(100):
        status = EgoStatus(1_000_000 * second, np.zeros(3), np.zeros(2), np.zeros(2), DrivingCommand.STRAIGHT)
        TownSimulatorNode._on_plan(node, to_planned_trajectory(ros_message, plan, status, "odom", 0.0, "test"))
    assert node._plans == 100
    assert sorted(node._unscored) == [1_000_000 * second for second in range(70, 100)]
