"""`pair-drive navsim`: data sets in NAVSIM's formats."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from pair_drive_core.datasets.navsim.dataset import NavsimFolders
from pair_drive_core.datasets.navsim.scene_filter import read_split, write_split
from pair_drive_core.datasets.navsim.second_stage_writer import read_logs, write_second_stage
from pair_drive_core.town.data.navsim_export import TownExport, export_towns
from pair_drive_core.town.sensing.cameras import WIDTH_PX

app = typer.Typer(help="Write data sets that the official NAVSIM devkit reads.", no_args_is_help=True)


@app.callback()
def navsim() -> None:
    """Write data sets that the official NAVSIM devkit reads."""


@app.command("export")
def export(
    out: Annotated[Path, typer.Option(help="New data set folder (the devkit's OPENSCENE_DATA_ROOT).")],
    layouts: Annotated[str, typer.Option(help="Layout seeds: 20000,20003 or 20000-20003.")] = "20000",
    seed: Annotated[int, typer.Option(min=0, help="Simulator seed.")] = 1,
    vehicles: Annotated[int, typer.Option(min=1, help="Drives (logs) of each town.")] = 4,
    seconds: Annotated[float, typer.Option(min=7.0, help="Length of each drive.")] = 15.0,
    sensors: Annotated[bool, typer.Option(help="Render eight cameras and the LiDAR.")] = True,
    width: Annotated[int, typer.Option(min=64, help="Width at which pictures are rendered.")] = WIDTH_PX,
    name: Annotated[str, typer.Option(help="Name of the benchmark.")] = "towntest",
    data_split: Annotated[str, typer.Option(help="Folder of the logs.")] = "test",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 takes all cores.")] = 0,
) -> None:
    """Export drives through towns: logs, sensor files, maps and split files; completes an interrupted export."""
    started = time.perf_counter()
    request = TownExport(_seeds(layouts), seed, vehicles, seconds, sensors, width, name, data_split)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("layouts", total=None)
        report = export_towns(
            request,
            out,
            workers or os.cpu_count() or 1,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    elapsed = time.perf_counter() - started
    typer.echo(
        f"{out}: {report.logs} logs ({report.kept} kept), {report.frames} frames, {report.blobs} sensor files "
        f"in {elapsed:.1f} s, {report.frames / elapsed:.1f} frames/s"
    )


@app.command("second-stage")
def second_stage(
    data: Annotated[Path, typer.Option(help="Data set folder; scenes go to synthetic_scene_pickles in it.")],
    split: Annotated[Path, typer.Option(help="Its one-stage benchmark, train_test_split/<name>.yaml.")],
) -> None:
    """Write second-stage scenes (the ego set aside by 0.3 to 0.8 m, 4 s later) and the split <name>_two_stage."""
    one_stage = read_split(split)
    logs = read_logs(NavsimFolders.of(data, one_stage.data_split), one_stage)
    two_stage = write_second_stage(logs, one_stage, data)
    write_split(two_stage, split.parent)
    followers = sum(2 * len(group.second) for group in two_stage.groups)
    typer.echo(f"{split.parent / two_stage.name}.yaml: {len(two_stage.groups)} groups, {followers} second-stage scenes")


def _seeds(text: str) -> tuple[int, ...]:
    """Numbers and ranges (both ends included), separated by commas."""
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            seeds += range(int(first), int(last or first) + 1)
        except ValueError as error:
            raise ValueError(f"layouts: expected seeds like 20000,20003 or 20000-20003, got {text!r}") from error
    return tuple(seeds)
