"""Checkpoints: safetensors with a JSON description of what they hold and how they were made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.models.configuration import ConfigurationError, config_from_mapping, config_to_mapping
from pair_drive_core.models.pair_model import PairConfig, PairModel

FORMAT = "pair-drive checkpoint"
FORMAT_VERSION = "1"


class CheckpointError(ValueError):
    """A file that is no checkpoint of this project, or one that does not fit its own description."""


@dataclass(frozen=True)
class Checkpoint:
    """A model and how it was made.

    Attributes:
        model: in evaluation mode, on the CPU.
        training: what `save_checkpoint` was told: command, seed, settings, measured results.
    """

    model: PairModel
    training: Mapping[str, Any]


def save_checkpoint(path: Path, model: PairModel, training: Mapping[str, Any]) -> None:
    """Write a checkpoint; the file appears under its name only when it is whole.

    Args:
        path: to write.
        model: both branches.
        training: anything that JSON holds; by custom `command`, `seed`, `settings`, `results`.
    """
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "config": json.dumps(config_to_mapping(model.config), sort_keys=True),
        "training": json.dumps(dict(training), sort_keys=True),
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_bytes(path, save(tensors, metadata))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: naming what was expected and what came.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}; `pair-drive train` writes one")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError as error:
        raise CheckpointError(
            f"{path}: expected a whole safetensors file, got one that cannot be read: {error}"
        ) from None
    _check_format(path, metadata)
    try:
        config = config_from_mapping(PairConfig, json.loads(metadata["config"]))
        training = json.loads(metadata["training"])
    except (KeyError, json.JSONDecodeError, ConfigurationError) as error:
        raise CheckpointError(f"{path}: its description does not fit this version of pair-drive: {error}") from None
    model = PairModel(config)
    _check_tensors(path, model.state_dict(), tensors)
    model.load_state_dict(tensors)
    return Checkpoint(model.eval(), training)


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    """Refuse other people's files and other versions."""
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: expected format {FORMAT!r}, got {metadata.get('format', 'none')!r}")
    if metadata.get("format_version") != FORMAT_VERSION:
        got = metadata.get("format_version", "none")
        raise CheckpointError(f"{path}: expected format version {FORMAT_VERSION}, got {got}")


def _check_tensors(path: Path, expected: Mapping[str, Tensor], received: Mapping[str, Tensor]) -> None:
    """Compare names, shapes and finiteness of the weights with what the description demands."""
    missing, surplus = sorted(set(expected) - set(received)), sorted(set(received) - set(expected))
    if missing or surplus:
        raise CheckpointError(
            f"{path}: expected {len(expected)} tensors, got {len(received)}; "
            f"missing {missing[:3]}, unknown {surplus[:3]}"
        )
    for name, tensor in expected.items():
        if received[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: {name}: expected shape {tuple(tensor.shape)}, got {tuple(received[name].shape)}"
            )
        if received[name].is_floating_point() and not bool(torch.isfinite(received[name]).all()):
            raise CheckpointError(f"{path}: {name}: expected finite weights, got NaN or infinity")
