#!/usr/bin/env python3
"""Drive the planner node for a long time over DDS and see whether it stays as it was: what `make soak` runs.

The town's sensors at one moment are published again and again in wall-clock time, so that the planner, not the
rendering, is what runs; the ego's odometry drives on at its speed. Every minute a line is printed: sets, plans, sets
that gave none by reason, latencies, and what the process holds. It fails (exit code 1) when memory, threads or file
handles grow, when a set gave no plan and is counted nowhere, or when plans take longer than a period.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from pair_drive_core.driving.messages.camera_info import to_camera_info
from pair_drive_core.driving.messages.commands import to_driving_command
from pair_drive_core.driving.messages.images import to_image
from pair_drive_core.driving.messages.odometry import to_acceleration, to_odometry
from pair_drive_core.driving.messages.point_clouds import to_point_cloud
from pair_drive_core.driving.messages.stamps import to_time
from pair_drive_core.driving.topics import CAMERA_TOPICS
from pair_drive_core.evaluation.town_drive import TownDrive
from pair_drive_core.scene import EgoStatus
from pair_drive_ros.domain import reserved_domain

ROOT = Path(__file__).resolve().parents[1]
ROW_S = 60.0
START_S = 300.0
"""How long the node may take to start: the machine may be busy, which is what a soak is about."""
GROWTH_MIB = 64.0
"""Memory may grow by so much after the first minute: allocators keep what they have been given."""
UNDER_WAY = 5
"""Sets that may be under way when counters are read."""


def peers() -> ModuleType:
    """`test/ros_peers.py`, which is no package."""
    spec = importlib.util.spec_from_file_location("ros_peers", ROOT / "test" / "ros_peers.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Sets:
    """A whole set of the town's readings; stamps, and where the ego is, are those of the moment of sending."""

    def __init__(self, drive: TownDrive) -> None:
        from pair_drive_ros.message_types import ros_message as make

        readings = drive.readings()
        self._make = make
        self._status = readings.status
        self._fixed: dict[str, Any] = {
            "command": to_driving_command(make, readings.status.command, 0, "base_link"),
            "lidar": to_point_cloud(make, readings.lidar, "base_link"),
        }
        for name in CAMERA_TOPICS:
            image = readings.cameras[name]
            self._fixed[f"{name} info"] = to_camera_info(make, image.calibration, 0, "optical")
            self._fixed[name] = to_image(make, image, "optical")

    def at(self, time_us: int, since_us: int) -> dict[str, Any]:
        """The messages of a moment by the names of `SensorRig`; the ego has driven straight on since a moment."""
        given = self._status
        pose = given.pose.copy()
        pose[:2] = given.velocity[0] * 1e-6 * (time_us - since_us), 0.0
        pose[2] = 0.0
        status = EgoStatus(time_us, pose, given.velocity, given.acceleration, given.command)
        for message in self._fixed.values():
            message.header.stamp = to_time(self._make, time_us)
        return {
            "odometry": to_odometry(self._make, status, 0.0, "odom", "base_link"),
            "acceleration": to_acceleration(self._make, status, "base_link"),
            **self._fixed,
        }


def held_by(pid: int) -> dict[str, float]:
    """What a process holds."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {
        "memory_mib": round(float(fields["VmRSS"].split()[0]) / 1024.0, 1),
        "threads": int(fields["Threads"]),
        "handles": len(list(Path(f"/proc/{pid}/fd").iterdir())),
    }


def soak(seconds: float, period_s: float, folder: Path, parameters: dict[str, object]) -> dict[str, Any]:
    """Drive; what was seen."""
    module = peers()
    sets = Sets(TownDrive(20002, 3, image_width_px=480))
    rows: list[dict[str, Any]] = []
    with reserved_domain() as domain, contextlib.ExitStack() as stack:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        peer = module.Peer(domain)
        stack.callback(peer.close)
        log = stack.enter_context((folder / "planner.log").open("w"))

        def start(*arguments: object) -> Any:  # noqa: ANN401 - takes one more attribute
            process: Any = subprocess.Popen([sys.executable, *map(str, arguments)], stdout=log, stderr=log)
            process.log_path = folder / "planner.log"
            stack.callback(_end, process)
            return process

        planner = module.PlannerProcess(peer, start)
        planner.start(sensor_reliability="reliable", **parameters)
        rig = module.SensorRig(peer)
        rig.wait_for_planner(START_S)
        begun, since_us, sent, next_row, plans = time.monotonic(), rig.now_us(), 0, ROW_S, 0
        while time.monotonic() - begun < seconds:
            peer.spin_for(max(begun + sent * period_s - time.monotonic(), 0.0))
            for name, message in sets.at(rig.now_us(), since_us).items():
                rig._publishers[name].publish(message)
            sent += 1
            plans += len(planner.plans)
            planner.plans.clear()
            del planner.diagnostics[:-1]
            if time.monotonic() - begun >= next_row:
                rows.append(_row(planner, sent, plans, time.monotonic() - begun))
                print(json.dumps(rows[-1]), flush=True)
                next_row += ROW_S
        peer.spin_for(1.0)
        plans += len(planner.plans)
        rows.append(_row(planner, sent, plans, time.monotonic() - begun))
    return {"period_s": period_s, "rows": rows, "problems": problems(rows, period_s)}


def _end(process: Any) -> None:  # noqa: ANN401 - a Popen with one more attribute
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


def _row(
    planner: Any,  # noqa: ANN401 - a class of test/ros_peers.py
    sent: int,
    plans: int,
    seconds: float,
) -> dict[str, Any]:
    """Counters of the node as they are now."""
    counters, latest = planner.values("synchronizer"), planner.values("planner")
    counted = ("dropped: ", "refused: CAM_F0")
    return {
        "seconds": round(seconds),
        "sets": sent,
        "arrived": int(counters.get("received: CAM_F0", 0)),
        "plans": plans,
        "dropped": {key: int(value) for key, value in counters.items() if key.startswith(counted) and int(value)},
        "latency_p50_ms": float(latest.get("latency_p50_ms", "nan")),
        "latency_p99_ms": float(latest.get("latency_p99_ms", "nan")),
        **held_by(planner.process.pid),
        "load": round(os.getloadavg()[0], 1),
    }


def problems(rows: list[dict[str, Any]], period_s: float) -> list[str]:
    """What a soak must not show.

    Args:
        rows: counters, the first of them after a minute.
        period_s: time between two sets.
    """
    found = []
    first, last = rows[0], rows[-1]
    grown = last["memory_mib"] - first["memory_mib"]
    if grown > GROWTH_MIB:
        found.append(f"memory grew by {grown:.0f} MiB since the first minute, limit {GROWTH_MIB:.0f}")
    found += [
        f"{what} grew from {first[what]} to {last[what]} since the first minute"
        for what in ("threads", "handles")
        if last[what] > first[what]
    ]
    lost = last["sets"] - last["arrived"]
    if lost > UNDER_WAY:
        found.append(f"{lost} of {last['sets']} sets did not reach the node")
    missing = last["arrived"] - last["plans"] - sum(last["dropped"].values())
    if abs(missing) > UNDER_WAY:
        found.append(f"{missing} of {last['sets']} sets gave no plan and are counted nowhere")
    if not last["latency_p99_ms"] < 1e3 * period_s:
        found.append(f"latency p99 {last['latency_p99_ms']:.0f} ms, expected below a period of {1e3 * period_s:.0f} ms")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Drive the planner node for a long time and see that it stays.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--hz", type=float, default=5.0, help="sets a second (default: 5, as in the demo)")
    parser.add_argument("--planner", default="parallel", help="which planner (default: parallel)")
    parser.add_argument("--checkpoint", default="", help="its checkpoint (default: the one that ships)")
    parser.add_argument("--device", default="cpu", help="where its networks run (default: cpu)")
    parser.add_argument("--out", type=Path, default=Path("out/soak"), help="folder of the result")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    profile = str(ROOT / "config" / "fastdds_large_messages.xml")
    os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = os.environ["FASTDDS_DEFAULT_PROFILES_FILE"] = profile
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    given = {"planner": arguments.planner, "device": arguments.device}
    if arguments.checkpoint:
        given["checkpoint"] = str(Path(arguments.checkpoint).resolve())
    outcome = soak(60.0 * arguments.minutes, 1.0 / arguments.hz, arguments.out, given)
    (arguments.out / "soak.json").write_text(json.dumps(outcome, indent=1))
    print(json.dumps(outcome["rows"][-1]))
    for problem in outcome["problems"]:
        print(f"soak: {problem}", file=sys.stderr)
    return 1 if outcome["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
