"""Small recordings of a straight drive at 8 m/s: tiny pictures, few points, 2 s, any of it changeable."""

import contextlib
import math
import sqlite3
from dataclasses import dataclass, field

import cv2
import numpy as np
from rosbags.rosbag2 import CompressionFormat, StoragePlugin, Writer

from pair_drive_core.driving.messages import bag_messages
from pair_drive_core.driving.messages.camera_info import to_camera_info
from pair_drive_core.driving.messages.commands import to_driving_command
from pair_drive_core.driving.messages.images import to_compressed_image
from pair_drive_core.driving.messages.odometry import to_odometry
from pair_drive_core.driving.messages.point_clouds import to_point_cloud
from pair_drive_core.driving.topics import CAMERA_TOPICS
from pair_drive_core.scene import CameraCalibration, CameraImage, DrivingCommand, EgoStatus, LidarSweep

T0_US = 1_700_000_000_000_000
SPEED = 8.0
WIDTH, HEIGHT = 64, 36
K = np.array([[48.0, 0, 32], [0, 48.0, 18], [0, 0, 1]])
PICTURE = cv2.resize(
    np.random.default_rng(3).integers(0, 255, (6, 8, 3), dtype=np.uint8),
    (WIDTH, HEIGHT),
    interpolation=cv2.INTER_LINEAR,
)


@dataclass
class Entry:
    """One message that will be written; tests change what they like."""

    topic: str
    logged_us: int
    message: object


@dataclass
class SmallBag:
    """Messages of a drive by topic; `frames` sets at 10 Hz, odometry at 50 Hz from 1 s before."""

    store: object
    frames: int = 6
    yaw: float = 0.0
    entries: list = field(default_factory=list)

    def __post_init__(self):
        self.make = bag_messages(self.store)
        for k in range(50 + 5 * self.frames + 15):
            time_us = T0_US - 1_000_000 + 20_000 * k
            self.put("/odometry", time_us + 2_000, self.odometry(time_us))
        command = to_driving_command(self.make, DrivingCommand.STRAIGHT, T0_US - 500_000, "")
        self.put("/driving_command", T0_US - 500_000, command)
        for k in range(self.frames):
            time_us = T0_US + 100_000 * k
            for camera, namespace in CAMERA_TOPICS.items():
                calibration = CameraCalibration(camera, WIDTH, HEIGHT, K, np.eye(3), np.zeros(3), np.zeros(5))
                image = CameraImage(calibration, PICTURE, time_us)
                info = to_camera_info(self.make, calibration, time_us, "cam")
                self.put(f"/{namespace}/camera_info", time_us + 29_000, info)
                picture = to_compressed_image(self.make, image, "cam", "png")
                self.put(f"/{namespace}/image_raw/compressed", time_us + 30_000, picture)
            self.put("/lidar/points", time_us + 25_000, to_point_cloud(self.make, sweep(time_us), "lidar"))

    def odometry(self, time_us):
        along = SPEED * (time_us - T0_US) * 1e-6
        pose = np.array([along * math.cos(self.yaw), along * math.sin(self.yaw), self.yaw])
        status = EgoStatus(time_us, pose, np.array([SPEED, 0.0]), np.zeros(2), DrivingCommand.STRAIGHT)
        return to_odometry(self.make, status, 0.0, "odom", "base_link")

    def put(self, topic, logged_us, message):
        self.entries.append(Entry(topic, logged_us, message))

    def of(self, part):
        """Entries whose topic contains a text, in order."""
        return [entry for entry in self.entries if part in entry.topic]

    def drop(self, part):
        self.entries = [entry for entry in self.entries if part not in entry.topic]
        return self

    def rename(self, names):
        for entry in self.entries:
            entry.topic = names.get(entry.topic, entry.topic)
        return self

    def write(self, path, storage="mcap", compression=None):
        plugin = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}[storage]
        writer = Writer(path, version=9, storage_plugin=plugin)
        if compression is not None:
            writer.set_compression(compression, CompressionFormat.ZSTD)
        with writer:
            connections = {}
            for entry in sorted(self.entries, key=lambda e: e.logged_us):
                kind = entry.message.__msgtype__
                if entry.topic not in connections:
                    connections[entry.topic] = writer.add_connection(entry.topic, kind, typestore=self.store)
                data = self.store.serialize_cdr(entry.message, kind)
                writer.write(connections[entry.topic], 1000 * entry.logged_us, data)
        return path


def sweep(time_us):
    """Ground and a wall, 400 points."""
    x, y = np.meshgrid(np.linspace(3, 30, 20), np.linspace(-8, 8, 20))
    z = np.where(x > 28, 1.5, 0.0)
    points = np.stack((x, y, z, np.full_like(x, 0.5)), axis=-1).reshape(-1, 4)
    return LidarSweep(points.astype(np.float32), time_us)


def file_of(folder):
    """The one storage file of a recording's folder."""
    (path,) = [p for p in folder.iterdir() if p.suffix in (".mcap", ".db3")]
    return path


@contextlib.contextmanager
def database(folder):
    """The recording's database, to be changed."""
    base = sqlite3.connect(file_of(folder))
    yield base
    base.commit()
    base.close()


def record(opcode, body):
    return bytes([opcode]) + len(body).to_bytes(8, "little") + body


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return len(data).to_bytes(4, "little") + data


def with_foreign_topic(folder, kind, definition, encoding, message_encoding="cdr"):
    """An MCAP file with one more topic, /unrelated, and without a summary: schema, channel and a message of 4 bytes."""
    content = file_of(folder).read_bytes()
    position, data = 8, b""
    while position < len(content) - 8:
        end = position + 9 + int.from_bytes(content[position + 1 : position + 9], "little")
        if content[position] in (0x0F, 0x02):
            break
        data += content[position:end]
        position = end
    schema = record(3, (9000).to_bytes(2, "little") + text(kind) + text(encoding) + text(definition))
    channel = record(4, (9000).to_bytes(2, "little") * 2 + text("/unrelated") + text(message_encoding) + bytes(4))
    stamp = (1000 * T0_US).to_bytes(8, "little")
    message = record(5, (9000).to_bytes(2, "little") + bytes(4) + stamp * 2 + b"\0\1\0\0")
    end = record(0x0F, bytes(4)) + record(2, bytes(20)) + content[-8:]
    path = folder.with_suffix(".mcap")
    # The first record is the header; what is foreign comes before all else.
    first = 9 + int.from_bytes(data[1:9], "little")
    path.write_bytes(content[:8] + data[:first] + schema + channel + message + data[first:] + end)
    return path
