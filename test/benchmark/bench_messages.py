#!/usr/bin/env python3
"""What the planner node costs beside inference, and how soon it tells of a lost camera; over DDS, in two processes.

python test/benchmark/bench_messages.py [--seconds 20] [--drops 30]     after: source scripts/ros_env.sh

A planner node that keeps its speed (so that everything but inference is left) takes three cameras of 1920 x 1080 and a
cloud of 100,000 points at 10 Hz. Printed are, for raw and compressed pictures, the time from the last message of a set
to the publication of its plan, and the CPU time of the node a plan. `--alone` does the same work without DDS: messages
are received, brought together, decoded and answered in one thread, whose CPU time a set is printed. With --drops each
camera in turn goes silent, and
what passes from its last picture's stamp until the ERROR is heard is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from pair_drive_core.driving.messages import bag_messages
from pair_drive_core.driving.messages.camera_info import to_camera_info
from pair_drive_core.driving.messages.candidates import to_markers
from pair_drive_core.driving.messages.commands import to_driving_command
from pair_drive_core.driving.messages.images import to_compressed_image, to_image
from pair_drive_core.driving.messages.known_types import known_types
from pair_drive_core.driving.messages.odometry import to_odometry
from pair_drive_core.driving.messages.point_clouds import to_point_cloud
from pair_drive_core.driving.messages.stamps import to_time
from pair_drive_core.driving.messages.trajectories import to_path, to_planned_trajectory
from pair_drive_core.driving.planner_settings import PlannerKind, PlannerSettings
from pair_drive_core.driving.topics import CAMERA_TOPICS
from pair_drive_core.scene import CameraImage, DrivingCommand, EgoStatus, LidarSweep
from pair_drive_core.town import navsim_calibration
from pair_drive_ros.domain import reserved_domain

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT, POINTS = 1920, 1080, 100_000
PERIOD_S = 0.1
TICKS = os.sysconf("SC_CLK_TCK")


def peers() -> ModuleType:
    """`test/ros_peers.py`, which is no package."""
    spec = importlib.util.spec_from_file_location("ros_peers", ROOT / "test" / "ros_peers.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def starter() -> Iterator[Any]:
    """Starts processes, and stops them at the end."""
    started: list[Any] = []
    with tempfile.TemporaryDirectory() as folder:

        def start(*arguments: object) -> Any:
            path = Path(folder) / f"{len(started)}.log"
            with path.open("w") as log:
                process: Any = subprocess.Popen([sys.executable, *map(str, arguments)], stdout=log, stderr=log)
            process.log_path = path
            started.append(process)
            return process

        yield start
        for process in started:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


class FullSizeRig:
    """Publishes sets of full size; what does not change is made once."""

    def __init__(self, module: ModuleType, peer: Any, compressed: bool) -> None:
        from sensor_msgs.msg import CompressedImage

        from pair_drive_ros.message_types import ros_message as make

        self.rig = module.SensorRig(peer)
        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 255, (54, 96, 3), dtype=np.uint8)
        rgb = np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
        points = rng.uniform((-60, -60, -1, 0), (60, 60, 3, 1), (POINTS, 4)).astype(np.float32)
        self._fixed: dict[str, Any] = {"lidar": to_point_cloud(make, LidarSweep(points, 0), "base_link")}
        self._publishers = dict(self.rig._publishers)
        for name, namespace in CAMERA_TOPICS.items():
            calibration = navsim_calibration(name).scaled(WIDTH, HEIGHT)
            image = CameraImage(calibration, rgb, 0)
            self._fixed[f"{name} info"] = to_camera_info(make, calibration, 0, "optical")
            if compressed:
                self._fixed[name] = to_compressed_image(make, image, "optical")
                topic = f"{namespace}/image_raw/compressed"
                self._publishers[name] = peer.node.create_publisher(CompressedImage, topic, 10)
            else:
                self._fixed[name] = to_image(make, image, "optical")
        self._make = make

    def wait(self) -> None:
        heard = lambda: all(p.get_subscription_count() for p in self._publishers.values())  # noqa: E731
        if not self.rig.peer.spin_until(heard, 120):
            raise SystemExit("the planner did not subscribe")

    def publish(self) -> None:
        time_us = self.rig.now_us()
        for name, message in self.rig._messages(time_us).items():
            sent = self._fixed.get(name, message)
            sent.header.stamp = to_time(self._make, time_us)
            self._publishers[name].publish(sent)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def handling(module: ModuleType, seconds: float, transport: str) -> str:
    with reserved_domain() as domain, starter() as start:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        peer = module.Peer(domain)
        planner = module.PlannerProcess(peer, start)
        planner.start(image_transport=transport, sensor_reliability="reliable", stale_after_s=1.0)
        rig = FullSizeRig(module, peer, transport == "compressed")
        rig.wait()
        begun_cpu, begun, sets = cpu_s(planner.process.pid), time.monotonic(), 0
        while time.monotonic() < begun + seconds:
            due = begun + sets * PERIOD_S
            peer.spin_for(max(due - time.monotonic(), 0.0))
            rig.publish()
            sets += 1
        peer.spin_for(1.0)
        plans, used = len(planner.plans), cpu_s(planner.process.pid) - begun_cpu
        values = planner.values("planner")
        ages = [1e3 * (plan.age.sec + plan.age.nanosec * 1e-9) for plan in planner.plans]
        peer.close()
    p50, p99 = values.get("latency_p50_ms", "nan"), values.get("latency_p99_ms", "nan")
    age = f"{np.percentile(ages, 50):>9.1f}{np.percentile(ages, 99):>9.1f}" if ages else ""
    cpu_ms = 1e3 * used / max(plans, 1)
    return f"{transport:<12}{sets:>6}{plans:>7}{float(p50):>12.1f}{float(p99):>12.1f}{cpu_ms:>14.1f}{age}"


def alone(sets: int, compressed: bool) -> str:
    """CPU time that one thread needs for a set, inference left out."""
    types = known_types()
    make = bag_messages(types)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (54, 96, 3), dtype=np.uint8)
    rgb = np.asarray(cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    points = rng.uniform((-60, -60, -1, 0), (60, 60, 3, 1), (POINTS, 4)).astype(np.float32)
    settings = PlannerSettings(planner=PlannerKind.CONSTANT_VELOCITY)
    feed, planner = settings.feed(), settings.guarded_planner()
    feed.least_picture_rows = planner.least_picture_rows
    cv2.setNumThreads(1)
    spent = []
    for number in range(-5, sets):
        time_us = 10**9 + 100_000 * number
        batch: list[tuple[str, Any]] = [
            ("driving_command", to_driving_command(make, DrivingCommand.STRAIGHT, time_us, "base_link"))
        ]
        for ahead_us in range(0, 100_001, 20_000):
            pose = np.array([8.0 * (time_us + ahead_us) * 1e-6, 0.0, 0.0])
            status = EgoStatus(time_us + ahead_us, pose, np.array([8.0, 0.0]), np.zeros(2), DrivingCommand.STRAIGHT)
            batch.append(("odometry", to_odometry(make, status, 0.0, "odom", "base_link")))
        for name, namespace in CAMERA_TOPICS.items():
            calibration = navsim_calibration(name).scaled(WIDTH, HEIGHT)
            image = CameraImage(calibration, rgb, time_us)
            batch.append((f"{namespace}/camera_info", to_camera_info(make, calibration, time_us, "optical")))
            picture = to_compressed_image(make, image, "o") if compressed else to_image(make, image, "o")
            batch.append((f"{namespace}/image_raw{'/compressed' if compressed else ''}", picture))
        batch.append(("lidar/points", to_point_cloud(make, LidarSweep(points, time_us), "base_link")))
        start, guarding, plans = time.thread_time(), 0.0, 0
        ready = []
        for topic, message in batch:
            feed.receive(topic, message)
            ready += feed.take()
        for readings in ready:
            agent_input = feed.decode(readings)
            if agent_input is None:
                raise SystemExit(f"unusable: {feed.report.last_error}")
            before = time.thread_time()
            result = planner.plan(agent_input)
            guarding += time.thread_time() - before
            plan = to_planned_trajectory(make, result, agent_input.now, "odom", 0.0, planner.name)
            to_path(make, plan)
            to_markers(make, plan, None)
            plans += 1
        if number >= 0 and plans:
            spent.append((1e3 * (time.thread_time() - start) / plans, 1e3 * guarding / plans))
    (p50, guard), (p99, _) = np.percentile(spent, 50, axis=0), np.percentile(spent, 99, axis=0)
    return f"{'compressed' if compressed else 'raw':<12}{len(spent):>6}{p50:>12.1f}{p99:>12.1f}{guard:>18.1f}"


def drops(module: ModuleType, count: int) -> list[float]:
    """Times from the stamp of a camera's last picture until its ERROR is heard, s."""
    found = []
    rng = random.Random(0)
    with reserved_domain() as domain, starter() as start:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        peer = module.Peer(domain)
        planner = module.PlannerProcess(peer, start)
        planner.start(stale_after_s=0.25)
        rig = module.SensorRig(peer)
        rig.wait_for_planner()
        for number in range(count):
            camera = list(CAMERA_TOPICS)[number % len(CAMERA_TOPICS)]
            ok = lambda c=camera: planner.findings().get(f"input {c}", (9,))[0] == 0  # noqa: E731
            rig.stream_until(ok, 20)
            rig.stream(0.3 + 0.1 * rng.random())
            last_us = rig.now_us()
            rig.publish(last_us)
            lost = lambda c=camera: planner.findings().get(f"input {c}", (9,))[0] == 2  # noqa: E731
            next_s = time.monotonic() + 0.05
            while not lost():
                if time.monotonic() >= next_s:
                    rig.publish(without=(camera,))
                    next_s += 0.05
                peer._executor.spin_once(timeout_sec=0.002)
            found.append((rig.now_us() - last_us) * 1e-6)
        peer.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Message handling of the planner node, and loss of cameras.")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--alone", type=int, default=0, help="sets to handle without DDS instead")
    parser.add_argument("--drops", type=int, default=30, help="how often a camera is lost")
    arguments = parser.parse_args()
    if arguments.alone > 0:
        print("pictures      sets    p50 [ms]    p99 [ms]   of it guard p50     (CPU time of one thread)")
        for compressed in (False, True):
            print(alone(arguments.alone, compressed), flush=True)
        return
    profile = str(ROOT / "config" / "fastdds_large_messages.xml")
    os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] = profile
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    module = peers()
    if arguments.seconds > 0:
        print("pictures      sets  plans  p50 [ms]    p99 [ms]  CPU/plan [ms]  age p50   age p99")
        for transport in ("raw", "compressed"):
            print(handling(module, arguments.seconds, transport), flush=True)
    if arguments.drops > 0:
        times = drops(module, arguments.drops)
        shares = " ".join(f"p{share} {np.percentile(times, share):.3f}" for share in (0, 50, 90, 100))
        print(f"lost camera until ERROR, {len(times)} times [s]: {shares}; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
