"""Checks shared by the data model; each error names what came and what was expected."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_OF_NUMPY = (torch.float64, torch.float32)


class SceneError(ValueError):
    """A scene, trajectory or sensor reading that breaks the rules of the data model."""


def require_shape(name: str, tensor: Tensor, expected: Sequence[int | str]) -> None:
    """Check a tensor's shape.

    Args:
        name: the field's name, for the message.
        tensor: the tensor.
        expected: one entry an axis; an int must be equal, a string is a free axis; a leading "..." admits any
            leading axes.

    Raises:
        SceneError: if the shape differs.
    """
    shape = tuple(tensor.shape)
    if shape == expected:
        return
    wanted = list(expected)
    if wanted and wanted[0] == "...":
        wanted = wanted[1:]
        actual = shape[len(shape) - len(wanted) :] if len(shape) >= len(wanted) else None
    else:
        actual = shape if len(shape) == len(wanted) else None
    fits = actual is not None and all(isinstance(w, str) or w == a for w, a in zip(wanted, actual, strict=True))
    if not fits:
        raise SceneError(f"{name}: expected shape ({', '.join(map(str, expected))}), got {shape}")


def require_finite(name: str, tensor: Tensor) -> None:
    """Check that no entry is NaN or infinite.

    Raises:
        SceneError: naming the first offending index.
    """
    # A scene has dozens of small tensors, and numpy looks through one in a fraction of the time. A sum is finite only
    # where all its parts are; one that overflows is looked at below.
    if tensor.device.type == "cpu" and tensor.dtype in _OF_NUMPY:
        with np.errstate(over="ignore", invalid="ignore"):
            total = float(np.add.reduce(tensor.detach().numpy(), axis=None))
        if math.isfinite(total):
            return
    bad = ~torch.isfinite(tensor)
    if bool(bad.any()):
        first = tuple(int(i) for i in bad.nonzero()[0])
        raise SceneError(f"{name}: expected finite numbers, got {float(tensor[first])} at index {first}")


def require_dtype(name: str, tensor: Tensor, *dtypes: torch.dtype) -> None:
    """Check a tensor's dtype.

    Raises:
        SceneError: if it is none of `dtypes`.
    """
    if tensor.dtype not in dtypes:
        raise SceneError(f"{name}: expected dtype {' or '.join(map(str, dtypes))}, got {tensor.dtype}")
