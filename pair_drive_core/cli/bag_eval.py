"""`pair-drive bag-eval`: run the planner on a recording and score what it plans."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.driving.planner_settings import PlannerKind, PlannerSettings, read_parameter_file
from pair_drive_core.evaluation.bag_evaluation import evaluate_bag
from pair_drive_core.evaluation.bag_replay import ReplayWatcher
from pair_drive_core.evaluation.bag_table import bag_table
from pair_drive_core.scoring import Metric


def bag_eval(
    bag: Annotated[Path, typer.Argument(help="rosbag2 folder, or a single .mcap or .db3 file.")],
    checkpoint: Annotated[Path | None, typer.Option(help="Trained networks; default: those of the package.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report as JSON to this file.")] = None,
    metric: Annotated[Metric, typer.Option(help="v1: PDMS, v2: EPDMS.")] = Metric.V1,
    planner: Annotated[PlannerKind | None, typer.Option(help="Which planner; default: parallel.")] = None,
    device: Annotated[str | None, typer.Option(help="torch device; default: cpu.")] = None,
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
    remaps = dict(parse_remap(text) for text in topic or [])
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed} messages"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        report, _ = evaluate_bag(bag, settings, metric, remaps, MessageCounter(bar))
    if out is not None:
        write_bytes(out, json.dumps(report.to_json(), indent=2).encode())
    Console().print(bag_table(report))


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
