"""`pair-drive calibrate`: margins of a checkpoint, or of two joined ones, in towns of their own."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table

from pair_drive_core.cli.evaluate_towns import SHIPPED, checkpoint_path, parse_layouts
from pair_drive_core.cli.train import StageBars
from pair_drive_core.evaluation.margin_calibration import CalibrationTowns, FoundMargin, find_margins, with_margins
from pair_drive_core.models.checkpoint import load_checkpoint, save_checkpoint
from pair_drive_core.policies.joining import join_models


def calibrate(
    out: Annotated[Path, typer.Option(help="Checkpoint to write.")],
    checkpoint: Annotated[str, typer.Option(help="FILE or 'shipped'.")] = SHIPPED,
    imitation: Annotated[
        Path | None, typer.Option(help="FILE whose imitation branch takes the place of --checkpoint's.")
    ] = None,
    layouts: Annotated[str, typer.Option(help="Towns by number, that nothing was learnt from.")] = "40000-40013",
    scenes: Annotated[int, typer.Option(min=1, help="Moments in all.")] = 420,
    seed: Annotated[int, typer.Option(min=0, help="Of traffic, daylight and choice of moments.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Of torch.")] = 1,
) -> None:
    """Find how sure the reward model must be to overrule a plan, the policy's or a human's; write a checkpoint."""
    torch.set_num_threads(threads)
    towns = CalibrationTowns(parse_layouts(layouts), scenes, seed)
    path = checkpoint_path(checkpoint)
    assert path is not None
    loaded = load_checkpoint(path)
    model, about = loaded.model, dict(loaded.training)
    if imitation is not None:
        model = join_models(load_checkpoint(imitation).model, model)
        about["joined"] = {"imitation": imitation.name, "reinforcement": path.name}
    console = Console()
    with StageBars(console) as bars:
        found = find_margins(model, towns, progress=bars)
    command = shlex.join(["pair-drive", *sys.argv[1:]])
    about["margins"] = {"command": command, **{root: _plain(margin) for root, margin in found.items()}}
    save_checkpoint(out, with_margins(model, found), about)
    table = Table("around", "EPDMS of itself", *(f"margin {margin:g}" for margin in found["imitation"].scores))
    for root, margin in found.items():
        cells = [
            f"[bold]{100 * s:.1f}[/]" if m == margin.margin else f"{100 * s:.1f}" for m, s in margin.scores.items()
        ]
        table.add_row(root, f"{100 * margin.root:.1f}", *cells)
    console.print(table)
    console.print(f"{out}: margin {found['imitation'].margin:g}, around a human {found['human'].margin:g}")


def _plain(found: FoundMargin) -> dict[str, object]:
    return {**asdict(found), "scores": {f"{margin:g}": score for margin, score in found.scores.items()}}
