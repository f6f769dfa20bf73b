"""The ego's past at 10 Hz, as history comfort sees it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pair_drive_core.scene import STATE_SIZE, EgoHistory

FloatArray = npt.NDArray[np.float64]
_INTERVAL_US = 100_000


def past_states(history: EgoHistory) -> FloatArray | None:
    """Resample the past every 0.1 s from its first state on (official `_calculate_history_comfort`).

    The official code samples the half-open range up to t0 and then drops one more sample, so there is a gap of 0.2 s
    (or a little more) between the last row and t0; 1.5 s of past give 14 rows. Yaw rate and yaw acceleration of
    interpolated states are zero.

    Args:
        history: past states, the last at t0.

    Returns:
        (H, 11), columns of `StateIndex`, global frame; None where there are fewer than two past states, which the
        metric treats as "no past known".
    """
    time = history.time_us.numpy()
    if time.shape[0] < 2:
        return None
    sample = np.arange(time[0], time[-1], _INTERVAL_US, dtype=np.int64)[:-1]
    out = np.zeros((sample.shape[0], STATE_SIZE))
    linear = (history.pose[:, 0], history.pose[:, 1], *history.velocity.T, *history.acceleration.T)
    for column, values in zip((0, 1, 3, 4, 5, 6), linear, strict=True):
        out[:, column] = np.interp(sample, time, values.numpy())
    heading = np.interp(sample, time, np.unwrap(history.pose[:, 2].numpy()))
    out[:, 2] = np.mod(heading + np.pi, 2.0 * np.pi) - np.pi
    return out
