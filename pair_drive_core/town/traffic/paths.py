"""The path that each vehicle follows: a polyline along its lanes with the speed it may have at every point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import Protocol

import numpy as np

from pair_drive_core.town.streets.curves import FloatArray, arc_lengths, blend, offset_left, oriented, snap
from pair_drive_core.town.streets.deviation import Deviation
from pair_drive_core.town.streets.network import RoadNetwork, Turn

SPACING_M = 0.5
CAPACITY = 1000
"""Points of a path."""
_MARGIN_M = 130.0
"""A path is extended when less than this is left of it."""
_BEHIND_M = 60.0
"""How much of the driven path is kept."""
_SMOOTHING_POINTS = 9
_ROUTE_KEPT_M = 170.0
"""A change of lanes must not change the route within this distance: learners are told where it goes."""


@dataclass(frozen=True)
class Leg:
    """One lane of a path, or the change from it to its neighbour.

    Attributes:
        lane: lane index.
        into: the neighbour that it is left for; None where it is followed to its end.
        at_m: where on the lane the change begins.
        over_m: how long it takes.
    """

    lane: int
    into: int | None = None
    at_m: float = 0.0
    over_m: float = 0.0

    @property
    def exit_lane(self) -> int:
        """The lane at whose end the leg ends."""
        return self.lane if self.into is None else self.into

    def line(self, network: RoadNetwork) -> tuple[FloatArray, int]:
        """(P, 3) vertices, and the index of the vertex half way through the change (the last one without)."""
        line = network.lanes[self.lane].centerline
        if self.into is None:
            return line, len(line) - 1
        other = network.lanes[self.into].centerline
        first = int(np.clip(round(self.at_m / network.lanes[self.lane].length_m * (len(line) - 1)), 1, len(line) - 4))
        last = min(first + round(self.over_m), len(other) - 2)
        curve = oriented(blend(line[first], other[last], 1.0), float(line[first, 2]), float(other[last, 2]))
        return np.concatenate((line[:first], curve, other[last + 1 :])), first + len(curve) // 2


@dataclass(frozen=True)
class LaneSpan:
    """A lane on a path.

    Attributes:
        lane: lane index.
        start_m: arc length of the path where the lane begins.
        end_m: where it ends.
        leg: the leg that it belongs to.
        leg_start_m: where that begins.
    """

    lane: int
    start_m: float
    end_m: float
    leg: Leg
    leg_start_m: float


@dataclass
class Path:
    """A path that is extended as it is driven.

    Attributes:
        points: (P, 3), x, y, heading (unwrapped); m, rad; every `SPACING_M`.
        curvature: (P,), 1/m.
        limit_mps: (P,), speed limit.
        spans: lanes in order.
    """

    points: FloatArray
    curvature: FloatArray
    limit_mps: FloatArray
    spans: list[LaneSpan]

    @property
    def length_m(self) -> float:
        """Arc length."""
        return (len(self.points) - 1) * SPACING_M


def path_along(network: RoadNetwork, legs: list[Leg], start_m: float) -> Path:
    """A path along connected lanes.

    Args:
        network: the map.
        legs: connected legs.
        start_m: where on the first leg the path begins.
    """
    drawn = [leg.line(network) for leg in legs]
    joined = np.concatenate([drawn[0][0], *(line[1:] for line, _ in drawn[1:])])
    arc = arc_lengths(joined)
    ends = np.cumsum([len(line) - 1 for line, _ in drawn])
    begins = np.concatenate(([0], ends[:-1]))
    heading = np.unwrap(joined[:, 2])
    count = int((arc[-1] - start_m) / SPACING_M) + 1
    at = start_m + SPACING_M * np.arange(count)
    points = snap(np.column_stack([np.interp(at, arc, column) for column in (joined[:, 0], joined[:, 1], heading)]))
    limits = np.array([network.lanes[leg.lane].speed_limit_mps for leg in legs])
    of_point = np.clip(np.searchsorted(arc[ends], at, side="right"), 0, len(legs) - 1)
    spans: list[LaneSpan] = []
    for leg, (_, split), first, last in zip(legs, drawn, begins.tolist(), ends.tolist(), strict=True):
        start, middle, end = (float(arc[i]) - start_m for i in (first, first + split, last))
        spans.append(LaneSpan(leg.lane, start, middle, leg, start))
        if leg.into is not None:
            spans.append(LaneSpan(leg.into, middle, end, leg, start))
    return Path(points, _curvature(points[:, 2]), limits[of_point], spans)


def _curvature(heading: FloatArray) -> FloatArray:
    """Curvature smoothed over 4 m, as a driver who turns the wheel steadily would feel it."""
    raw = np.gradient(heading, SPACING_M)
    kernel = np.hanning(_SMOOTHING_POINTS + 2)[1:-1]
    padded = np.pad(raw, _SMOOTHING_POINTS // 2, mode="edge")
    return snap(np.convolve(padded, kernel / kernel.sum(), mode="valid"))


class Habits(Protocol):
    """What a path depends on of its driver; (V,) each."""

    @property
    def speed_factor(self) -> FloatArray:
        """Wanted speed over speed limit."""
        ...

    @property
    def lateral_mps2(self) -> FloatArray:
        """Lateral acceleration accepted in bends."""
        ...

    @property
    def braking_mps2(self) -> FloatArray:
        """Comfortable braking."""
        ...

    @property
    def bias_m(self) -> FloatArray:
        """Where in the lane the path runs, left of its centre line."""
        ...


def _legs(spans: list[LaneSpan]) -> list[Leg]:
    """The legs that spans belong to, in order."""
    return [next(group).leg for _, group in groupby(spans, key=lambda span: span.leg_start_m)]


class PathBank:
    """The paths of all vehicles in arrays, so that one step of traffic is one pass over them.

    Attributes:
        points: (V, CAPACITY, 3), x, y, unwrapped heading.
        curvature: (V, CAPACITY), 1/m.
        speed: (V, CAPACITY), the speed that the driver allows at each point, slowing in time for bends, m/s.
        spans: lanes on each path.
        deviations: bends put into each path.
    """

    def __init__(
        self,
        network: RoadNetwork,
        rng: np.random.Generator,
        habits: Habits,
        detours: dict[int, Deviation] | None = None,
    ) -> None:
        """Room for V paths.

        Args:
            network: the map.
            rng: draws where paths go.
            habits: the drivers'.
            detours: by lane, the bend that every path along it has; arc lengths are the lane's.
        """
        count = len(habits.speed_factor)
        self.network = network
        self.rng = rng
        self.habits = habits
        self.detours = detours or {}
        self.points = np.zeros((count, CAPACITY, 3))
        self.curvature = np.zeros((count, CAPACITY))
        self.speed = np.zeros((count, CAPACITY))
        self._limit_mps = np.zeros((count, CAPACITY))
        self.spans: list[list[LaneSpan]] = [[] for _ in range(count)]
        self.deviations: list[list[Deviation]] = [[] for _ in range(count)]

    def start(self, vehicle: int, lane: int, along_m: float) -> None:
        """Begin a path at a place on a lane and continue it at random."""
        self._write(vehicle, self._extended(vehicle, [Leg(lane)], along_m), along_m)

    def needs_extension(self, along_m: FloatArray) -> list[int]:
        """Vehicles whose path soon ends."""
        return np.nonzero((CAPACITY - 1) * SPACING_M - along_m < _MARGIN_M)[0].tolist()

    def extend(self, vehicle: int, along_m: float) -> float:
        """Drop what lies far behind and continue the path.

        Returns:
            The vehicle's arc length on the new path, m.
        """
        kept = [s for s in self.spans[vehicle] if s.end_m > along_m - _BEHIND_M]
        # Whole steps, so that the points of the new path are those of the old one.
        shift = max(int((along_m - _BEHIND_M) / SPACING_M), 0) * SPACING_M
        begin = max(shift - kept[0].leg_start_m, 0.0)
        offset = kept[0].leg_start_m + begin
        moved = [replace(d, start_m=d.start_m - offset) for d in self.deviations[vehicle]]
        self.deviations[vehicle] = [d for d in moved if d.end_m > 0.0]
        self._write(vehicle, self._extended(vehicle, _legs(kept), begin), begin)
        return along_m - offset

    def change_lane(self, vehicle: int, target: int, begin_m: float, over_m: float) -> bool:
        """Lead a path into a neighbouring lane, if its route can be kept.

        Args:
            vehicle: row.
            target: index of the neighbour.
            begin_m: arc length of the path where the change begins.
            over_m: its length.

        Returns:
            Whether the path was changed.
        """
        spans = self.spans[vehicle]
        here = next((s for s in spans if s.start_m <= begin_m < s.end_m), None)
        if here is None or here.leg.into is not None:
            return False
        legs = _legs(spans)
        index = len(_legs([s for s in spans if s.leg_start_m <= here.leg_start_m])) - 1
        followed = self._follow(target, legs[index + 1 :], here.end_m - begin_m)
        if followed is None:
            return False
        changed = [*legs[:index], Leg(here.lane, target, begin_m - here.start_m, over_m), *followed]
        offset = max(-spans[0].leg_start_m, 0.0)
        self._write(vehicle, self._extended(vehicle, changed, offset), offset)
        return True

    def _follow(self, lane: int, legs: list[Leg], ahead_m: float) -> list[Leg] | None:
        """Legs through the same roadblocks from another lane; None where the near part of the route would change."""
        lanes = self.network.lanes
        followed: list[Leg] = []
        for leg in legs:
            block = lanes[leg.lane].roadblock
            matching = [s for s in lanes[lane].successors if lanes[s].roadblock == block]
            if not matching:
                return followed if ahead_m > _ROUTE_KEPT_M else None
            lane = leg.lane if leg.lane in matching else matching[0]
            followed.append(Leg(lane))
            ahead_m += lanes[lane].length_m
        return followed

    def _extended(self, vehicle: int, legs: list[Leg], begin_m: float) -> list[Leg]:
        lanes = self.network.lanes
        keeps_right = self.habits.bias_m[vehicle] < 0.0
        length = sum(min(lanes[leg.lane].length_m, lanes[leg.exit_lane].length_m) for leg in legs)
        while length < begin_m + CAPACITY * SPACING_M + 1.0:
            choices = lanes[legs[-1].exit_lane].successors
            if keeps_right:
                # From the kerb a left turn would cut across everybody else in the lane.
                choices = tuple(c for c in choices if lanes[c].turn is not Turn.LEFT) or choices
                at_kerb = tuple(c for c in choices if all(lanes[s].right is None for s in lanes[c].successors))
                choices = at_kerb or choices
            legs.append(Leg(int(choices[int(self.rng.integers(0, len(choices)))])))
            length += lanes[legs[-1].lane].length_m
        return legs

    def _write(self, vehicle: int, legs: list[Leg], begin_m: float) -> None:
        path = path_along(self.network, legs, begin_m)
        self.points[vehicle] = path.points[:CAPACITY]
        self.curvature[vehicle] = path.curvature[:CAPACITY]
        self.spans[vehicle] = [s for s in path.spans if s.start_m < CAPACITY * SPACING_M]
        self._limit_mps[vehicle] = path.limit_mps[:CAPACITY]
        bias = float(self.habits.bias_m[vehicle])
        if bias:
            self.points[vehicle, :, :2] = offset_left(path.points[:CAPACITY, :2], path.points[:CAPACITY, 2], bias)
        else:
            for span in self.spans[vehicle]:
                if span.lane in self.detours:
                    detour = self.detours[span.lane]
                    self._bend(vehicle, replace(detour, start_m=detour.start_m + span.start_m))
        for deviation in self.deviations[vehicle]:
            self._bend(vehicle, deviation)
        self._set_speed(vehicle, self._limit_mps[vehicle])

    def deviate(self, vehicle: int, deviation: Deviation) -> None:
        """Put a bend into a path; it must begin ahead of the vehicle."""
        self.deviations[vehicle].append(deviation)
        self._bend(vehicle, deviation)
        self._set_speed(vehicle, self._limit_mps[vehicle])

    def _bend(self, vehicle: int, deviation: Deviation) -> None:
        points = self.points[vehicle]
        shift = deviation.offsets(SPACING_M * np.arange(CAPACITY, dtype=np.float64))
        xy = offset_left(points[:, :2], points[:, 2], shift)
        # Beside a bend the path is longer or shorter; the heading follows from the slope as driven.
        slope = np.gradient(shift, SPACING_M) / np.maximum(1.0 - shift * self.curvature[vehicle], 0.3)
        self.points[vehicle] = snap(np.column_stack((xy, points[:, 2] + np.arctan(slope))))
        touched = np.abs(shift) > 0.0
        self.curvature[vehicle] = np.where(touched, _curvature(self.points[vehicle, :, 2]), self.curvature[vehicle])

    def _set_speed(self, vehicle: int, limit_mps: FloatArray) -> None:
        bend = np.sqrt(self.habits.lateral_mps2[vehicle] / np.maximum(np.abs(self.curvature[vehicle]), 1e-3))
        allowed = np.minimum(limit_mps * self.habits.speed_factor[vehicle], bend) ** 2
        slope = 2.0 * self.habits.braking_mps2[vehicle] * SPACING_M * np.arange(CAPACITY)
        # v^2(s) = min over s' >= s of v^2(s') + 2 b (s' - s).
        reachable = np.minimum.accumulate((allowed + slope)[::-1])[::-1] - slope
        self.speed[vehicle] = snap(np.sqrt(np.maximum(reachable, 0.25)))

    def sample(self, table: FloatArray, along_m: FloatArray) -> FloatArray:
        """Linear interpolation of `points`, `curvature` or `speed` at each vehicle's arc length."""
        at = np.clip(along_m / SPACING_M, 0.0, CAPACITY - 1.001)
        index = at.astype(np.int64)
        fraction = at - index
        rows = np.arange(len(along_m))
        if table.ndim == 3:
            fraction = fraction[:, None]
        low, high = table[rows, index], table[rows, index + 1]
        value: FloatArray = low + fraction * (high - low)
        return value
