"""`pair-drive bag-eval`: run the planner on a recording and score what it plans."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.driving.mount_check import MountFinding
from pair_drive_core.driving.planner_settings import PlannerKind, PlannerSettings, read_parameter_file
from pair_drive_core.evaluation.bag_evaluation import evaluate_bag
from pair_drive_core.evaluation.bag_intake import InputState, ReadySet
from pair_drive_core.evaluation.bag_replay import COMMANDS, ReplayOptions, ReplayWatcher
from pair_drive_core.evaluation.bag_table import bag_table
from pair_drive_core.evaluation.bag_writer import PlanWriter
from pair_drive_core.evaluation.shadow_pictures import DisagreementBook
from pair_drive_core.evaluation.shadow_report import write_shadow_report
from pair_drive_core.policies.runtime.backends import Backend
from pair_drive_core.scene import AgentInput
from pair_drive_core.scoring import Metric


class Watchers(ReplayWatcher):
    """Tells several watchers."""

    def __init__(self, watchers: Sequence[ReplayWatcher]) -> None:
        self._watchers = watchers

    def started(self, planner: str) -> None:
        """See `ReplayWatcher`."""
        for watcher in self._watchers:
            watcher.started(planner)

    def progress(self, messages: int) -> None:
        """See `ReplayWatcher`."""
        for watcher in self._watchers:
            watcher.progress(messages)

    def planned(self, agent_input: AgentInput, result: GuardedPlan) -> None:
        """See `ReplayWatcher`."""
        for watcher in self._watchers:
            watcher.planned(agent_input, result)

    def recorded(self, ready: ReadySet, result: GuardedPlan, mounts: Sequence[MountFinding]) -> None:
        """See `ReplayWatcher`."""
        for watcher in self._watchers:
            watcher.recorded(ready, result, mounts)

    def ended(self, states: Sequence[InputState]) -> None:
        """See `ReplayWatcher`."""
        for watcher in self._watchers:
            watcher.ended(states)


def bag_eval(
    bag: Annotated[Path, typer.Argument(help="rosbag2 folder, or a single .mcap or .db3 file.")],
    checkpoint: Annotated[Path | None, typer.Option(help="Trained networks; default: those of the package.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report as JSON to this file.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a report with pictures to this folder.")] = None,
    write_bag: Annotated[Path | None, typer.Option(help="Write the plans to this new recording, as the node.")] = None,
    command: Annotated[
        str, typer.Option(help=f"Driving command where the recording has none: {', '.join(COMMANDS)}.")
    ] = "",
    route: Annotated[
        str, typer.Option(help="Command from a route: GeoJSON file, or topic of nav_msgs/Path in the recording.")
    ] = "",
    route_origin: Annotated[
        str, typer.Option(help="LAT,LON of the odometry's origin (axes east, north) for a GeoJSON in degrees.")
    ] = "",
    strict: Annotated[bool, typer.Option(help="End at the first message that cannot be used.")] = False,
    metric: Annotated[Metric, typer.Option(help="v1: PDMS, v2: EPDMS.")] = Metric.V1,
    planner: Annotated[PlannerKind | None, typer.Option(help="Which planner; default: parallel.")] = None,
    device: Annotated[str | None, typer.Option(help="torch device; default: cpu.")] = None,
    backend: Annotated[Backend | None, typer.Option(help="How the networks are computed; default: auto.")] = None,
    params: Annotated[Path | None, typer.Option(help="ROS 2 parameter file of the planner node.")] = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="NAME:=/topic for a topic that is called otherwise; repeatable.")
    ] = None,
) -> None:
    """Run the planner on a recording as fast as it can; score the plans where ground truth is recorded."""
    settings = read_parameter_file(params) if params is not None else PlannerSettings()
    if checkpoint is not None:
        settings = replace(settings, checkpoint=str(checkpoint))
    if planner is not None:
        settings = replace(settings, planner=planner)
    if device is not None:
        settings = replace(settings, device=device)
    if backend is not None:
        settings = replace(settings, backend=backend)
    remaps = dict(parse_remap(text) for text in topic or [])
    options = ReplayOptions(remaps, command, route, parse_origin(route_origin), strict).validate()
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed} messages"))
    book = DisagreementBook() if report is not None else None
    writer = PlanWriter(write_bag) if write_bag is not None else None
    with contextlib.ExitStack() as stack:
        if writer is not None:
            stack.callback(writer.discard)
        bar = stack.enter_context(Progress(*columns, console=console, transient=True, disable=not console.is_terminal))
        watchers = [watcher for watcher in (MessageCounter(bar), book, writer) if watcher is not None]
        found, outcome = evaluate_bag(bag, settings, metric, watcher=Watchers(watchers), options=options)
        if writer is not None:
            stack.pop_all()
            bar.stop()
            writer.close()
    if out is not None:
        write_bytes(out, json.dumps(found.to_json(), indent=2).encode())
    if report is not None and book is not None:
        write_shadow_report(report, found, book.best(outcome.path))
    Console().print(bag_table(found))


class MessageCounter(ReplayWatcher):
    """Shows how many messages are done."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("messages", total=None)

    def progress(self, messages: int) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=messages)


def parse_remap(text: str) -> tuple[str, str]:
    """`name:=/topic` as a pair.

    Raises:
        typer.BadParameter: if it is not of this form.
    """
    name, separator, topic = text.partition(":=")
    if not separator or not name or not topic.startswith("/"):
        raise typer.BadParameter(f"expected NAME:=/absolute/topic, got {text!r}")
    return name, topic


def parse_origin(text: str) -> tuple[float, float] | None:
    """`latitude,longitude` in degrees as a pair; None for an empty text.

    Raises:
        typer.BadParameter: if it is not of this form.
    """
    if not text:
        return None
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"expected LAT,LON in degrees, got {text!r}") from None
    if not (abs(latitude) < 90.0 and abs(longitude) <= 180.0):
        raise typer.BadParameter(f"expected a latitude below 90 and a longitude up to 180 degrees, got {text!r}")
    return latitude, longitude
