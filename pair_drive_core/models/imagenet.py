"""Weights of a ResNet that learnt on ImageNet, from a file with torchvision's names, as the start of an encoder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pair_drive_core.models.resnet import ResNetEncoder

_PLACES = ((r"^conv1\.", "stem.0."), (r"^bn1\.", "stem.1."), (r"^layer(\d+)\.", None))
_CLASSIFIER = "fc."
# What torch raises for a file that holds more than weights; the module that it comes from is for one room alone.
_REFUSED: type[Exception] = vars(torch.serialization)["pickle"].UnpicklingError


def load_imagenet(encoder: ResNetEncoder, path: Path) -> None:
    """Take over all weights but the classifier's.

    Args:
        encoder: of ResNet-18's or ResNet-34's sizes, changed in place.
        path: `.safetensors`, or what `torch.save` wrote of a state dict; it is read without running anything.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming what does not fit.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}")
    found = {_place(name): value for name, value in _read(path).items() if not name.startswith(_CLASSIFIER)}
    wanted = encoder.state_dict()
    missing, surplus = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing or surplus:
        raise ValueError(f"{path}: expected {len(wanted)} weights, missing {missing[:3]}, unknown {surplus[:3]}")
    for name, value in wanted.items():
        if found[name].shape != value.shape:
            got = tuple(found[name].shape)
            raise ValueError(f"{path}: {name}: expected shape {tuple(value.shape)}, got {got}")
    encoder.load_state_dict(found)


def _place(name: str) -> str:
    """Our name of a weight of torchvision's."""
    for pattern, ours in _PLACES:
        match = re.match(pattern, name)
        if match is not None:
            start = ours if ours is not None else f"stages.{int(match[1]) - 1}."
            return start + name[match.end() :]
    return name


def _read(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a file."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, _REFUSED, RuntimeError, EOFError) as error:
        raise ValueError(f"{path}: expected weights, got a file that cannot be read: {error}") from None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path}: expected weights by name, got {type(state).__name__}")
    return state
