"""`pair-drive train`: both branches, from town scenes to a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from pair_drive_core.training.run import TrainingReport, train
from pair_drive_core.training.settings import read_settings
from pair_drive_core.training.town_evaluation import PlannerResult


def train_command(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings to change, as key.subkey=value.", metavar="KEY=VALUE")
    ] = None,
    config: Annotated[Path, typer.Option(help="Settings in YAML.")] = Path("config/train_town_small.yaml"),
) -> None:
    """Train imitation branch, reward world model and tree sampler on town scenes and write a checkpoint."""
    changes = overrides or []
    settings = read_settings(config, changes)
    command = " ".join(["pair-drive train --config", f"config/{config.name}", *changes])
    console = Console()
    with StageBars(console) as bars:
        report = train(settings, command, bars)
    _print(console, report)


class StageBars:
    """One progress bar a stage, with the latest figures beside it."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description:<14}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[figures]}"),
        )
        self._progress = Progress(*columns, console=console)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> StageBars:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing; what was drawn stays."""
        self._progress.stop()

    def __call__(self, stage: str, done: int, total: int, values: Mapping[str, float]) -> None:
        """Move a stage's bar; see `pair_drive_core.training.progress.Progress`."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total, figures="")
        figures = "  ".join(f"{name} {value:.3g}" for name, value in values.items())
        self._progress.update(self._tasks[stage], completed=done, figures=figures)


def _print(console: Console, report: TrainingReport) -> None:
    """Tables of the held-out results, and where the checkpoint is."""
    for formula, results in report.results.items():
        console.print(result_table(f"held-out town scenes, {formula.upper()}", results))
    stages = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in report.seconds.items())
    size = report.checkpoint.stat().st_size / 1e6
    console.print(f"{stages}; {sum(report.seconds.values()):.0f} s in all")
    console.print(f"{report.checkpoint}: {report.parameters:,} weights, {size:.1f} MB")


def result_table(title: str, results: Mapping[str, PlannerResult]) -> Table:
    """Planners as rows, sub-scores in percent as columns."""
    names = list(next(iter(results.values())).sub_scores)
    table = Table("planner", *names, "score", "ADE m", title=title)
    for planner, result in results.items():
        cells = [f"{100.0 * result.sub_scores[name]:.1f}" for name in names]
        table.add_row(planner, *cells, f"{100.0 * result.score:.1f}", f"{result.displacement_m:.2f}")
    return table
