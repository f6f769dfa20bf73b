#!/usr/bin/env python3
"""Drive unseen towns over DDS through planner, guard and follower, and tell what the drives were like.

Each town is a drive of its own: town simulator, planner and follower are separate processes that talk over DDS on the
loopback interface. A town that has been driven keeps its report; started again, the rest is driven. Another planner or
duration needs another folder.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from ament_index_python.packages import PackageNotFoundError
from rich.console import Console

from pair_drive_core.driving.planner_settings import PlannerKind
from pair_drive_core.evaluation.drive_table import drive_rows, markdown
from pair_drive_core.evaluation.town_drive import human_progress_m
from pair_drive_ros.domain import domain_environment, reserved_domain
from pair_drive_ros.processes import ChildError, Children

PACKAGE = "pair_drive_ros"
FIRST_TOWN = 20_000
"""Towns from here on were never trained on."""
STALL_S = 180.0
"""Wall-clock time without a new line of the town after which a drive is given up."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Drive unseen towns over DDS through planner, guard and follower.")
    parser.add_argument("--out", type=Path, default=Path("out/closed_loop"), help="folder of the reports")
    parser.add_argument("--towns", type=int, default=24, help="how many towns (default: 24)")
    parser.add_argument("--first-town", type=int, default=FIRST_TOWN, help=f"layout seed (default: {FIRST_TOWN})")
    parser.add_argument("--seed", type=int, default=1, help="seed of the traffic (default: 1)")
    parser.add_argument("--duration", type=float, default=50.0, help="simulated time in each, s (default: 50)")
    parser.add_argument("--sensor-period", type=float, default=0.2, help="between sensor readings, s (default: 0.2)")
    parser.add_argument("--driver", choices=["command", "plan", "human"], default="command")
    parser.add_argument("--planner", choices=[kind.value for kind in PlannerKind], default=PlannerKind.PARALLEL.value)
    parser.add_argument("--checkpoint", type=Path, default=None, help="default: the checkpoint of the package")
    parser.add_argument("--device", default="cpu", help="torch device of the networks (default: cpu)")
    parser.add_argument("--params-file", type=Path, default=None, help="parameter file of the planner")
    return parser.parse_args()


def node_command(module: str, parameters: dict[str, object], params_file: Path | None = None) -> list[str]:
    """Command line of a node."""
    texts = {name: str(v).lower() if isinstance(v, bool) else str(v) for name, v in parameters.items()}
    options = [part for name, text in texts.items() for part in ("-p", f"{name}:={text}")]
    files = ["--params-file", str(params_file.resolve())] if params_file else []
    return [sys.executable, "-m", f"{PACKAGE}.nodes.{module}", "--ros-args", *files, *options]


def drive(arguments: argparse.Namespace, town: int, report: Path) -> None:
    """Drive one town; its report is there when this returns."""
    planner: dict[str, object] = {
        "autostart": True,
        "use_sim_time": True,
        "planner": arguments.planner,
        "device": arguments.device,
        "sensor_reliability": "reliable",
        "stale_after_s": arguments.sensor_period + 0.1,
        "publish_candidates": False,
        "publish_markers": False,
    }
    if arguments.checkpoint is not None:
        planner["checkpoint"] = arguments.checkpoint.resolve()
    # In lock-step the clock stands still while a slow machine plans, so nothing may go by wall-clock time.
    follower: dict[str, object] = {"autostart": True, "use_sim_time": True, "deadline_s": 0.0, "lifespan_s": 0.0}
    simulator: dict[str, object] = {
        "layout_seed": town,
        "seed": arguments.seed,
        "duration_s": float(arguments.duration),
        "driver": arguments.driver,
        "sensor_period_s": float(arguments.sensor_period),
        "image_transport": "raw",
        "planner_wait_s": 120.0,
        "plan_wait_s": 20.0,
        "publish_truth": False,
        "report": report.resolve(),
    }
    logs = report.parent / f"logs_{town}"
    with reserved_domain() as domain, Children(logs, domain_environment(domain)) as children:
        others = [
            children.start("planner", node_command("planner_node", planner, arguments.params_file)),
            children.start("follower", node_command("trajectory_follower_node", follower)),
        ]
        child = children.start("town", node_command("town_simulator_node", simulator))
        size, changed = 0, time.monotonic()
        while child.process.poll() is None:
            children.require_running(*others)
            now = child.log.stat().st_size
            if now != size:
                size, changed = now, time.monotonic()
            if time.monotonic() - changed > STALL_S:
                raise ChildError(f"town {town} stands still since {STALL_S:.0f} s: {child.tail()}")
            time.sleep(0.2)
        if child.process.returncode != 0:
            raise ChildError(f"town {town} ended with exit code {child.process.returncode}: {child.tail()}")


def read_report(path: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """A report, with the human's progress beside; it is measured once and kept."""
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "human_progress_m" not in report:
        report["human_progress_m"] = human_progress_m(report["layout_seed"], report["seed"], arguments.duration)
        path.write_text(json.dumps(report, indent=2), encoding="utf-8")
    return report


def raise_interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the drives as Ctrl-C does; what has been driven is kept."""
    raise KeyboardInterrupt


def main() -> int:
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, raise_interrupt)
    console = Console()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    towns = range(arguments.first_town, arguments.first_town + arguments.towns)
    reports = []
    try:
        for number, town in enumerate(towns, start=1):
            path = out / f"town_{town}.json"
            if not path.is_file():
                console.print(f"town {town} ({number} of {len(towns)})")
                drive(arguments, town, path)
            reports.append(read_report(path, arguments))
    except KeyboardInterrupt:
        console.print("interrupted; start again to drive the rest")
        return 130
    except (ChildError, OSError, PackageNotFoundError) as error:
        print(f"closed_loop: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    table = markdown(drive_rows(reports))
    print(f"{len(reports)} towns, {arguments.duration:g} s each\n{table}", end="")
    (out / "table.md").write_text(table, encoding="utf-8")
    reasons = {reason for report in reports for reason in report["guard_events"]}
    for reason in sorted(reasons):
        console.print(f"guard: {sum(report['guard_events'].get(reason, 0) for report in reports)} x {reason}")
    console.print(f"{out}/: town_*.json, table.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
