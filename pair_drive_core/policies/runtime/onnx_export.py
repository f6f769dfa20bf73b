"""The graphs as ONNX files, in one folder with a manifest that says what they are of."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.models.configuration import config_to_mapping
from pair_drive_core.models.pair_model import PairModel
from pair_drive_core.policies.runtime.errors import BackendError
from pair_drive_core.policies.runtime.graphs import TRAJECTORIES, Graph, graphs_of

OPSET = 20
"""Of the ONNX standard: the newest that torch traces to."""
FORMAT = "pair_drive_graphs/1"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What a folder of graphs is of.

    Attributes:
        format: version of this layout.
        model: digest of configuration and weights.
        opset: of the ONNX standard.
        torch: version that exported.
        files: digest of each file, by name.
    """

    format: str
    model: str
    opset: int
    torch: str
    files: Mapping[str, str]


def model_digest(model: PairModel) -> str:
    """Hash of a model's configuration and weights."""
    found = hashlib.sha256(json.dumps(config_to_mapping(model.config), sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:32]


def require_exporter() -> None:
    """Refuse to go on where the package that exports is missing.

    Raises:
        BackendError: naming it.
    """
    if importlib.util.find_spec("onnx") is None:
        raise BackendError("ONNX export needs onnx, not installed; pip install '.[onnx]'")


def export_onnx(model: PairModel, folder: Path) -> Manifest:
    """Write `look.onnx`, `step.onnx`, `reward.onnx` and, last, the manifest.

    Args:
        model: in evaluation mode, on the CPU.
        folder: to write; what is there of the same names is replaced.

    Raises:
        BackendError: if a package is missing.
        UnsupportedModelError: if the model cannot be written as graphs.
    """
    require_exporter()
    files: dict[str, str] = {}
    for graph in graphs_of(model):
        content = _onnx_bytes(graph)
        write_bytes(folder / f"{graph.name}.onnx", content)
        files[f"{graph.name}.onnx"] = hashlib.sha256(content).hexdigest()
    manifest = Manifest(FORMAT, model_digest(model), OPSET, torch.__version__, files)
    write_bytes(folder / MANIFEST, json.dumps(asdict(manifest), indent=2).encode())
    return manifest


def read_manifest(folder: Path, model: str) -> Manifest:
    """The manifest of a folder, its files compared with what it says.

    Args:
        folder: that `export_onnx` wrote.
        model: digest of the model that the graphs must be of.

    Raises:
        FileNotFoundError: if there is no manifest.
        BackendError: if it is torn, of another model, version or layout, or a file is not what it says.
    """
    path = folder / MANIFEST
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(**plain)
        wanted = dict(manifest.files)
    except (ValueError, TypeError) as error:
        raise BackendError(f"{path}: expected a manifest of graphs, got {type(error).__name__}: {error}") from None
    expected = {"format": FORMAT, "model": model, "opset": OPSET, "torch": torch.__version__}
    for name, value in expected.items():
        if getattr(manifest, name) != value:
            raise BackendError(f"{path}: {name}: expected {value!r}, got {getattr(manifest, name)!r}")
    for name, digest in wanted.items():
        file = folder / Path(str(name)).name
        if not file.is_file():
            raise BackendError(f"{file}: expected a graph, got none")
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise BackendError(f"{file}: expected the bytes that were exported, got others (torn or changed)")
    return manifest


def _onnx_bytes(graph: Graph) -> bytes:
    """One graph, weights included; traced, which takes seconds where torch's newer exporter takes a minute."""
    buffer: Any = io.BytesIO()  # the tracing exporter writes into one, whatever the newer one's types say
    fast_attention = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it is one operation, which ONNX does not have
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph.module.eval(),
                tuple(graph.inputs.values()),
                buffer,
                dynamo=False,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_axes={name: {axis: TRAJECTORIES} for name, axis in graph.dynamic.items()},
                opset_version=OPSET,
            )
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_attention)
    content: bytes = buffer.getvalue()
    return content
