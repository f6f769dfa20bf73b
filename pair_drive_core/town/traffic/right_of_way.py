"""Who may enter a junction: lights, priority, gap acceptance, and never into a junction that cannot be left."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pair_drive_core.town.streets.layout import JunctionKind
from pair_drive_core.town.streets.network import RoadNetwork
from pair_drive_core.town.streets.signals import Light, SignalPlan

_GAP_MARGIN_S = 0.7
_STARTING_MPS2 = 1.5
"""Acceleration that a driver reckons with for the own crossing."""
_SLOWEST_MPS = 2.5
_FOREVER_S = 60.0
_LOOK_AHEAD_M = 30.0
_COMMIT_BRAKING_MPS2 = 2.6
"""A driver who would have to brake harder than this goes on."""


@dataclass
class Approach:
    """A vehicle and the connector ahead of it or under it.

    Attributes:
        vehicle: its row.
        lane: index of the connector.
        to_line_m: from its front bumper to the stop line; negative beyond it.
        to_exit_m: from its rear bumper to the connector's end.
        speed_mps: its speed.
        room: whether the exit has room for it.
        ignores_light: whether its driver takes no notice of a red light.
        beside_m: how far beside the connector's centre line it drives.
    """

    vehicle: int
    lane: int
    to_line_m: float
    to_exit_m: float
    speed_mps: float
    room: bool
    ignores_light: bool
    beside_m: float

    @property
    def key(self) -> tuple[int, int]:
        """Vehicle and connector."""
        return self.vehicle, self.lane

    @property
    def arrival_s(self) -> float:
        """Time until it is at the line if it keeps its speed."""
        return max(self.to_line_m, 0.0) / max(self.speed_mps, 1.5)


class RightOfWay:
    """Decides for all vehicles near junctions; remembers who has been let in.

    Attributes:
        committed: (vehicle, connector) of those who have been let in.
    """

    def __init__(self, network: RoadNetwork, plans: dict[int, SignalPlan]) -> None:
        self.network = network
        self.plans = plans
        self.committed: set[tuple[int, int]] = set()

    def must_stop(self, approaches: list[Approach], time_s: float) -> set[tuple[int, int]]:
        """Vehicles that must stop at a line, and, as a side effect, who is let in.

        Args:
            approaches: vehicles near junctions, one entry for each connector that they are on or near.
            time_s: now.

        Returns:
            (vehicle, connector) of those who must stop.
        """
        self.committed &= {approach.key for approach in approaches}
        by_junction: dict[int, list[Approach]] = {}
        for approach in approaches:
            junction = self.network.lanes[approach.lane].junction
            if junction is not None:
                by_junction.setdefault(junction, []).append(approach)
            if approach.to_line_m < -0.5:
                self.committed.add(approach.key)
        stopping: set[tuple[int, int]] = set()
        for junction, present in by_junction.items():
            for approach in sorted(present, key=lambda a: (a.arrival_s, a.vehicle)):
                if self._was_held_up(approach, time_s):
                    self.committed.remove(approach.key)
                if approach.key in self.committed:
                    continue
                if not self._may_go(approach, present, junction, time_s):
                    stopping.add(approach.key)
                elif approach.to_line_m < approach.speed_mps**2 / (2.0 * _COMMIT_BRAKING_MPS2) + 1.5:
                    self.committed.add(approach.key)
        return stopping

    def _was_held_up(self, approach: Approach, time_s: float) -> bool:
        """Whether somebody who was let in has not got to the line before the light turned red, and can still stop."""
        waits = approach.key in self.committed and approach.to_line_m > 0.0 and not approach.ignores_light
        if not waits or self.light(approach.lane, time_s) is not Light.RED:
            return False
        return approach.speed_mps**2 / (2.0 * approach.to_line_m) < _COMMIT_BRAKING_MPS2

    def light(self, lane: int, time_s: float) -> Light:
        """What a connector's light shows; green where it has none."""
        of = self.network.lanes[lane]
        plan = self.plans.get(of.junction) if of.junction is not None else None
        return Light.GREEN if plan is None else plan.light(of.arm, time_s)

    def _light_allows(self, approach: Approach, time_s: float) -> bool:
        light = self.light(approach.lane, time_s)
        if light is Light.GREEN or approach.ignores_light:
            return True
        needed = approach.speed_mps**2 / (2.0 * max(approach.to_line_m, 0.1))
        return light is Light.YELLOW and needed > _COMMIT_BRAKING_MPS2

    def _may_go(self, approach: Approach, present: list[Approach], junction: int, time_s: float) -> bool:
        if not self._light_allows(approach, time_s):
            return False
        if approach.to_line_m > _LOOK_AHEAD_M:
            return True
        if not approach.room:
            return False
        lane = self.network.lanes[approach.lane]
        conflicts = self.network.conflicts[approach.lane]
        signalled = self.network.junctions[junction].kind is JunctionKind.SIGNAL
        for other in present:
            if other.vehicle == approach.vehicle or other.lane not in conflicts:
                continue
            if other.key not in self.committed:
                if not other.room or (signalled and self.light(other.lane, time_s) is not Light.GREEN):
                    continue
                rank = self.network.lanes[other.lane].rank
                mine = (lane.rank, approach.arrival_s, approach.vehicle)
                if (rank, other.arrival_s, other.vehicle) > mine:
                    continue
            if self._would_meet(approach, other):
                return False
        return True

    def _would_meet(self, approach: Approach, other: Approach) -> bool:
        """Whether both would be where their paths cross at about the same time."""
        conflicts, wider = self.network.conflicts, max(approach.beside_m, other.beside_m)
        mine, theirs = conflicts[approach.lane][other.lane], conflicts[other.lane][approach.lane]
        enter, leave = self._occupancy(approach, mine[0] - wider, mine[1] + wider, starting=True)
        begin, end = self._occupancy(other, theirs[0] - wider, theirs[1] + wider, starting=False)
        return end > 0.0 and begin < leave + _GAP_MARGIN_S and end > enter - _GAP_MARGIN_S

    def _occupancy(self, vehicle: Approach, first_m: float, last_m: float, starting: bool) -> tuple[float, float]:
        """When a vehicle's front reaches and its rear leaves a stretch of its connector, s.

        Args:
            vehicle: who.
            first_m: where the stretch begins on the connector.
            last_m: where it ends.
            starting: whether it speeds up from now on; else it may do so or keep its speed, whichever is worse.
        """
        length = self.network.lanes[vehicle.lane].length_m
        to_first = vehicle.to_line_m + first_m
        to_last = vehicle.to_exit_m - (length - last_m)
        if to_last <= 0.0:
            return 0.0, 0.0
        v = vehicle.speed_mps
        if starting:
            return _time_to_cover(max(to_first, 0.0), v), _time_to_cover(to_last, v)
        # Who stands on the crossing point is there until further notice.
        pace = max(v, _SLOWEST_MPS)
        return _time_to_cover(max(to_first, 0.0), v), to_last / pace if v > 0.3 or to_first > 0.0 else _FOREVER_S


def _time_to_cover(distance_m: float, speed_mps: float) -> float:
    """Time to cover a distance while speeding up moderately, s."""
    return (math.sqrt(speed_mps**2 + 2.0 * _STARTING_MPS2 * distance_m) - speed_mps) / _STARTING_MPS2


def connectors_ahead(
    spans: list[tuple[int, float, float]], along_m: float, front_m: float, rear_m: float
) -> list[tuple[int, float, float]]:
    """The connectors on a path that the vehicle has not left, the nearest first.

    Args:
        spans: (lane, start, end) of the connectors on the path.
        along_m: arc length of the rear axle.
        front_m: rear axle to front bumper.
        rear_m: rear axle to rear bumper.

    Returns:
        (lane, front bumper to its start, rear bumper to its end) of each.
    """
    return [
        (lane, start - (along_m + front_m), end - (along_m - rear_m))
        for lane, start, end in spans
        if end > along_m - rear_m
    ]
