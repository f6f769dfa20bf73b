#!/usr/bin/env python3
"""How much faster than the drive itself a recording is evaluated: raw and compressed pictures, small and 1920 x 1080.

python test/benchmark/bench_bag_eval.py [--seconds 3] [--planner parallel]

A recording of three cameras at 10 Hz, a cloud of 60,000 points and odometry at 50 Hz is written, then replayed with
everything that `pair-drive bag-eval` does before it scores. Printed is recorded time over the time that it took.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from pair_drive_core.driving.messages import bag_messages
from pair_drive_core.driving.messages.camera_info import to_camera_info
from pair_drive_core.driving.messages.images import to_compressed_image, to_image
from pair_drive_core.driving.messages.known_types import known_types
from pair_drive_core.driving.messages.odometry import to_odometry
from pair_drive_core.driving.messages.point_clouds import to_point_cloud
from pair_drive_core.driving.planner_settings import PlannerKind, PlannerSettings
from pair_drive_core.driving.topics import CAMERA_TOPICS
from pair_drive_core.evaluation.bag_reader import open_bag
from pair_drive_core.evaluation.bag_replay import ReplayOptions, replay
from pair_drive_core.scene import CameraImage, DrivingCommand, EgoStatus, LidarSweep
from pair_drive_core.town import navsim_calibration

T0_US = 1_700_000_000_000_000
SPEED_MPS = 8.0
SIZES = ((480, 270), (1920, 1080))
KINDS = ("raw", "jpeg")


def write(path: Path, seconds: float, size: tuple[int, int], kind: str) -> None:
    """A recording of a straight drive."""
    types = known_types()
    make = bag_messages(types)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (27, 48, 3), dtype=np.uint8)
    rgb = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    points = rng.uniform((-60, -60, -1, 0), (60, 60, 3, 1), (60_000, 4)).astype(np.float32)
    entries = []
    for step in range(round(50 * (seconds + 0.2))):
        time_us = T0_US - 100_000 + 20_000 * step
        pose = np.array([SPEED_MPS * (time_us - T0_US) * 1e-6, 0.0, 0.0])
        status = EgoStatus(time_us, pose, np.array([SPEED_MPS, 0.0]), np.zeros(2), DrivingCommand.STRAIGHT)
        entries.append((time_us, "/odometry", to_odometry(make, status, 0.0, "odom", "base_link")))
    for step in range(round(10 * seconds)):
        time_us = T0_US + 100_000 * step
        for name, namespace in CAMERA_TOPICS.items():
            calibration = navsim_calibration(name).scaled(*size)
            image = CameraImage(calibration, rgb, time_us)
            entries.append((time_us, f"/{namespace}/camera_info", to_camera_info(make, calibration, time_us, "cam")))
            if kind == "raw":
                entries.append((time_us, f"/{namespace}/image_raw", to_image(make, image, "cam")))
            else:
                entries.append((time_us, f"/{namespace}/image_raw/compressed", to_compressed_image(make, image, "cam")))
        entries.append((time_us, "/lidar/points", to_point_cloud(make, LidarSweep(points, time_us), "lidar")))
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for time_us, topic, message in sorted(entries, key=lambda entry: entry[0]):
            kind_name = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind_name, typestore=types)
            writer.write(connections[topic], 1000 * time_us, types.serialize_cdr(message, kind_name))


def main() -> None:
    parser = argparse.ArgumentParser(description="Real-time factors of evaluating recordings.")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of the recordings")
    parser.add_argument("--planner", choices=[kind.value for kind in PlannerKind], default=PlannerKind.PARALLEL.value)
    arguments = parser.parse_args()
    settings = PlannerSettings(planner=PlannerKind(arguments.planner))
    print(f"{'pictures':<22}{'plans':>6}{'p50 plan [ms]':>15}{'x real time':>13}")
    for size in SIZES:
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "bag"
                write(path, arguments.seconds, size, kind)
                planner = settings.guarded_planner()
                with open_bag(path) as bag:
                    outcome = replay(bag, settings, planner, ReplayOptions(command="straight"))
            latency = outcome.latency.summary().p50_ms
            factor = len(outcome.plans) / 10.0 / outcome.wall_s
            print(f"{size[0]} x {size[1]} {kind:<10}{len(outcome.plans):>8}{latency:>15.1f}{factor:>13.2f}", flush=True)


if __name__ == "__main__":
    main()
