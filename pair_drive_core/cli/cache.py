"""`pair-drive cache`: scenes of a NAVSIM data set as checksummed tensors."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pair_drive_core.datasets.cache.builder import build_scene_cache
from pair_drive_core.datasets.cache.jobs import CacheSettings
from pair_drive_core.datasets.cache.scene_cache import SceneCache, SkippedScene, problems_of
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.navsim.dataset import NavsimFolders
from pair_drive_core.datasets.navsim.scene_filter import read_split
from pair_drive_core.datasets.parallel import Backend
from pair_drive_core.scoring import Metric

app = typer.Typer(help="Build and check caches of NAVSIM scenes.", no_args_is_help=True)


@app.command("build")
def build(
    data: Annotated[Path, typer.Option(help="Data set folder (the devkit's OPENSCENE_DATA_ROOT).")],
    split: Annotated[Path, typer.Option(help="Benchmark, train_test_split/<name>.yaml.")],
    out: Annotated[Path, typer.Option(help="Cache folder.")],
    maps: Annotated[Path | None, typer.Option(help="Map folder (NUPLAN_MAPS_ROOT); default: DATA/maps.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 takes all cores.")] = 0,
    backend: Annotated[Backend, typer.Option(help="Where jobs run.")] = Backend.PROCESSES,
    synthetic_scenes: Annotated[Path | None, typer.Option(help="Folder of second-stage scenes.")] = None,
    compression: Annotated[int, typer.Option(min=0, max=9, help="0 loads fastest, 1 takes half the room.")] = 0,
    references: Annotated[
        Metric | None, typer.Option(help="Also store PDM-Closed's plans of this metric: scoring is then much faster.")
    ] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out and list what cannot be read.")] = False,
    check_blobs: Annotated[
        bool, typer.Option("--check-blobs", help="Also require the planner's sensor files.")
    ] = False,
) -> None:
    """Build a scene cache, or complete an interrupted one."""
    benchmark = read_split(split)
    settings = CacheSettings(
        NavsimFolders.of(data, benchmark.data_split, maps),
        benchmark.scene_filter,
        skip_bad,
        check_blobs,
        synthetic_scenes,
        compression,
        references,
    )
    with _progress() as show:
        report = build_scene_cache(settings, out, workers or os.cpu_count() or 1, backend, show)
    typer.echo(
        f"{out}: {report.scenes} scenes; {report.built} logs built ({report.rebuilt} of them again), "
        f"{report.kept} kept; {report.built_scenes} new scenes in {report.seconds:.1f} s, "
        f"{report.scenes_per_s:.1f} scenes/s"
    )
    _list_skipped(report.skipped)


@app.command("verify")
def verify(cache: Annotated[Path, typer.Argument(help="Cache folder.")]) -> None:
    """Check every file of a cache against its checksum."""
    problems = problems_of(cache)
    if problems:
        raise DatasetError(cache, f"{len(problems)} torn files: {'; '.join(problems)}; build the cache again")
    scenes = SceneCache(cache)
    typer.echo(f"{cache}: {len(scenes)} scenes of {len(scenes.shards)} logs, all whole")
    odd = Counter(text for texts in scenes.oddities.values() for text in texts)
    for text, count in odd.items():
        typer.echo(f"odd, but scored as the official code does: {count} scenes with {text}")
    _list_skipped(scenes.skipped)


def _list_skipped(skipped: Sequence[SkippedScene]) -> None:
    if skipped:
        typer.echo(f"skipped {len(skipped)}:")
        for entry in skipped:
            typer.echo(f"  {entry.token or 'a whole log'}: {entry.problem}")


@contextmanager
def _progress() -> Iterator[Callable[[int, int, int], None]]:
    """A bar over logs, with the number of scenes beside it, on stderr."""
    columns = (
        TextColumn("logs"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[scenes]} scenes"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("cache", total=None, scenes=0)

        def show(done: int, total: int, scenes: int) -> None:
            bar.update(task, completed=done, total=total, scenes=scenes)

        yield show
