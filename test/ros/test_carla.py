"""Planner, route command, rear axle and follower beside an emulated CARLA bridge: signs, stamps, frames, sync."""

import re
from pathlib import Path

import numpy as np
import pytest

from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.driving.messages import motion_sample, stamp_us
from pair_drive_core.driving.messages.odometry import to_pose
from pair_drive_core.driving.messages.stamps import to_header
from pair_drive_core.driving.messages.trajectories import to_planned_trajectory
from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.scene import DrivingCommand, EgoStatus

pytestmark = pytest.mark.timeout(600)
"""The first of them may have to build the message packages."""
BRIDGE = Path(__file__).with_name("carla_bridge.py")
VEHICLE = "/carla/ego_vehicle"
RESULT = re.compile(r"turned (\S+) rad, speed (\S+) m/s, controls (\d+)")


@pytest.fixture
def carla(start_process, interface_packages, monkeypatch):
    """Starts nodes as carla.launch.py does, and the bridge; all of them find CARLA's messages."""
    for name, value in interface_packages.items():
        monkeypatch.setenv(name, value)

    def node(module, *options):
        return start_process("-m", f"pair_drive_ros.nodes.{module}", "--ros-args", "-p", "use_sim_time:=true", *options)

    def start(control):
        odometry = ("-r", "odometry:=rear_axle/odometry")
        node("rear_axle_node", "-r", f"odometry:={VEHICLE}/odometry")
        node("route_command_node", *odometry, "-p", "period_s:=0.0")
        names = {
            "vehicle": ("control/carla", "vehicle_control_cmd"),
            "ackermann": ("control/ackermann_drive", "ackermann_cmd"),
        }
        topic, given = names[control]
        node(
            "trajectory_follower_node", *odometry, "-p", "autostart:=true", "-p", "deadline_s:=0.0",
            "-p", "lifespan_s:=0.0", "-r", f"{topic}:={VEHICLE}/{given}",
        )  # fmt: skip

    start.node = node
    start.bridge = lambda *arguments: start_process(BRIDGE, *arguments)
    return start


def bending(status, side, make):
    """A plan on a circle of 15 m radius at the present speed, to the left for a positive side."""
    import torch

    speed = max(float(status.velocity[0]), 4.0)
    angle = torch.arange(1, 9) * 0.5 * speed / 15.0
    poses = torch.stack((15.0 * angle.sin(), side * 15.0 * (1 - angle.cos()), side * angle), dim=-1)
    result = GuardedPlan(Plan(poses, PlanSource.IMITATION, 0.9, 0.9), "", False, 0.01)
    return to_planned_trajectory(make, result, status, "map", 0.0, "test")


@pytest.mark.parametrize(("control", "command"), [("vehicle", "LEFT"), ("vehicle", "RIGHT"), ("ackermann", "LEFT")])
def test_a_route_to_one_side_turns_the_vehicle_to_that_side(carla, peer, control, command):
    from nav_msgs.msg import Odometry, Path
    from rclpy.qos import DurabilityPolicy, QoSProfile

    from pair_drive_ros.message_types import ros_message
    from pair_drive_ros.msg import DrivingCommand as CommandMessage
    from pair_drive_ros.msg import PlannedTrajectory

    commands = peer.collect(CommandMessage, "driving_command", 50)
    plans = peer.node.create_publisher(PlannedTrajectory, "planning/trajectory", 1)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    route = peer.node.create_publisher(Path, "route", latched)
    wanted, side = DrivingCommand[command], 1.0 if command == "LEFT" else -1.0

    def on_odometry(message):
        motion = motion_sample(message)
        told = commands and commands[-1].command == int(wanted)
        if not told:  # Whoever tells commands says UNKNOWN while it has no route: one that is late is sent again.
            header = to_header(ros_message, 0, "map")
            x, y, heading = motion.pose.tolist()
            forward = np.array([np.cos(heading), np.sin(heading)])
            left = np.array([-forward[1], forward[0]])
            corner = np.array([x, y]) + 15.0 * forward
            line = [np.array([x, y]) - 5.0 * forward, corner, corner + side * 60.0 * left]
            poses = [
                ros_message("geometry_msgs/msg/PoseStamped", header=header, pose=to_pose(ros_message, (*point, 0.0)))
                for point in line
            ]
            route.publish(Path(header=header, poses=poses))
        # The planner of this test: it turns to where it is told to.
        status = EgoStatus(motion.time_us, motion.pose, motion.velocity, np.zeros(2), wanted)
        if told:
            plans.publish(bending(status, side, ros_message))

    peer.node.create_subscription(Odometry, "rear_axle/odometry", on_odometry, 10)
    carla(control)
    bridge = carla.bridge("12.0", "0.5", "100000")  # long enough to set off again after a late first plan
    assert peer.spin_until(lambda: bridge.poll() is not None, 200), bridge.log_path.read_text()
    text = bridge.log_path.read_text()
    turned, _, controls = (float(value) for value in RESULT.search(text).groups())
    assert side * turned > 0.3, text
    assert controls >= 30, text


def test_the_planner_plans_from_the_bridges_sets_with_places_from_tf(carla, peer):
    from pair_drive_ros.msg import PlannedTrajectory

    plans = peer.collect(PlannedTrajectory, "planning/trajectory", 50)
    options = ["-p", "planner:=constant_velocity", "-p", "extrinsics:=tf", "-p", "autostart:=true"]
    options += ["-p", "sensor_reliability:=reliable", "-r", "odometry:=rear_axle/odometry"]
    options += ["-r", f"lidar/points:={VEHICLE}/lidar"]
    for camera in ("front_left", "front", "front_right"):
        options += ["-r", f"camera/{camera}/image_raw:={VEHICLE}/{camera}/image"]
        options += ["-r", f"camera/{camera}/camera_info:={VEHICLE}/{camera}/camera_info"]
    planner = carla.node("planner_node", *options)
    # Without a route the command is UNKNOWN, which is one, too.
    carla("vehicle")
    bridge = carla.bridge("4.0", "1.0", "2")
    assert peer.spin_until(lambda: bridge.poll() is not None, 160), planner.log_path.read_text()
    stamps = [stamp_us(plan.header.stamp) for plan in plans]
    assert len(stamps) >= 10, planner.log_path.read_text()
    assert set(np.diff(stamps) % 200_000) == {0}, "stamps are those of the sensors"
    assert {plan.header.frame_id for plan in plans} == {"map"}
