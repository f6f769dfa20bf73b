"""A short recording of the town, written without ROS."""

from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from pair_drive_core.datasets.cache.codec import FORMAT, encode_scene
from pair_drive_core.driving.topics import CAMERA_TOPICS
from pair_drive_core.town import SceneCutter, Town, TownSensors, TownSimulator

MESSAGES = Path(__file__).resolve().parents[2] / "msg"
FIRST, STEPS, PERIOD = 15, 12, 2
"""Steps of 0.1 s: where the recording begins, how long it is, how far apart its readings are."""


def typestore():
    store = get_typestore(Stores.ROS2_JAZZY)
    types = {}
    for path in MESSAGES.glob("*.msg"):
        types.update(get_types_from_msg(path.read_text(), f"pair_drive_ros/msg/{path.stem}"))
    store.register(types)
    return store


class TownRecording:
    """Messages of a human's drive through the town, as (topic, type, time in us, message)."""

    def __init__(self):
        self.store = typestore()
        self.simulator = TownSimulator(Town.build(20002), 3)
        self.simulator.run(1.5 + 0.1 * STEPS + 5.1)
        self.cutter = SceneCutter(self.simulator)
        sensors = TownSensors(self.simulator)
        self.messages = []
        for step in range(FIRST, FIRST + STEPS, PERIOD):
            agent_input = sensors.agent_input(self.cutter, step, width_px=160)
            self._add(agent_input)
            self._truth(self.cutter.scene_at(step))

    def type(self, name):
        return self.store.types[name]

    def header(self, time_us, frame):
        stamp = self.type("builtin_interfaces/msg/Time")(sec=time_us // 10**6, nanosec=time_us % 10**6 * 1000)
        return self.type("std_msgs/msg/Header")(stamp=stamp, frame_id=frame)

    def _put(self, topic, kind, time_us, **fields):
        self.messages.append((topic, kind, time_us, self.type(kind)(**fields)))

    def _add(self, agent_input):
        now = agent_input.now
        time_us = now.time_us
        self._put(
            "/driving_command",
            "pair_drive_ros/msg/DrivingCommand",
            time_us,
            header=self.header(time_us, "base_link"),
            command=int(now.command),
        )
        self._odometry(now)
        for name, image in agent_input.cameras.items():
            self._camera(CAMERA_TOPICS[name], image)
        points = agent_input.lidar.points
        field = self.type("sensor_msgs/msg/PointField")
        self._put(
            "/lidar/points",
            "sensor_msgs/msg/PointCloud2",
            time_us,
            header=self.header(time_us, "base_link"),
            height=1,
            width=len(points),
            fields=[
                field(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate(("x", "y", "z", "intensity"))
            ],
            is_bigendian=False,
            point_step=16,
            row_step=16 * len(points),
            data=points.view(np.uint8).reshape(-1),
            is_dense=True,
        )

    def _odometry(self, now):
        vector, point = self.type("geometry_msgs/msg/Vector3"), self.type("geometry_msgs/msg/Point")
        x, y, yaw = now.pose.tolist()
        rotation = self.type("geometry_msgs/msg/Quaternion")(x=0.0, y=0.0, z=np.sin(yaw / 2), w=np.cos(yaw / 2))
        pose = self.type("geometry_msgs/msg/Pose")(position=point(x=x, y=y, z=0.0), orientation=rotation)
        linear = vector(x=float(now.velocity[0]), y=float(now.velocity[1]), z=0.0)
        twist = self.type("geometry_msgs/msg/Twist")(linear=linear, angular=vector(x=0.0, y=0.0, z=0.0))
        self._put(
            "/odometry",
            "nav_msgs/msg/Odometry",
            now.time_us,
            header=self.header(now.time_us, "odom"),
            child_frame_id="base_link",
            pose=self.type("geometry_msgs/msg/PoseWithCovariance")(pose=pose, covariance=np.zeros(36)),
            twist=self.type("geometry_msgs/msg/TwistWithCovariance")(twist=twist, covariance=np.zeros(36)),
        )

    def _camera(self, namespace, image):
        calibration = image.calibration
        header = self.header(image.time_us, "optical")
        roi = self.type("sensor_msgs/msg/RegionOfInterest")(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
        self._put(
            f"/{namespace}/camera_info",
            "sensor_msgs/msg/CameraInfo",
            image.time_us,
            header=header,
            height=calibration.height_px,
            width=calibration.width_px,
            distortion_model="plumb_bob",
            d=calibration.distortion,
            k=calibration.intrinsics.reshape(-1),
            r=np.eye(3).reshape(-1),
            p=np.zeros(12),
            binning_x=0,
            binning_y=0,
            roi=roi,
        )
        self._put(
            f"/{namespace}/image_raw",
            "sensor_msgs/msg/Image",
            image.time_us,
            header=header,
            height=calibration.height_px,
            width=calibration.width_px,
            encoding="rgb8",
            is_bigendian=0,
            step=3 * calibration.width_px,
            data=image.rgb.reshape(-1),
        )

    def _truth(self, scene):
        self._put(
            "/ground_truth/scene",
            "pair_drive_ros/msg/SceneTruth",
            scene.time_us,
            header=self.header(scene.time_us, "odom"),
            format=FORMAT,
            data=np.frombuffer(encode_scene(scene), dtype=np.uint8),
        )

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
def town_recording():
    """Built once; tests write their own bags from it."""
    return TownRecording()
