"""`pair-drive train`: both branches, from town scenes to a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from pair_drive_core.models.configuration import config_from_mapping, config_to_mapping
from pair_drive_core.training.layered_run import LayeredSettings, train_layered
from pair_drive_core.training.loop import Runner
from pair_drive_core.training.run import train
from pair_drive_core.training.run_folder import RunFolder
from pair_drive_core.training.scheme_run import SchemeTrainingSettings, train_by_scheme
from pair_drive_core.training.settings import TrainingSettings, read_mapping
from pair_drive_core.training.town_evaluation import PlannerResult
from pair_drive_core.training.trainer_config import TrainerConfig
from pair_drive_core.training.tree_evaluation import PlannerMeans

LAYERED_RECIPE = "layers"
"""What `recipe` must say in a file of `LayeredSettings`."""
SCHEME_RECIPE = "scheme"
"""What it must say in a file of `SchemeTrainingSettings`."""
_LINES_EVERY = 10
"""Updates between two lines of figures in the run's folder."""


def train_command(
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Settings to change, as key.subkey=value.", metavar="KEY=VALUE")
    ] = None,
    config: Annotated[Path, typer.Option(help="Settings in YAML.")] = Path("config/train_town_small.yaml"),
) -> None:
    """Train imitation branch, reward world model and tree sampler on town scenes and write a checkpoint."""
    changes = overrides or []
    values = read_mapping(config, changes)
    command = " ".join(["pair-drive train --config", f"config/{config.name}", *changes])
    console = Console()
    recipe = values.pop("recipe", None)
    if recipe not in (None, LAYERED_RECIPE, SCHEME_RECIPE):
        raise ValueError(f"recipe: expected {LAYERED_RECIPE}, {SCHEME_RECIPE} or none, got {recipe!r}")
    if recipe == LAYERED_RECIPE:
        layered = config_from_mapping(LayeredSettings, values)
        trainer = replace(layered.trainer, save_every=layered.perception.save_every)
        with StageBars(console) as bars:
            folder = RunFolder(Path(layered.folder), bars, every=_LINES_EVERY)
            folder.describe(config_to_mapping(layered), command, layered.seed)
            made = train_layered(layered, command, folder, lightning_runner(folder.folder, trainer))
            folder.draw()
        console.print(planner_table(made.results))
        _print_end(console, made.checkpoint, made.parameters, made.seconds)
        return
    settings: TrainingSettings | SchemeTrainingSettings
    if recipe == SCHEME_RECIPE:
        settings = config_from_mapping(SchemeTrainingSettings, values)
    else:
        settings = config_from_mapping(TrainingSettings, values)
    with StageBars(console) as bars:
        folder = RunFolder(Path(settings.checkpoint).with_suffix(""), bars, every=_LINES_EVERY)
        folder.describe(config_to_mapping(settings), command, settings.seed)
        runner = lightning_runner(folder.folder, settings.trainer)
        if isinstance(settings, SchemeTrainingSettings):
            report = train_by_scheme(settings, command, folder, runner)
        else:
            report = train(settings, command, folder, runner)
        folder.draw()
    for formula, results in report.results.items():
        console.print(result_table(f"held-out town scenes, {formula.upper()}", results))
    _print_end(console, report.checkpoint, report.parameters, report.seconds)


def lightning_runner(folder: Path, config: TrainerConfig) -> Runner:
    """What takes the stages of a training to their end.

    Raises:
        ValueError: if PyTorch Lightning is not installed.
    """
    try:
        from pair_drive_core.training.lightning_runner import LightningRunner
    except ImportError as error:
        raise ValueError(f"training needs PyTorch Lightning ({error}): pip install '.[train]'") from error
    return LightningRunner(folder, config)


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


def _print_end(console: Console, checkpoint: Path, parameters: int, seconds: Mapping[str, float]) -> None:
    """How long it took and where the checkpoint is."""
    stages = ", ".join(f"{name} {taken:.0f} s" for name, taken in seconds.items())
    console.print(f"{stages}; {sum(seconds.values()):.0f} s in all")
    console.print(f"{checkpoint}: {parameters:,} weights, {checkpoint.stat().st_size / 1e6:.1f} MB")


def planner_table(results: Mapping[str, PlannerMeans]) -> Table:
    """Planners as rows; gains over what the trees grew around, with the ends of their intervals."""
    names = list(next(iter(results.values())).sub_scores)
    table = Table("planner", *names, "PDMS", "EPDMS", "gain", title="held-out towns, human filter off")
    for planner, means in results.items():
        cells = [f"{100.0 * means.sub_scores[name]:.1f}" for name in names]
        gain, low, high = (100.0 * value for value in means.gain_epdms)
        interval = f"{gain:+.1f} [{low:.1f}, {high:.1f}]"
        table.add_row(planner, *cells, f"{100 * means.pdms:.1f}", f"{100 * means.epdms:.1f}", interval)
    return table


def result_table(title: str, results: Mapping[str, PlannerResult]) -> Table:
    """Planners as rows, sub-scores in percent as columns."""
    names = list(next(iter(results.values())).sub_scores)
    table = Table("planner", *names, "score", "ADE m", title=title)
    for planner, result in results.items():
        cells = [f"{100.0 * result.sub_scores[name]:.1f}" for name in names]
        table.add_row(planner, *cells, f"{100.0 * result.score:.1f}", f"{result.displacement_m:.2f}")
    return table
