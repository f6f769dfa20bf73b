"""How far consecutive plans disagree about the same moment of the future."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pair_drive_core.simulation.plan_follower import TimedPlan

AHEAD_S = (1.0, 2.0, 3.0)
"""How far after the newer plan's t0 the two are compared."""


@dataclass(frozen=True)
class PlanJumps:
    """Distances between the places where a plan and the one before want the ego at the same moment, m.

    Attributes:
        pairs: plans that had one before.
        p95_m: 95th percentile at each of `AHEAD_S`; NaN without pairs.
        max_m: the greatest at each.
    """

    pairs: int
    p95_m: tuple[float, ...]
    max_m: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class PlanJumpMeter:
    """Takes plans in order.

    Args:
        max_gap_s: plans farther apart than this are not compared.
    """

    def __init__(self, max_gap_s: float = 0.5) -> None:
        self._max_gap_us = round(max_gap_s * 1e6)
        self._last: TimedPlan | None = None
        self._jumps: list[list[float]] = []

    def add(self, plan: TimedPlan) -> None:
        """Compare a plan with the one before, as far ahead as both reach."""
        last, self._last = self._last, plan
        if last is None or not 0 < plan.start_us - last.start_us <= self._max_gap_us:
            return
        ahead_us = [plan.start_us + round(ahead * 1e6) for ahead in AHEAD_S]
        apart = [plan.at(time_us, 1)[0, :2] - last.at(time_us, 1)[0, :2] for time_us in ahead_us]
        self._jumps.append([float(np.hypot(*offset)) for offset in apart])

    def summary(self) -> PlanJumps:
        """Percentiles over all pairs."""
        jumps = np.array(self._jumps).reshape(-1, len(AHEAD_S))
        if not len(jumps):
            nothing = (float("nan"),) * len(AHEAD_S)
            return PlanJumps(0, nothing, nothing)
        p95 = tuple(float(value) for value in np.percentile(jumps, 95.0, axis=0))
        return PlanJumps(len(jumps), p95, tuple(float(value) for value in jumps.max(axis=0)))
