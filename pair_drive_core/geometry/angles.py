"""Angles in radians, counter-clockwise from +x."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from torch import Tensor

FloatArray = npt.NDArray[np.float64]
AngleT = TypeVar("AngleT", float, FloatArray, Tensor)


def wrap_angle(angle: AngleT) -> AngleT:
    """Wrap angles to [-pi, pi).

    Args:
        angle: a number, or any shape; rad.

    Returns:
        The same kind and shape, rad.
    """
    return (angle + math.pi) % (2.0 * math.pi) - math.pi


def normalise_angle(angle: FloatArray) -> FloatArray:
    """The same by way of sine and cosine, in [-pi, pi]; equals the official code to the last bit where that does so.

    Args:
        angle: any shape, rad.

    Returns:
        The same shape, rad.
    """
    normal: FloatArray = np.arctan2(np.sin(angle), np.cos(angle))
    return normal
