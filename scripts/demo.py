#!/usr/bin/env python3
"""Drive through the town over ROS 2, record it, evaluate the recording: what `make demo` runs.

Town simulator, planner and recorder are separate processes that talk over DDS on the loopback interface, in a domain of
their own. The result is put into its folder when everything has succeeded; until then the folder keeps what it held.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.driving.planner_settings import PlannerKind, PlannerSettings
from pair_drive_core.evaluation.bag_evaluation import BagReport, evaluate_bag
from pair_drive_core.evaluation.bag_replay import ReplayWatcher
from pair_drive_core.evaluation.bag_table import bag_table
from pair_drive_core.evaluation.plots import PictureBook, write_pictures
from pair_drive_core.scene import AgentInput
from pair_drive_core.scoring import Metric
from pair_drive_ros.domain import domain_environment, reserved_domain
from pair_drive_ros.processes import Child, ChildError, Children

PACKAGE = "pair_drive_ros"
PROGRESS_LINE = re.compile(r"town ([\d.]+) / ([\d.]+) s, (.*)")
STALL_S = 60.0
"""Wall-clock time without a simulated second after which the demo gives up."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Drive through the town over ROS 2, record it, evaluate the recording."
    )
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder of the result (default: out/demo)")
    parser.add_argument("--duration", type=float, default=60.0, help="simulated time, s (default: 60)")
    parser.add_argument("--layout-seed", type=int, default=20003, help="which town (default: 20003)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the traffic (default: 1)")
    parser.add_argument(
        "--sensor-period", type=float, default=0.2, help="time between sensor readings, s (default: 0.2)"
    )
    parser.add_argument("--planner", choices=[kind.value for kind in PlannerKind], default=PlannerKind.PARALLEL.value)
    parser.add_argument("--checkpoint", type=Path, default=None, help="default: the checkpoint of the package")
    return parser.parse_args()


def node_command(executable: str, parameters: dict[str, object]) -> list[str]:
    """Command line of a node of the package."""
    program = Path(get_package_prefix(PACKAGE)) / "lib" / PACKAGE / executable
    options = [part for name, value in parameters.items() for part in ("-p", f"{name}:={_ros_text(value)}")]
    return [sys.executable, str(program), "--ros-args", *options]


def _ros_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def drive(arguments: argparse.Namespace, folder: Path, console: Console) -> None:
    """Run the three nodes until the simulated time is over; the recording is then complete."""
    planner_parameters: dict[str, object] = {
        "autostart": True,
        "use_sim_time": True,
        "planner": arguments.planner,
        "image_transport": "compressed",
        "sensor_reliability": "reliable",
        "stale_after_s": arguments.sensor_period + 0.1,
    }
    if arguments.checkpoint is not None:
        planner_parameters["checkpoint"] = arguments.checkpoint.resolve()
    town_parameters: dict[str, object] = {
        "duration_s": float(arguments.duration),
        "layout_seed": arguments.layout_seed,
        "seed": arguments.seed,
        "sensor_period_s": float(arguments.sensor_period),
        "listeners": 2,
        "planner_wait_s": 60.0,
    }
    with reserved_domain() as domain:
        environment = {
            **domain_environment(domain),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        }
        console.print(f"three nodes over DDS in domain {domain}: town simulator, planner, recorder")
        with Children(folder / "logs", environment) as children:
            planner = children.start("planner", node_command("planner_node", planner_parameters))
            recorder = children.start("recorder", node_command("bag_recorder_node", {"output": folder / "bag"}))
            town = children.start("town", node_command("town_simulator_node", town_parameters))
            watch(children, town, (planner, recorder), console)
            children.stop(recorder, 30.0)
            children.stop(planner, 10.0)


def watch(children: Children, town: Child, others: tuple[Child, ...], console: Console) -> None:
    """Show the progress of the town until it ends."""
    columns = (TextColumn("driving"), BarColumn(), TextColumn("{task.fields[text]}"), TimeElapsedColumn())
    last_text, last_change = "", time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("driving", total=1.0, text="starting")
        while town.process.poll() is None:
            children.require_running(*others)
            found = PROGRESS_LINE.findall(town.log.read_text(errors="replace"))
            if found and found[-1][0] != last_text:
                done, total, rest = found[-1]
                last_text, last_change = done, time.monotonic()
                progress.update(task, completed=float(done) / float(total), text=f"{done} of {total} s, {rest}")
                if not console.is_terminal and float(done) % 10.0 == 0:
                    console.print(f"{done} of {total} s simulated, {rest}")
            if time.monotonic() - last_change > STALL_S:
                raise ChildError(f"the town stands still since {STALL_S:.0f} s: {town.tail()}")
            time.sleep(0.1)
    if town.process.returncode != 0:
        raise ChildError(f"town ended with exit code {town.process.returncode}: {town.tail()}")


class Evaluation(ReplayWatcher):
    """Collects the moments for the pictures."""

    def __init__(self) -> None:
        self.pictures = PictureBook()

    def planned(self, agent_input: AgentInput, result: GuardedPlan) -> None:
        """Offer every moment to the picture book."""
        self.pictures.consider(agent_input, result)


def evaluate(arguments: argparse.Namespace, folder: Path, console: Console) -> BagReport:
    """Score the recording and draw the pictures."""
    checkpoint = str(arguments.checkpoint or "")
    settings = PlannerSettings(planner=PlannerKind(arguments.planner), checkpoint=checkpoint)
    evaluation = Evaluation()
    with console.status("evaluating the recording"):
        report, outcome = evaluate_bag(folder / "bag", settings, Metric.V1, watcher=evaluation)
        write_pictures(folder, evaluation.pictures.best(2, outcome.scenes), outcome.scenes)
    # The recording moves to its final place with everything else.
    report = replace(report, bag=str(arguments.out / "bag"))
    (folder / "table.json").write_text(json.dumps(report.to_json(), indent=2), encoding="utf-8")
    return report


def raise_interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the demo as Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> int:
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, raise_interrupt)
    console = Console()
    out: Path = arguments.out
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        drive(arguments, partial, console)
        report = evaluate(arguments, partial, console)
        shutil.rmtree(out, ignore_errors=True)
        partial.rename(out)
    except KeyboardInterrupt:
        console.print("interrupted")
        return 130
    except (ChildError, ValueError, OSError, PackageNotFoundError) as error:
        print(f"demo: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    console.print(bag_table(report))
    pictures = ", ".join(path.name for path in sorted(out.glob("scene_*.png")))
    console.print(f"{out}/: bag, table.json, {pictures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
