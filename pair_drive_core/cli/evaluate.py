"""`pair-drive evaluate`: planners on a benchmark, scored."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from pair_drive_core.cli.evaluate_towns import (
    checkpoint_path,
    parse_agents,
    parse_layouts,
    print_report,
    report_of,
    run_towns,
)
from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.datasets.cache.scene_cache import SceneCache
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders
from pair_drive_core.datasets.navsim.scene_filter import read_split
from pair_drive_core.evaluation.benchmark import BenchmarkReport, run_benchmark
from pair_drive_core.evaluation.benchmark_scenes import (
    BenchmarkScene,
    SkippedBenchmarkScene,
    cached_scenes,
    navsim_scenes,
    town_scenes,
)
from pair_drive_core.evaluation.town_agents import TownAgent
from pair_drive_core.evaluation.town_scores import TownEvaluation
from pair_drive_core.policies.loading import load_planner
from pair_drive_core.scoring import Metric
from pair_drive_core.town.data.splits import TownSplit

_FILE_COLUMNS = 120
_SOURCES = "--town SPLIT, --layouts A-B, --cache DIR, or --data DIR with --split FILE"


def evaluate(
    town: Annotated[TownSplit | None, typer.Option(help="Towns of this split, made on the way.")] = None,
    scenes: Annotated[int, typer.Option(min=1, help="How many town scenes.")] = 152,
    cache: Annotated[Path | None, typer.Option(help="Scene cache (no sensors).")] = None,
    data: Annotated[Path | None, typer.Option(help="NAVSIM data set folder.")] = None,
    split: Annotated[Path | None, typer.Option(help="Its benchmark, train_test_split/<name>.yaml.")] = None,
    maps: Annotated[Path | None, typer.Option(help="Map folder; default: DATA/maps.")] = None,
    layouts: Annotated[str | None, typer.Option(help="Towns by number, e.g. 50000-50019, also outside splits.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of --layouts: traffic, daylight and choice of moments.")] = 0,
    agent: Annotated[list[str] | None, typer.Option(help="Of --layouts, repeatable; default: all.")] = None,
    baseline: Annotated[str, typer.Option(help="Of --layouts: agent that gains are counted from.")] = "",
    rows: Annotated[Path | None, typer.Option(help="Of --layouts: write a CSV row a scene and agent.")] = None,
    against: Annotated[Path | None, typer.Option(help="Of --layouts: rows of a run to compare with.")] = None,
    human_filter: Annotated[bool, typer.Option(help="Of --layouts: EPDMS forgives the human's own faults.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Of --layouts: processes.")] = 1,
    checkpoint: Annotated[str | None, typer.Option(help="Learned planner: FILE or 'shipped'; none: baselines.")] = None,
    device: Annotated[str, typer.Option(help="torch device of the learned planner.")] = "cpu",
    metric: Annotated[Metric, typer.Option(help="v1: PDMS, v2: EPDMS.")] = Metric.V2,
    out: Annotated[Path | None, typer.Option(help="Write the report as JSON to this file.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out and list unreadable scenes.")] = False,
) -> None:
    """Score the human, constant velocity, PDM-Closed and a learned planner on a benchmark (one-stage)."""
    skipped: list[SkippedBenchmarkScene] = []
    sources = (("town", town), ("layouts", layouts), ("cache", cache), ("data", data))
    given = [name for name, value in sources if value is not None]
    if len(given) != 1 or (data is None) != (split is None):
        raise ValueError(f"expected one source of scenes: {_SOURCES}; got {', '.join(given) or 'none'}")
    file = checkpoint_path(checkpoint)
    if layouts is not None:
        agents = parse_agents(agent or [], file is not None)
        wanted = TownEvaluation(parse_layouts(layouts), scenes, seed, agents, file, human_filter)
        compared = baseline or (TownAgent.IMITATION if TownAgent.IMITATION in agents else agents[0]).value
        found = report_of(run_towns(wanted, workers, rows), compared, against)
        print_report(found, compared)
        if out is not None:
            write_bytes(out, json.dumps(found, indent=2).encode())
        return
    learned = None if file is None else load_planner(file, _device(device))
    source: Iterator[BenchmarkScene]
    if town is not None:
        source = town_scenes(town, scenes)
    elif cache is not None:
        source = cached_scenes(SceneCache(cache))
    else:
        assert data is not None and split is not None
        benchmark = read_split(split)
        dataset = NavsimDataset(NavsimFolders.of(data, benchmark.data_split, maps), benchmark.scene_filter)
        source = navsim_scenes(dataset, skipped if skip_bad else None)
    started = time.perf_counter()
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed} scenes"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("scenes", total=None)
        report = run_benchmark(source, metric, learned, lambda done: bar.update(task, completed=done))
    if out is not None:
        write_bytes(out, json.dumps(report.to_json(), indent=2).encode())
    terminal = Console()
    wide = terminal if terminal.is_terminal else Console(width=_FILE_COLUMNS)
    wide.print(_table(report, time.perf_counter() - started))
    if skipped:
        typer.echo(f"skipped {len(skipped)}:")
        for entry in skipped:
            typer.echo(f"  {entry.token}: {entry.problem}")


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"--device: expected cpu or cuda, got {name!r}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: this machine has no usable CUDA device; available: cpu")
    return device


def _table(report: BenchmarkReport, seconds: float) -> Table:
    rate = report.scenes / seconds
    table = Table(title=f"{report.total_name} on {report.scenes} scenes", caption=f"{rate:.1f} scenes/s")
    table.add_column("planner")
    for name in report.planners[0].means:
        table.add_column(name, justify="right")
    for planner in report.planners:
        table.add_row(planner.name, *(f"{100.0 * value:.1f}" for value in planner.means.values()))
    return table
