"""Angles in radians, counter-clockwise from +x."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def wrap_angle(angle: Tensor) -> Tensor:
    """Wrap angles to [-pi, pi).

    Args:
        angle: any shape, rad.

    Returns:
        The same shape, rad.
    """
    return torch.remainder(angle + math.pi, 2.0 * math.pi) - math.pi
