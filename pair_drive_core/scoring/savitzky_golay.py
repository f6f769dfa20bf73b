"""Savitzky-Golay filters as constant matrices.

A filter is linear, so it is a matrix: each sample is replaced by the value, or a derivative, of a polynomial fitted to
the window around it. At both ends the polynomial of the first or last window is evaluated off its middle. These are the
conventions of `scipy.signal.savgol_filter` with mode "interp", which the official code uses: the middle of an even
window lies half a sample after the output.
"""

from __future__ import annotations

from functools import lru_cache
from math import factorial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pair_drive_core.simulation.sampling import STEP_S


@lru_cache(maxsize=256)
def filter_matrix(
    samples: int, window: int, order: int, derivative: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """A filter over all samples of a signal at 10 Hz, to be multiplied from the right.

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
    rows = np.zeros((samples, samples))
    half = window // 2
    for i in range(samples):
        if i < half:
            start, position = 0, float(i)
        elif i >= samples - half:
            start, position = samples - window, float(i - samples + window)
        else:
            start, position = i - (window - 1) // 2, (window - 1) / 2.0
        rows[i, start : start + window] = _weights(window, order, derivative, position)
    return torch.tensor(rows.T.copy(), dtype=dtype, device=device)


def filtered(signal: Tensor, window: int, order: int, derivative: int = 0) -> Tensor:
    """Filter a signal (..., n) along its last axis; float64 results are rounded to 8 decimals as the official ones."""
    out = signal @ filter_matrix(signal.shape[-1], window, order, derivative, signal.dtype, signal.device)
    return torch.round(out, decimals=8) if out.dtype == torch.float64 else out


def _weights(window: int, order: int, derivative: int, position: float) -> npt.NDArray[np.float64]:
    """(window,): weights of the samples in the derivative at a position of the fitted polynomial.

    Powers are taken about the position, so the derivative there is a single coefficient.
    """
    powers = (np.arange(window) - position)[:, None] ** np.arange(order + 1)
    coefficient = np.linalg.pinv(powers)[derivative]
    return np.asarray(coefficient * factorial(derivative) / STEP_S**derivative)
