"""Checkpoints: safetensors with a JSON description of what they hold and how they were made."""

from __future__ import annotations

import dataclasses
import json
import math
import reprlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.overrides import TorchFunctionMode

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.models.configuration import ConfigurationError, config_from_mapping, config_to_mapping
from pair_drive_core.models.pair_model import PairConfig, PairModel

FORMAT = "pair-drive checkpoint"
FORMAT_VERSION = "1"
_MAX_HEADER = 2**24
_MAX_SETTING = 2**16
_FREE_ELEMENTS = 2**16
_UNBUILDABLE = (
    *(ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError),
    *(ArithmeticError, RuntimeError, MemoryError),
)
"""What networks raise for sizes that do not go together; RuntimeError covers RecursionError."""


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
    """Read a checkpoint. Whatever the file says, nothing is built that is larger than its tensors.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: naming what was expected and what came.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}; `pair-drive train` writes one")
    _check_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _check_format(path, metadata)
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
            model = _built(path, _config(path, metadata, len(shapes)), sum(map(math.prod, shapes.values())))
            _check_shapes(path, {name: tuple(t.shape) for name, t in model.state_dict().items()}, shapes)
            tensors = {name: file.get_tensor(name) for name in shapes}
    except SafetensorError as error:
        raise CheckpointError(
            f"{path}: expected a whole safetensors file, got one that cannot be read: {error}"
        ) from None
    training = _described(path, metadata, "training")
    _check_tensors(path, model.state_dict(), tensors)
    model.load_state_dict(tensors)
    return Checkpoint(model.eval(), training)


def _check_header(path: Path) -> None:
    """Refuse a header that is no description of weights, before anything reads it."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if size > _MAX_HEADER:
        raise CheckpointError(
            f"{path}: expected a whole safetensors file, its header at most {_MAX_HEADER} bytes, got {size}"
        )


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    """Refuse other people's files and other versions."""
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: expected format {FORMAT!r}, got {metadata.get('format', 'none')!r}")
    if metadata.get("format_version") != FORMAT_VERSION:
        got = metadata.get("format_version", "none")
        raise CheckpointError(f"{path}: expected format version {FORMAT_VERSION}, got {got}")


def _described(path: Path, metadata: Mapping[str, str], key: str) -> Mapping[str, Any]:
    """One part of the description."""
    try:
        found = json.loads(metadata[key])
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: its description does not fit this version of pair-drive: {key!r}: {error}"
        ) from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: expected {key!r} as a group of settings, got {reprlib.repr(found)}")
    return found


def _config(path: Path, metadata: Mapping[str, str], tensors: int) -> PairConfig:
    """The configuration, its numbers within what networks have and what the file can hold."""
    try:
        config = config_from_mapping(PairConfig, _described(path, metadata, "config"))
    except (ConfigurationError, RecursionError) as error:
        raise CheckpointError(f"{path}: its description does not fit this version of pair-drive: {error}") from None
    for name, value in _whole_numbers(config, ""):
        # Every layer and every block has tensors of its own, so there cannot be more of them than tensors.
        most = tensors if name.rstrip("[]0123456789").endswith(("layers", "blocks")) else _MAX_SETTING
        if not 0 <= value <= most:
            raise CheckpointError(f"{path}: setting {name!r}: expected a number from 0 to {most}, got {value}")
    return config


def _whole_numbers(value: object, name: str) -> Iterator[tuple[str, int]]:
    """Every whole number of a configuration, with its dotted name."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _whole_numbers(getattr(value, field.name), f"{name}.{field.name}".lstrip("."))
    elif isinstance(value, tuple):
        for i, entry in enumerate(value):
            yield from _whole_numbers(entry, f"{name}[{i}]")
    elif isinstance(value, int) and not isinstance(value, bool):
        yield name, value


class _TooLargeError(ValueError):
    """A model of more weights than its file holds."""


class _Ration(TorchFunctionMode):
    """While a model is built, its tensors together take no more than the file's own."""

    def __init__(self, elements: int) -> None:
        super().__init__()
        # Some weights are drawn and then scaled, and there are a few buffers that are not saved.
        self._left = 2 * elements + _FREE_ELEMENTS

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the function gives
        """Count what is about to be allocated."""
        if func in _FACTORIES:
            size = (kwargs or {}).get("size", args[0] if args and isinstance(args[0], Sequence) else args)
            self._take(math.prod(abs(int(length)) for length in size))
        elif func is Tensor.clone:
            self._take(args[0].numel())
        return func(*args, **(kwargs or {}))

    def _take(self, elements: int) -> None:
        self._left -= elements
        if self._left < 0:
            raise _TooLargeError(f"it has {-self._left} or more weights beyond those in the file")


_FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn)


def _built(path: Path, config: PairConfig, elements: int) -> PairModel:
    """The model, or why there cannot be one of this description and this file."""
    try:
        with _Ration(elements), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of networks without width
            return PairModel(config)
    except _UNBUILDABLE as error:
        raise CheckpointError(
            f"{path}: its description does not fit this version of pair-drive: no model can be built of it "
            f"({type(error).__name__}: {error})"
        ) from error


def _check_shapes(path: Path, expected: Mapping[str, tuple[int, ...]], received: Mapping[str, tuple[int, ...]]) -> None:
    """Compare names and shapes of the weights with what the description demands."""
    missing, surplus = sorted(set(expected) - set(received)), sorted(set(received) - set(expected))
    if missing or surplus:
        raise CheckpointError(
            f"{path}: expected {len(expected)} tensors, got {len(received)}; "
            f"missing {missing[:3]}, unknown {surplus[:3]}"
        )
    for name, shape in expected.items():
        if received[name] != shape:
            raise CheckpointError(f"{path}: {name}: expected shape {shape}, got {received[name]}")


def _check_tensors(path: Path, expected: Mapping[str, Tensor], received: Mapping[str, Tensor]) -> None:
    """Compare kinds and finiteness of the weights with what the model has."""
    for name, tensor in expected.items():
        if received[name].is_floating_point() != tensor.is_floating_point():
            raise CheckpointError(f"{path}: {name}: expected {tensor.dtype}, got {received[name].dtype}")
        if received[name].is_floating_point() and not bool(torch.isfinite(received[name]).all()):
            raise CheckpointError(f"{path}: {name}: expected finite weights, got NaN or infinity")
