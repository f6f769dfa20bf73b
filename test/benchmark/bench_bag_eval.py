#!/usr/bin/env python3
"""How much faster than the drive itself a recording is evaluated: raw and compressed pictures, small and 1920 x 1080.

python test/benchmark/bench_bag_eval.py [--seconds 5] [--repeats 3] [--threads 1] [--planner parallel]

A recording of three cameras at 10 Hz, a cloud of 60,000 points and odometry at 50 Hz is written, then replayed with
everything that `pair-drive bag-eval` does before it scores: with reading and decoding while a plan is made, as it does,
and with one after the other, in turns. Printed is recorded time over the time that it took, medians of the repeats, and
what the overlap gains; planning on one thread (`--threads`) leaves the reading side a core of its own where there are
two.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
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


def real_time_factor(path: Path, settings: PlannerSettings, seconds: float, *, read_ahead: bool) -> tuple[float, float]:
    """Recorded over evaluated time, and the median time of a plan in ms."""
    planner = settings.guarded_planner()
    with open_bag(path) as bag:
        outcome = replay(bag, settings, planner, ReplayOptions(command="straight", read_ahead=read_ahead))
    assert len(outcome.plans) == round(10 * seconds), f"expected {round(10 * seconds)} plans, got {len(outcome.plans)}"
    return seconds / outcome.wall_s, outcome.latency.summary().p50_ms


def main() -> None:
    parser = argparse.ArgumentParser(description="Real-time factors of evaluating recordings.")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the recordings")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each kind")
    parser.add_argument("--threads", type=int, default=1, help="of the networks")
    parser.add_argument("--planner", choices=[kind.value for kind in PlannerKind], default=PlannerKind.PARALLEL.value)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = PlannerSettings(planner=PlannerKind(arguments.planner))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f} at the start; {arguments.planner}, "
        f"{arguments.threads} threads, {arguments.repeats} x {arguments.seconds:g} s"
    )
    print(f"{'pictures':<22}{'p50 plan [ms]':>15}{'x real time':>13}{'one by one':>12}{'gain':>7}")
    warm = False
    for size in SIZES:
        for kind in KINDS:
            factors: dict[bool, list[float]] = {True: [], False: []}
            plan_ms = []
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "bag"
                write(path, arguments.seconds, size, kind)
                if not warm:
                    # Libraries choose their ways at the first call, and neither way shall pay for that.
                    real_time_factor(path, settings, arguments.seconds, read_ahead=False)
                    warm = True
                for turn in range(2 * arguments.repeats):
                    ahead = turn % 2 == 0
                    factor, p50_ms = real_time_factor(path, settings, arguments.seconds, read_ahead=ahead)
                    factors[ahead].append(factor)
                    plan_ms.append(p50_ms)
            both, alone = (statistics.median(factors[ahead]) for ahead in (True, False))
            name = f"{size[0]} x {size[1]} {kind}"
            print(
                f"{name:<22}{statistics.median(plan_ms):>15.1f}{both:>13.2f}{alone:>12.2f}{both / alone:>7.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
