"""Sensors that are not where the node was told: turned mounts, transforms that come late or never."""

import math
from pathlib import Path

import pytest

from pair_drive_core.driving.messages.camera_info import to_camera_info
from pair_drive_core.driving.messages.commands import to_driving_command
from pair_drive_core.driving.messages.images import to_image
from pair_drive_core.driving.messages.odometry import to_odometry
from pair_drive_core.driving.messages.point_clouds import to_point_cloud
from pair_drive_core.driving.messages.stamps import to_time
from pair_drive_core.driving.topics import CAMERA_TOPICS
from pair_drive_core.evaluation.town_drive import TownDrive

ERROR, OK = 2, 0


@pytest.fixture(scope="module")
def drive():
    """What the town's sensors give ten times a second on 13 m of road: sweeps are compared 2 m apart."""
    town = TownDrive(20004, 3, image_width_px=160)
    readings = []
    for _ in range(20):
        readings.append(town.readings())
        town.advance(None)
    return readings


class Publisher:
    """Publishes the town's readings with their own time as the simulator's."""

    def __init__(self, peer):
        from nav_msgs.msg import Odometry
        from rosgraph_msgs.msg import Clock
        from sensor_msgs.msg import CameraInfo, Image, PointCloud2

        from pair_drive_ros.msg import DrivingCommand

        kinds = {"driving_command": DrivingCommand, "odometry": Odometry, "lidar/points": PointCloud2, "/clock": Clock}
        for namespace in CAMERA_TOPICS.values():
            kinds |= {f"{namespace}/camera_info": CameraInfo, f"{namespace}/image_raw": Image}
        self._peer = peer
        self._out = {topic: peer.node.create_publisher(kind, topic, 10) for topic, kind in kinds.items()}

    def wait(self):
        heard = lambda: all(out.get_subscription_count() for out in self._out.values())  # noqa: E731
        assert self._peer.spin_until(heard, 90)
        self._peer.spin_for(0.3)

    def publish(self, readings):
        from rosgraph_msgs.msg import Clock

        from pair_drive_ros.message_types import ros_message as make

        status, time_us = readings.status, readings.status.time_us
        self._out["/clock"].publish(Clock(clock=to_time(make, time_us)))
        self._peer.spin_for(0.05)
        messages = {
            "driving_command": to_driving_command(make, status.command, time_us, "base_link"),
            "odometry": to_odometry(make, status, readings.yaw_rate, "odom", "base_link"),
            "lidar/points": to_point_cloud(make, readings.lidar, "base_link"),
        }
        for name, image in readings.cameras.items():
            topic = CAMERA_TOPICS[name]
            messages[f"{topic}/camera_info"] = to_camera_info(make, image.calibration, time_us, "optical")
            messages[f"{topic}/image_raw"] = to_image(make, image, "optical")
        for topic, message in messages.items():
            self._out[topic].publish(message)
        self._peer.spin_for(0.15)


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ({}, ""),
        ({"mount.front": [1.66, 0.0, 1.55, 0.0, 0.0, math.pi]}, "CAM_F0: mount.front = [1.66, 0.0, 1.55, 0.0, 0.0"),
        ({"mount.lidar": [0.0, 0.0, 0.0, 0.0, 0.0, math.pi]}, "with the LiDAR turned by 180 degrees (yaw)"),
        ({"mount.lidar": [0.0, 0.0, 0.0, math.pi, 0.0, 0.0]}, "upside down"),
    ],
)
def test_a_sensor_that_is_turned_by_180_degrees_is_an_error_with_the_cause(planner_process, peer, drive, mount, words):
    planner = planner_process.start(use_sim_time=True, sensor_reliability="reliable", extra=mount)
    town = Publisher(peer)
    town.wait()
    told = lambda: planner.findings().get("mounts", (None, ""))  # noqa: E731
    for _ in range(4):  # A busy machine may lose some of it; the same road is driven again then.
        for readings in drive:
            town.publish(readings)
        if words and told()[0] == ERROR:
            break
    assert peer.spin_until(lambda: len(planner.plans) >= 5, 20), planner.findings()
    assert told()[0] == (ERROR if words else OK) and words in told()[1]
    assert planner.output().count("mounts: ") == (1 if words else 0), "it is logged once"


def test_a_missing_transform_is_waited_for_and_named_once(
    planner_process, start_process, rig, interface_packages, monkeypatch
):
    for name, value in interface_packages.items():
        monkeypatch.setenv(name, value)
    planner = planner_process.start(extrinsics="tf", startup_s=0.5)
    rig.wait_for_planner()
    told = lambda: planner.findings().get("transforms", (None, ""))  # noqa: E731
    assert rig.stream_until(lambda: told()[0] == ERROR, 20) is not None
    assert told()[1] == "waiting for transforms to optical"
    assert planner.plans == []
    lines = [line for line in planner.output().splitlines() if "no transform to 'base_link' from 'optical'" in line]
    assert len(lines) == 1
    late = Path(__file__).with_name("static_transform.py")
    start_process(late, "optical", 1.6, 0.0, 1.5, -0.5, 0.5, -0.5, 0.5)
    assert rig.stream_until(lambda: planner.plans, 30) is not None, "planned as soon as it is there"
    assert rig.stream_until(lambda: told()[0] is None, 10) is not None
