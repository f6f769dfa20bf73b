"""`pair-drive export`: the networks of a checkpoint as files that other runtimes read."""

from __future__ import annotations

import importlib.util
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from pair_drive_core.cli.evaluate_towns import SHIPPED, checkpoint_path
from pair_drive_core.models.checkpoint import load_checkpoint
from pair_drive_core.policies.runtime.backends import graphs_folder
from pair_drive_core.policies.runtime.errors import BackendError
from pair_drive_core.policies.runtime.export_check import check_export
from pair_drive_core.policies.runtime.onnx_export import OPSET, export_onnx
from pair_drive_core.policies.runtime.torch_export import export_programs


class ExportFormat(str, Enum):
    """What is written."""

    ONNX = "onnx"
    PT2 = "pt2"
    TENSORRT = "tensorrt"


def export(
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; default: the cache, where `backend: auto` finds it.")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="FILE or 'shipped'.")] = SHIPPED,
    form: Annotated[ExportFormat, typer.Option("--format", help="onnx: three graphs; pt2: torch.export.")] = (
        ExportFormat.ONNX
    ),
    check: Annotated[int, typer.Option(min=0, help="Made-up scenes on which the graphs are compared with torch.")] = 8,
) -> None:
    """Write the networks of a checkpoint as ONNX or .pt2 files and compare what they compute with torch."""
    if form is ExportFormat.TENSORRT:
        found = "found" if importlib.util.find_spec("tensorrt") else "not found"
        raise ValueError(f"--format tensorrt: engines are not built (tensorrt: {found}); available: onnx, pt2")
    file = checkpoint_path(checkpoint)
    assert file is not None
    model = load_checkpoint(file).model
    folder = out or graphs_folder(model)
    try:
        if form is ExportFormat.PT2:
            for path in export_programs(model, folder):
                typer.echo(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")
            return
        manifest = export_onnx(model, folder)
        for name in manifest.files:
            typer.echo(f"{folder / name}: {(folder / name).stat().st_size / 2**20:.1f} MiB, opset {OPSET}")
        if check:
            typer.echo(check_export(model, folder, check).text())
    except BackendError as error:
        raise ValueError(str(error)) from error
