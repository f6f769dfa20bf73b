"""The follower as a process of its own: plans and odometry in, commands out, and silence after its death."""

import signal

import numpy as np
import pytest

from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.driving.messages.odometry import to_odometry
from pair_drive_core.driving.messages.trajectories import to_planned_trajectory
from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.scene import DrivingCommand, EgoStatus

NODE = "pair_drive_ros.nodes.trajectory_follower_node"


class Vehicle:
    """Plans that bend left at 5 m/s and the odometry beside them, in real time."""

    def __init__(self, peer):
        from nav_msgs.msg import Odometry
        from rclpy.qos import QoSProfile

        from pair_drive_ros.message_types import ros_message
        from pair_drive_ros.msg import PlannedTrajectory, VehicleCommand

        self.peer, self.make = peer, ros_message
        self.commands = peer.collect(VehicleCommand, "control/command", QoSProfile(depth=10))
        self._odometry = peer.node.create_publisher(Odometry, "odometry", 10)
        self._plan = peer.node.create_publisher(PlannedTrajectory, "planning/trajectory", 10)

    def status(self, time_us=None):
        time_us = self.peer.node.get_clock().now().nanoseconds // 1000 if time_us is None else time_us
        return EgoStatus(time_us, np.zeros(3), np.array([5.0, 0.0]), np.zeros(2), DrivingCommand.LEFT)

    def send(self, plan=True, odometry=True, frame="odom"):
        import torch

        status = self.status()
        if odometry:
            self._odometry.publish(to_odometry(self.make, status, 0.0, "odom", "base_link"))
        if plan:
            angle = torch.arange(1, 9) * 0.5 * 5.0 / 20.0
            poses = torch.stack((20 * angle.sin(), 20 * (1 - angle.cos()), angle), dim=-1)
            result = GuardedPlan(Plan(poses, PlanSource.IMITATION, 0.9, 0.9), "", False, 0.01)
            self._plan.publish(to_planned_trajectory(self.make, result, status, frame, 0.05, "test"))

    def until(self, condition, timeout_s=30.0, **sent):
        """Send each 0.05 s until the newest command fulfils a condition."""

        def met():
            self.send(**sent)
            return bool(self.commands) and condition(self.commands[-1])

        return self.peer.spin_until(met, timeout_s, period_s=0.05)


@pytest.fixture
def vehicle(peer):
    return Vehicle(peer)


@pytest.fixture
def follower(start_process):
    def start(*parameters):
        options = [word for parameter in ("autostart:=true", *parameters) for word in ("-p", parameter)]
        return start_process("-m", NODE, "--ros-args", *options)

    return start


def test_it_steers_along_the_plan_and_brakes_when_plans_or_odometry_stop_or_the_frame_changes(vehicle, follower, peer):
    from geometry_msgs.msg import TwistStamped

    twists = peer.collect(TwistStamped, "control/twist")
    process = follower("limits.plan_age_s:=0.4", "limits.motion_age_s:=0.4")
    assert vehicle.until(lambda c: c.reason == "no plan yet", 60, plan=False), process.log_path.read_text()
    assert vehicle.commands[-1].acceleration_mps2 < 0.0
    assert vehicle.until(lambda c: c.reason == ""), vehicle.commands[-1:]
    wanted = np.arctan(3.089 / 20.0)
    assert vehicle.until(lambda c: c.steering_angle_rad == pytest.approx(wanted, abs=0.06)), "to the left"
    assert twists[-1].twist.angular.z > 0.0
    assert vehicle.until(lambda c: "plan" in c.reason and "old" in c.reason, plan=False)
    assert vehicle.until(lambda c: c.reason == "")
    assert vehicle.until(lambda c: "'map'" in c.reason, frame="map")
    assert vehicle.until(lambda c: c.reason == "")
    assert vehicle.until(lambda c: "odometry" in c.reason, plan=False, odometry=False), "its own timer answers"
    log = process.log_path.read_text()
    assert log.count("control/carla is not published") == 1 and "brakes: " in log


def test_a_receiver_notices_its_death_and_nothing_goes_on_commanding(vehicle, follower, peer):
    from rclpy.duration import Duration
    from rclpy.event_handler import SubscriptionEventCallbacks
    from rclpy.qos import QoSProfile

    from pair_drive_ros.msg import VehicleCommand

    missed = []
    events = SubscriptionEventCallbacks(deadline=lambda event: missed.append(event.total_count))
    deadline = QoSProfile(depth=1, deadline=Duration(seconds=0.5))
    process = follower()
    peer.node.create_subscription(VehicleCommand, "control/command", lambda _: None, deadline, event_callbacks=events)
    assert vehicle.until(lambda c: c.reason == "", 60), process.log_path.read_text()
    missed.clear()
    process.send_signal(signal.SIGKILL)
    process.wait()
    peer.spin_for(0.3)
    count = len(vehicle.commands)
    assert peer.spin_until(lambda: missed, 10), "its deadline passes"
    vehicle.send()
    peer.spin_for(0.2)
    assert len(vehicle.commands) == count


def test_an_inactive_follower_is_silent_and_parameters_are_refused_together(vehicle, follower, peer):
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState
    from rcl_interfaces.srv import SetParametersAtomically
    from rclpy.parameter import Parameter

    process = follower()
    assert vehicle.until(lambda c: c.reason == "", 60), process.log_path.read_text()

    def call(kind, service, request):
        client = peer.node.create_client(kind, f"/pair_drive_follower/{service}")
        assert peer.spin_until(client.service_is_ready, 30)
        peer.spin_for(0.5)
        future = client.call_async(request)
        assert peer.spin_until(future.done, 30)
        return future.result()

    def change(name):
        request = ChangeState.Request()
        request.transition.id = getattr(Transition, f"TRANSITION_{name}")
        return call(ChangeState, "change_state", request).success

    def set_value(name, value):
        request = SetParametersAtomically.Request()
        request.parameters = [Parameter(name, value=value).to_parameter_msg()]
        return call(SetParametersAtomically, "set_parameters_atomically", request).result

    assert "unconfigured" in set_value("limits.brake_mps2", 4.0).reason
    assert set_value("limits.brake_mps2", 3.0).successful, "its own value"
    assert change("DEACTIVATE")
    peer.spin_for(0.3)
    count = len(vehicle.commands)
    vehicle.send()
    peer.spin_for(0.3)
    assert len(vehicle.commands) == count
    assert change("CLEANUP")
    assert "limits.brake_mps2" in set_value("limits.brake_mps2", 50.0).reason, "more than the vehicle can"
    assert set_value("limits.brake_mps2", 4.0).successful
    assert change("CONFIGURE") and change("ACTIVATE")
    assert vehicle.until(lambda c: c.reason == "no plan yet", plan=False)
    assert vehicle.commands[-1].acceleration_mps2 == -4.0
