"""What `evaluate` and `score` share: where scenes come from, progress, what is printed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from pair_drive_core.datasets.navsim.dataset import NavsimFolders
from pair_drive_core.datasets.navsim.metric_caches import MetricCaches, is_second_stage_token
from pair_drive_core.datasets.navsim.scene_filter import Split, read_split
from pair_drive_core.evaluation.benchmark import BenchmarkReport
from pair_drive_core.evaluation.confidence import bootstrap_interval
from pair_drive_core.evaluation.planner_scores import PlannerScores
from pair_drive_core.evaluation.scene_sources import (
    CacheSource,
    MetricCacheSource,
    NavsimSource,
    SceneSource,
    TownSource,
)
from pair_drive_core.scoring import Metric
from pair_drive_core.town.data.splits import TownSplit

_FILE_COLUMNS = 132
SOURCES = "--town SPLIT, --cache DIR, --metric-cache DIR (score only), or --data DIR with --split FILE"


def scene_source(
    town: TownSplit | None,
    scenes: int,
    cache: Path | None,
    data: Path | None,
    split: Path | None,
    maps: Path | None,
    synthetic_scenes: Path | None,
    synthetic_sensors: Path | None,
    metric: Metric,
) -> tuple[SceneSource, Split | None]:
    """The one source that the options name, and its split.

    Raises:
        ValueError: if they name none, several, or half a source.
    """
    given = [name for name, value in (("town", town), ("cache", cache), ("data", data)) if value is not None]
    if len(given) != 1 or (data is not None and split is None) or (town is not None and split is not None):
        raise ValueError(f"expected one source of scenes: {SOURCES}; got {', '.join(given) or 'none'}")
    benchmark = None if split is None else read_split(split)
    if town is not None:
        return TownSource(town, scenes), None
    if cache is not None:
        return CacheSource(cache, benchmark, metric=metric), benchmark
    assert data is not None and benchmark is not None
    folders = NavsimFolders.of(data, benchmark.data_split, maps)
    return NavsimSource(folders, benchmark, synthetic_scenes, synthetic_sensors), benchmark


def metric_cache_source(
    root: Path, metric: Metric, split: Path | None, maps: Path | None, one_stage: bool, others: Sequence[object]
) -> tuple[SceneSource, Split | None]:
    """The devkit's own metric caches as scenes, and their split.

    Args:
        root: their folder.
        metric: V1 reads caches of branch v1.1, V2 those of main.
        split: which of them; None takes all.
        maps: map folder, for IDM traffic.
        one_stage: whether scenes of the second stage are left out.
        others: other sources of scenes, of which none may be given.

    Raises:
        ValueError: if another source is given too, or stages would be mixed.
        FileNotFoundError: if there are no caches.
    """
    if any(value is not None for value in others):
        raise ValueError(f"expected one source of scenes: {SOURCES}; got --metric-cache and another")
    benchmark = None if split is None else read_split(split)
    if benchmark is None and not one_stage:
        tokens = [token for some in MetricCaches(root, metric).logs.values() for token in some]
        second = sum(map(is_second_stage_token, tokens))
        if second:
            raise ValueError(
                f"{root}: {second} of its {len(tokens)} metric caches are of a second stage: give the --split that "
                f"says which scenes follow which; --one-stage scores the first stage alone"
            )
    return MetricCacheSource(root, metric, benchmark, maps, not one_stage), benchmark


def require_stages(benchmark: Split | None, one_stage: bool, has_followers: bool) -> bool:
    """Whether to score two stages.

    Raises:
        ValueError: if the benchmark has a second stage and it cannot be scored as it is, unless one stage is asked for.
    """
    if benchmark is None or one_stage or not (benchmark.scene_filter.include_synthetic_scenes or benchmark.groups):
        return False
    if not benchmark.groups:
        raise ValueError(
            f"split {benchmark.name} has a second stage, but no reactive_all_mapping that says which scenes follow "
            f"which; --one-stage scores the first stage alone, which is another benchmark"
        )
    if not has_followers:
        raise ValueError(
            f"split {benchmark.name} has a second stage: give its scenes with --synthetic-scenes DIR (or a cache that "
            f"holds them); --one-stage scores the first stage alone, which is another benchmark"
        )
    return True


def torch_device(name: str) -> torch.device:
    """The device of an option.

    Raises:
        ValueError: if there is no such device.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"--device: expected cpu or cuda, got {name!r}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: this machine has no usable CUDA device; available: cpu")
    return device


@contextmanager
def scene_progress(total: int | None = None, console: Console | None = None) -> Iterator[Callable[[int], None]]:
    """Scenes done, scenes a second and, where it is known how many there are, the time left; on stderr."""
    console = console or Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed} scenes" if total is None else "{task.completed} of {task.total} scenes"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[rate]}"),
        *(() if total is None else (TimeRemainingColumn(), TextColumn("left"))),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("scenes", total=total, rate="")

        def show(done: int) -> None:
            bar.update(task, completed=done)
            speed = bar.tasks[0].speed
            bar.update(task, rate="" if speed is None else f"{speed:.1f} scenes/s")

        yield show


def print_report(report: BenchmarkReport, seconds: float) -> None:
    """The table, the conventions, and everything that was left out or odd, on stdout."""
    terminal = Console()
    wide = terminal if terminal.is_terminal else Console(width=_FILE_COLUMNS)
    wide.print(_table(report, seconds))
    typer.echo(f"conventions: {report.settings}")
    for planner in report.planners:
        typer.echo(_summary(planner, report.total_name))
    for planner in report.planners:
        if planner.unscored and len(planner.unscored) < len(planner.rows):
            _list_unscored(planner)
    for text, count in report.oddities.items():
        typer.echo(f"odd, but scored as the official code does: {count} scenes with {text}")
    if report.blind:
        typer.echo(f"{report.blind} plans were made without a LiDAR point cloud, from an empty sweep")
    if report.skipped:
        typer.echo(f"skipped {len(report.skipped)}:")
        for entry in report.skipped:
            typer.echo(f"  {entry.token}: {entry.problem}")


def _summary(planner: PlannerScores, total_name: str) -> str:
    scored = [row.values[-1] for row in planner.rows if row.problem is None]
    text = f"{planner.name}: {total_name} {_percent(planner.means[planner.columns[-1]])}"
    if len(planner.aggregates) == 1:
        low, high = bootstrap_interval(scored)
        text += f" (95 % bootstrap over scenes {_percent(low)} to {_percent(high)}) on {len(scored)} scenes"
    if planner.unscored:
        with_zeros = sum(scored) / len(planner.rows)
        text += f"; {len(planner.unscored)} of {len(planner.rows)} scenes have no score"
        text += f" (counted as 0 the mean over scenes would be {_percent(with_zeros)})"
    if planner.left_out:
        text += f"; {len(planner.left_out)} two-stage groups lack a score and are left out: {planner.left_out[:3]}"
    return text


def _list_unscored(planner: PlannerScores) -> None:
    reasons: dict[str, list[str]] = {}
    for row in planner.unscored:
        reasons.setdefault(str(row.problem), []).append(row.token)
    for reason, tokens in reasons.items():
        more = f" and {len(tokens) - 5} more" if len(tokens) > 5 else ""
        typer.echo(f"  {planner.name}: {reason}: {', '.join(tokens[:5])}{more}")


def _table(report: BenchmarkReport, seconds: float) -> Table:
    rate = report.scenes / seconds
    table = Table(title=f"{report.total_name} on {report.scenes} scenes", caption=f"{rate:.1f} scenes/s")
    table.add_column("planner")
    for name in report.planners[0].columns:
        table.add_column(name, justify="right")
    for planner in report.planners:
        several = len(planner.aggregates) > 1
        for key, means in planner.aggregates.items():
            label = f"{planner.name}, {key}" if several else planner.name
            table.add_row(label, *(_percent(value) for value in means.values()))
    return table


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100.0 * value:.1f}"
