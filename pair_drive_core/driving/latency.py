"""Latencies of the last plans."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LatencySummary:
    """Percentiles of a set of latencies.

    Attributes:
        count: how many there are.
        p50_ms: the median; NaN where there are none.
        p99_ms: 99th percentile; NaN where there are none.
        max_ms: the greatest; NaN where there are none.
    """

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class Latencies:
    """Keeps the last latencies.

    Args:
        capacity: how many are kept.
    """

    def __init__(self, capacity: int = 1000) -> None:
        self._seconds: deque[float] = deque(maxlen=capacity)

    def add(self, seconds: float) -> None:
        """Add one, s."""
        self._seconds.append(seconds)

    def summary(self) -> LatencySummary:
        """Percentiles of those that are kept."""
        values = np.array(tuple(self._seconds)) * 1000.0
        if values.size == 0:
            return LatencySummary(0, float("nan"), float("nan"), float("nan"))
        p50, p99 = np.percentile(values, [50.0, 99.0])
        return LatencySummary(values.size, float(p50), float(p99), float(values.max()))
