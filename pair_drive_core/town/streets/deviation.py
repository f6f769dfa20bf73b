"""A bend in the way along a lane: around an obstacle, or out of carelessness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pair_drive_core.town.streets.curves import FloatArray


@dataclass(frozen=True)
class Deviation:
    """A bend put into a path: away from it by a squared sine, along beside it, and back.

    Attributes:
        start_m: arc length of the path where it begins.
        ramp_m: length of the way out and of the way back.
        hold_m: length beside the path.
        offset_m: how far, left positive.
        label: why.
    """

    start_m: float
    ramp_m: float
    hold_m: float
    offset_m: float
    label: str

    @property
    def end_m(self) -> float:
        """Arc length where the path is as before."""
        return self.start_m + 2.0 * self.ramp_m + self.hold_m

    def offsets(self, along_m: FloatArray) -> FloatArray:
        """(P,): offset at given arc lengths, m."""
        out = np.clip((along_m - self.start_m) / self.ramp_m, 0.0, 1.0)
        back = np.clip((self.end_m - along_m) / self.ramp_m, 0.0, 1.0)
        return self.offset_m * np.sin(0.5 * np.pi * np.minimum(out, back)) ** 2
