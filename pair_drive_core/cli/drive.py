"""`pair-drive drive`: closed loop in towns by number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pair_drive_core.cli.evaluate_towns import SHIPPED, checkpoint_path, parse_layouts
from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.evaluation.closed_loop import ClosedLoop, drive_towns, summary


def drive(
    layouts: Annotated[str, typer.Option(help="Towns by number, e.g. 50000-50023.")],
    out: Annotated[Path, typer.Option(help="JSON to write; drives and film strips lie beside it in <name>.drives/.")],
    seconds: Annotated[float, typer.Option(help="Of each drive.")] = 50.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the traffic.")] = 0,
    checkpoint: Annotated[str, typer.Option(help="FILE or 'shipped'.")] = SHIPPED,
    guard: Annotated[bool, typer.Option(help="Replace implausible plans, as in a vehicle.")] = True,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
) -> None:
    """Drive towns in a closed loop, without ROS, and say how it went; drives that are done are not driven again."""
    file = checkpoint_path(checkpoint)
    assert file is not None
    if not file.is_file():
        raise FileNotFoundError(f"no checkpoint at {file}")
    loop = ClosedLoop(parse_layouts(layouts), seed, seconds, file, guard, 480, out.parent / f"{out.stem}.drives")
    columns = (TextColumn("drives"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("drives", total=len(loop.layouts))
        results = drive_towns(loop, workers, lambda done, _: bar.update(task, completed=done))
    found = summary(results)
    write_bytes(out, json.dumps(found, indent=2).encode())
    for result in results:
        m = result.measures
        faults = f"at-fault collisions {m.at_fault_collisions}, red lights run {m.red_lights}"
        speed = f"{result.speed_mps:.1f} m/s"
        typer.echo(f"town {result.layout}: PDMS {result.pdms:.3f}, on the road {result.on_road:.3f}, {speed}, {faults}")
    means = ", ".join(f"{name} {value:.3g}" for name, value in found["means"].items())
    typer.echo(f"{found['drives']} drives of {seconds:g} s: {means}")
