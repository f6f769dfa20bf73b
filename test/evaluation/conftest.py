"""A short recording of the town, written without ROS."""

import importlib.util
import sys
from pathlib import Path

import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from pair_drive_core.driving.messages import bag_messages
from pair_drive_core.driving.messages.camera_info import to_camera_info
from pair_drive_core.driving.messages.commands import to_driving_command
from pair_drive_core.driving.messages.images import to_image
from pair_drive_core.driving.messages.odometry import to_odometry
from pair_drive_core.driving.messages.point_clouds import to_point_cloud
from pair_drive_core.driving.messages.truth import to_scene_truth
from pair_drive_core.driving.topics import CAMERA_TOPICS
from pair_drive_core.town import SceneCutter, Town, TownSensors, TownSimulator

FIRST, STEPS, PERIOD = 15, 12, 2
"""Steps of 0.1 s: where the recording begins, how long it is, how far apart its readings are."""


class TownRecording:
    """Messages of a human's drive through the town, as (topic, type, time in us, message)."""

    def __init__(self, store):
        self.store = store
        self.simulator = TownSimulator(Town.build(20002), 3)
        self.simulator.run(1.5 + 0.1 * STEPS + 5.1)
        self.cutter = SceneCutter(self.simulator)
        sensors = TownSensors(self.simulator)
        self.messages = []
        for step in range(FIRST, FIRST + STEPS, PERIOD):
            self._add(self.cutter.agent_input(sensors, step, width_px=160))
            scene = self.cutter.scene_at(step)
            self._put("/ground_truth/scene", scene.time_us, to_scene_truth(bag_messages(self.store), scene, "odom"))

    def type(self, name):
        return self.store.types[name]

    def _put(self, topic, time_us, message):
        self.messages.append((topic, message.__msgtype__, time_us, message))

    def _add(self, agent_input):
        make, now = bag_messages(self.store), agent_input.now
        self._put("/driving_command", now.time_us, to_driving_command(make, now.command, now.time_us, "base_link"))
        self._put("/odometry", now.time_us, to_odometry(make, now, 0.0, "odom", "base_link"))
        for name, image in agent_input.cameras.items():
            info = to_camera_info(make, image.calibration, image.time_us, "optical")
            self._put(f"/{CAMERA_TOPICS[name]}/camera_info", image.time_us, info)
            self._put(f"/{CAMERA_TOPICS[name]}/image_raw", image.time_us, to_image(make, image, "optical"))
        self._put("/lidar/points", now.time_us, to_point_cloud(make, agent_input.lidar, "base_link"))

    def write(self, path, storage="mcap", change=lambda messages: messages):
        """Write a bag; `change` may leave out or alter messages."""
        plugin = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[storage]
        with Writer(path, version=9, storage_plugin=plugin) as writer:
            connections = {}
            for topic, kind, time_us, message in change(list(self.messages)):
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=self.store)
                writer.write(connections[topic], time_us * 1000, self.store.serialize_cdr(message, kind))
        return path


@pytest.fixture(scope="session")
def town_recording(bag_types):
    """Built once; tests write their own bags from it."""
    return TownRecording(bag_types)


@pytest.fixture(scope="session")
def small_bags():
    """The module `small_bags` of this folder, which is no package."""
    path = Path(__file__).with_name("small_bags.py")
    spec = importlib.util.spec_from_file_location("pair_drive_test_small_bags", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def small_bag(small_bags, bag_types):
    """`small_bag()` builds the messages of a short drive; see `small_bags.SmallBag`."""
    return lambda **options: small_bags.SmallBag(bag_types, **options)
