"""`pair-drive town`: scenes of the synthetic city, made, looked at and counted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.scoring import Metric
from pair_drive_core.town import SceneCutter, Town, TownConfig, TownSensors, TownSimulator, draw_daylight
from pair_drive_core.town.data.archive import make_archive
from pair_drive_core.town.data.contact_sheet import SheetEntry, draw_sheet
from pair_drive_core.town.data.splits import TownSplit, town_of
from pair_drive_core.town.data.statistics import HUMAN_BAD_BELOW, SPEED_EDGES_MPS, TownStatistics, score_split

app = typer.Typer(help="The synthetic city: make scenes, look at them, count what they hold.", no_args_is_help=True)

_SHEET_CAMERA_PX = 384
_TABLE_COLUMNS = 120


@app.command("make")
def make(
    out: Annotated[Path, typer.Option(help="Folder of the archive; an interrupted one is completed.")],
    split: Annotated[TownSplit, typer.Option(help="Which towns.")] = TownSplit.TRAIN,
    scenes: Annotated[int, typer.Option(min=1, help="Scenes in all.")] = 4000,
    flaw_rate: Annotated[float, typer.Option(min=0.0, max=0.5, help="Wanted share of flawed drives.")] = 0.04,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 takes all cores.")] = 0,
) -> None:
    """Make scenes of a split, deterministic by number, as a scene cache."""
    started = time.perf_counter()
    with _progress("town scenes") as show:
        report = make_archive(out, split, scenes, TownConfig(flaw_rate=flaw_rate), workers or os.cpu_count() or 1, show)
    seconds = time.perf_counter() - started
    typer.echo(
        f"{out}: {report.scenes} scenes of {split.value}; {report.made} made in {seconds:.1f} s "
        f"({report.made / seconds:.1f} scenes/s), {report.kept} towns kept, {report.rebuilt} rebuilt"
    )


@app.command("sheet")
def sheet(
    out: Annotated[Path, typer.Option(help="PNG file.")] = Path("out/town_sheet.png"),
    split: Annotated[TownSplit, typer.Option(help="Which towns.")] = TownSplit.TEST,
    scenes: Annotated[int, typer.Option(min=1, max=60, help="Scenes on the sheet.")] = 12,
    first: Annotated[int, typer.Option(min=0, help="Number of the first town.")] = 0,
) -> None:
    """Draw a contact sheet: cameras, LiDAR from above and map of scenes from as many towns."""
    with _progress("sheet") as show:
        entries = []
        for n in range(scenes):
            entries.append(_sheet_entry(split, first + n))
            show(n + 1, scenes)
    picture = draw_sheet(entries)
    done, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    if not done:
        raise ValueError(f"{out}: a picture of {picture.shape} could not be encoded as PNG")
    write_bytes(out, data.tobytes())
    typer.echo(f"{out}: {scenes} scenes of {split.value}, {picture.shape[1]} x {picture.shape[0]} px")


@app.command("histograms")
def histograms(
    split: Annotated[TownSplit, typer.Option(help="Which towns.")] = TownSplit.TEST,
    scenes: Annotated[int, typer.Option(min=1, help="Scenes in all.")] = 4800,
    flaw_rate: Annotated[float, typer.Option(min=0.0, max=0.5, help="Wanted share of flawed drives.")] = 0.04,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 takes all cores.")] = 0,
) -> None:
    """Score the human, constant velocity and PDM-Closed in a split, and count manoeuvres, speeds and flaws."""
    with _progress("town scenes") as show:
        found = score_split(split, scenes, TownConfig(flaw_rate=flaw_rate), workers or os.cpu_count() or 1, show)
    _print_statistics(split, found)


def _sheet_entry(split: TownSplit, number: int) -> SheetEntry:
    layout, seed = town_of(split, number)
    rng = np.random.default_rng([layout, seed, 9])
    simulator = TownSimulator(Town.build(layout), seed)
    simulator.run(16.0)
    cutter, sensors = SceneCutter(simulator), TownSensors(simulator, daylight=draw_daylight(rng))
    moving = list(range(int(simulator.fleet.demonstrator.sum())))
    step = cutter.steps[int(rng.integers(0, len(cutter.steps)))]
    # The livelier half of the drivers makes the better picture.
    moving.sort(key=lambda v: -float(simulator.moments[step].speed_mps[v]))
    vehicle = moving[int(rng.integers(0, len(moving) // 2))]
    scene = cutter.scene_at(step, vehicle)
    command = cutter.command_at(step, vehicle).name.lower()
    flaws = ", ".join(scene.flaws) or "no flaw"
    caption = f"town {layout}  {float(scene.ego.velocity[0]):.1f} m/s  {command}  {flaws}"
    world = sensors.world(step, vehicle)
    cameras = sensors.cameras(step, vehicle, width_px=_SHEET_CAMERA_PX, world=world)
    return SheetEntry(scene, cameras, sensors.lidar(step, vehicle, world), caption)


def _print_statistics(split: TownSplit, found: TownStatistics) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_TABLE_COLUMNS)
    for metric in Metric:
        console.print(_score_table(split, found, metric))
        flawed, clean = found.flawed_total[metric]
        console.print(
            f"human below {HUMAN_BAD_BELOW}: {100 * found.human_bad[metric]:.1f} %; mean human score with a flaw "
            f"{100 * flawed:.1f}, without {100 * clean:.1f}"
        )
    console.print("values never taken: " + (", ".join(found.not_taken) or "none"))
    console.print("commands: " + ", ".join(f"{name} {100 * share:.1f} %" for name, share in found.commands.items()))
    speeds = zip(SPEED_EDGES_MPS[:-1], SPEED_EDGES_MPS[1:], found.speeds, strict=True)
    console.print("speed: " + ", ".join(f"{a:g}-{b:g} m/s {100 * share:.1f} %" for a, b, share in speeds))
    console.print("flaws: " + ", ".join(f"{name} {100 * share:.2f} %" for name, share in found.flaws.items()))


def _score_table(split: TownSplit, found: TownStatistics, metric: Metric) -> Table:
    """Mean and, in brackets, the shares of 0, of values between and of 1, in per cent."""
    table = Table(title=f"{found.scenes} scenes of {split.value}, {metric.value}: mean (0 / between / 1), %")
    planners = found.values[metric]
    table.add_column("")
    for planner in planners:
        table.add_column(planner, justify="right")
    for row in zip(*planners.values(), strict=True):
        cells = [f"{100 * v.mean:.1f} ({100 * v.zero:.2f} / {100 * v.between:.2f} / {100 * v.one:.2f})" for v in row]
        table.add_row(row[0].name, *cells)
    return table


@contextmanager
def _progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr."""
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show
