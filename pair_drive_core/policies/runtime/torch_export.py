"""The graphs as torch.export programs: `.pt2` files that torch runs, compiles or packages further."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.models.pair_model import PairModel
from pair_drive_core.policies.runtime.graphs import TRAJECTORIES, Graph, graphs_of


def export_program(graph: Graph) -> torch.export.ExportedProgram:
    """One graph with its axis of trajectories free."""
    axis = torch.export.Dim(TRAJECTORIES, min=1, max=65536)
    shapes = tuple({graph.dynamic[name]: axis} if name in graph.dynamic else None for name in graph.inputs)
    with torch.no_grad():
        return torch.export.export(
            graph.module.eval(),
            tuple(graph.inputs.values()),
            dynamic_shapes=(shapes,) if graph.variadic else shapes,
            strict=False,
        )


def export_programs(model: PairModel, folder: Path) -> list[Path]:
    """Write `look.pt2`, `step.pt2` and `reward.pt2`.

    Args:
        model: in evaluation mode, on the CPU.
        folder: to write.

    Raises:
        UnsupportedModelError: if the model cannot be written as graphs.
    """
    paths = []
    for graph in graphs_of(model):
        buffer = io.BytesIO()
        torch.export.save(export_program(graph), buffer)
        path = folder / f"{graph.name}.pt2"
        write_bytes(path, buffer.getvalue())
        paths.append(path)
    return paths
