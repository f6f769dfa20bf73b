"""How a blocked lane is passed: on the side of the oncoming traffic when that is free; one side waits for the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pair_drive_core.town.streets.construction import Blockage
from pair_drive_core.town.streets.deviation import Deviation
from pair_drive_core.town.traffic.drivers import Fleet
from pair_drive_core.town.traffic.flaws import Flaw, Surroundings
from pair_drive_core.town.traffic.paths import LaneSpan, PathBank

_OFFSET_M = 3.2
_RAMP_M = 20.0
_BEFORE_M = 5.0
"""The rear axle is wholly beside its lane this long before the blocked stretch."""
_DECIDE_M = 60.0
"""Drivers look whether somebody comes from here on."""
_LINE_M = 1.5
"""Who waits does so this much before the bend begins."""
_PASSING_S = 9.0
"""Time that passing takes."""
_BRAKING_MPS2 = 2.0
"""Oncoming drivers who would have to brake harder than this go on."""


@dataclass(frozen=True)
class _Oncoming:
    """Somebody in the lane beside a blocked one, before or in the stretch that a passing vehicle needs.

    Attributes:
        vehicle: row.
        to_line_m: from the front bumper to where it would wait; negative beyond.
        speed_mps: speed.
    """

    vehicle: int
    to_line_m: float
    speed_mps: float

    @property
    def cannot_stop(self) -> bool:
        return self.to_line_m < self.speed_mps**2 / (2.0 * _BRAKING_MPS2) + 1.0


class BlockedLanes:
    """Lets vehicles pass what blocks their lane; no two sides at a time are in the stretch that both need.

    Args:
        paths: bent for those who may pass.
        fleet: the vehicles.
        blockages: the lanes that are shut.
    """

    def __init__(self, paths: PathBank, fleet: Fleet, blockages: tuple[Blockage, ...]) -> None:
        self.blockages = blockages
        self._paths = paths
        self._fleet = fleet

    def step(self, now: Surroundings, external: npt.NDArray[np.bool_]) -> dict[int, float]:
        """Let go who may pass.

        Args:
            now: where everybody is.
            external: (V,) bool, who is driven from outside and asks nobody.

        Returns:
            For those who must wait: from the front bumper to where they do so, m.
        """
        waits: dict[int, float] = {}
        for blockage in self.blockages:
            oncoming = self._oncoming(blockage, now)
            passing = False
            asking: list[tuple[int, Deviation, float]] = []
            for vehicle in range(len(self._fleet)):
                found = self._bend(blockage, vehicle, float(now.along_m[vehicle]))
                if found is None or external[vehicle]:
                    continue
                bend, begun = found
                to_bend = bend.start_m - float(now.along_m[vehicle])
                if begun:
                    passing = True
                elif 0.0 < to_bend < _DECIDE_M:
                    asking.append((vehicle, bend, to_bend))
            comes = any(o.cannot_stop or o.to_line_m < _PASSING_S * o.speed_mps for o in oncoming)
            for vehicle, bend, to_bend in asking:
                if comes:
                    waits[vehicle] = max(to_bend - _LINE_M, 0.0)
                else:
                    self._paths.deviate(vehicle, bend)
                    passing = True
            if passing:
                waits |= {o.vehicle: o.to_line_m for o in oncoming if not o.cannot_stop and not external[o.vehicle]}
        return waits

    def _bend(self, blockage: Blockage, vehicle: int, along_m: float) -> tuple[Deviation, bool] | None:
        """The bend round a blockage that is still (partly) ahead on a path, and whether it is in the path already."""
        for span in self._ahead(vehicle, blockage.lane, along_m):
            start = span.start_m + blockage.start_m - _BEFORE_M - _RAMP_M
            hold = blockage.end_m - blockage.start_m + _BEFORE_M + 1.0
            bend = Deviation(start, _RAMP_M, hold, _OFFSET_M, Flaw.WRONG_SIDE.value)
            if along_m < bend.end_m:
                begun = any(
                    abs(d.start_m - start) < 1.0 and d.label == bend.label for d in self._paths.deviations[vehicle]
                )
                return bend, begun
        return None

    def _ahead(self, vehicle: int, lane: int, along_m: float) -> list[LaneSpan]:
        return [s for s in self._paths.spans[vehicle] if s.lane == lane and s.end_m > along_m]

    def _oncoming(self, blockage: Blockage, now: Surroundings) -> list[_Oncoming]:
        """Who is in the other lane and has not left the stretch that passing takes; arc lengths there run backwards."""
        length = self._paths.network.lanes[blockage.oncoming].length_m
        enter = length - (blockage.end_m + _RAMP_M)
        leave = length - (blockage.start_m - _BEFORE_M - _RAMP_M)
        found = []
        for vehicle in range(len(self._fleet)):
            along = float(now.along_m[vehicle])
            front = along + float(self._fleet.front_m[vehicle])
            rear = front - float(self._fleet.length_m[vehicle])
            span = next(iter(self._ahead(vehicle, blockage.oncoming, rear)), None)
            if span is not None and span.start_m + leave > rear and front > span.start_m - _DECIDE_M:
                found.append(_Oncoming(vehicle, span.start_m + enter - front, float(now.speed_mps[vehicle])))
        return found
