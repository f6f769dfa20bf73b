"""Who may enter a junction: lights, priority, gap acceptance, and never into a junction that cannot be left."""

from __future__ import annotations

from dataclasses import dataclass

from pair_drive_core.town.layout import JunctionKind
from pair_drive_core.town.network import RoadNetwork, Turn
from pair_drive_core.town.signals import Light, SignalPlan

_GAP_MARGIN_S = 1.0
_CROSSING_MPS = 4.5
"""Speed at which a waiting driver reckons to cross."""
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
    """

    vehicle: int
    lane: int
    to_line_m: float
    to_exit_m: float
    speed_mps: float
    room: bool
    ignores_light: bool

    @property
    def arrival_s(self) -> float:
        """Time until it is at the line if it keeps its speed."""
        return max(self.to_line_m, 0.0) / max(self.speed_mps, 1.5)


class RightOfWay:
    """Decides for all vehicles near junctions; remembers who has been let in.

    Attributes:
        committed: by vehicle, the connector that it has been let into.
    """

    def __init__(self, network: RoadNetwork, plans: dict[int, SignalPlan]) -> None:
        self.network = network
        self.plans = plans
        self.committed: dict[int, int] = {}

    def must_stop(self, approaches: list[Approach], time_s: float) -> set[int]:
        """Vehicles that must stop at their line, and, as a side effect, who is let in.

        Args:
            approaches: vehicles near junctions, one entry each.
            time_s: now.

        Returns:
            Rows of vehicles.
        """
        by_junction: dict[int, list[Approach]] = {}
        for approach in approaches:
            junction = self.network.lanes[approach.lane].junction
            if junction is not None:
                by_junction.setdefault(junction, []).append(approach)
            if self.committed.get(approach.vehicle, approach.lane) != approach.lane:
                del self.committed[approach.vehicle]
            if approach.to_line_m < -0.5:
                self.committed[approach.vehicle] = approach.lane
        stopping: set[int] = set()
        for junction, present in by_junction.items():
            for approach in sorted(present, key=lambda a: (a.arrival_s, a.vehicle)):
                if approach.vehicle in self.committed:
                    continue
                if not self._may_go(approach, present, junction, time_s):
                    stopping.add(approach.vehicle)
                elif approach.to_line_m < approach.speed_mps**2 / (2.0 * _COMMIT_BRAKING_MPS2) + 1.5:
                    self.committed[approach.vehicle] = approach.lane
        return stopping

    def release(self, vehicle: int) -> None:
        """The vehicle has left its junction."""
        self.committed.pop(vehicle, None)

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
        if approach.to_line_m > 30.0:
            return True
        if not approach.room:
            return False
        lane = self.network.lanes[approach.lane]
        conflicts = self.network.conflicts[approach.lane]
        crossing = max(approach.to_line_m, 0.0) + lane.length_m
        mine_s = crossing / max(approach.speed_mps, _CROSSING_MPS) + _GAP_MARGIN_S
        signalled = self.network.junctions[junction].kind is JunctionKind.SIGNAL
        for other in present:
            if other.vehicle == approach.vehicle or other.lane not in conflicts:
                continue
            if other.vehicle in self.committed:
                if other.to_exit_m > 1.0:
                    return False
                continue
            theirs = self.network.lanes[other.lane]
            if signalled and self.light(other.lane, time_s) is not Light.GREEN:
                continue
            if not other.room:
                continue
            first = (theirs.rank, other.arrival_s, other.vehicle) < (lane.rank, approach.arrival_s, approach.vehicle)
            if theirs.rank == lane.rank and lane.turn is not Turn.STRAIGHT:
                first = first or (theirs.turn is Turn.STRAIGHT and other.arrival_s < mine_s)
            if first and other.arrival_s < mine_s:
                return False
        return True


def connector_ahead(
    spans: list[tuple[int, float, float]], along_m: float, front_m: float, rear_m: float
) -> tuple[int, float, float] | None:
    """The first connector on a path that the vehicle has not left.

    Args:
        spans: (lane, start, end) of the connectors on the path.
        along_m: arc length of the rear axle.
        front_m: rear axle to front bumper.
        rear_m: rear axle to rear bumper.

    Returns:
        (lane, front bumper to its start, rear bumper to its end), or None where the path has none.
    """
    for lane, start, end in spans:
        if end > along_m - rear_m:
            return lane, start - (along_m + front_m), end - (along_m - rear_m)
    return None
