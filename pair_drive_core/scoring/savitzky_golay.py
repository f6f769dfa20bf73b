"""Savitzky-Golay filters as constant matrices."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from scipy.signal import savgol_filter
from torch import Tensor

from pair_drive_core.simulation.sampling import STEP_S


@lru_cache(maxsize=256)
def filter_matrix(
    samples: int, window: int, order: int, derivative: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """A filter over all samples of a signal at 10 Hz, to be multiplied from the right.

    The filter is linear, so it is what `scipy.signal.savgol_filter` (mode "interp", windows may be even) makes of unit
    signals.

    Args:
        samples: length of the signal.
        window: samples that each polynomial is fitted to; cut to `samples`.
        order: of the polynomials.
        derivative: which derivative to return, per 0.1 s.
        dtype: of the result.
        device: of the result.

    Returns:
        (samples, samples).

    Raises:
        ValueError: if the window is not longer than the order.
    """
    window = min(window, samples)
    if not order < window:
        raise ValueError(f"Savitzky-Golay: expected more than {order} samples for order {order}, got {window}")
    rows = savgol_filter(np.eye(samples), window, order, deriv=derivative, delta=STEP_S, axis=-1)
    return torch.tensor(rows, dtype=dtype, device=device)


def filtered(signal: Tensor, window: int, order: int, derivative: int = 0) -> Tensor:
    """Filter a signal (..., n) along its last axis; float64 results are rounded to 8 decimals as the official ones."""
    out = signal @ filter_matrix(signal.shape[-1], window, order, derivative, signal.dtype, signal.device)
    return torch.round(out, decimals=8) if out.dtype == torch.float64 else out
