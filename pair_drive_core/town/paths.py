"""The path that each vehicle follows: a polyline along its lanes with the speed it may have at every point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from pair_drive_core.town.curves import FloatArray, arc_lengths, offset_left, snap
from pair_drive_core.town.network import RoadNetwork

SPACING_M = 0.5
CAPACITY = 1000
"""Points of a path."""
_MARGIN_M = 130.0
"""A path is extended when less than this is left of it."""
_BEHIND_M = 60.0
"""How much of the driven path is kept."""
_SMOOTHING_POINTS = 9


@dataclass(frozen=True)
class LaneSpan:
    """A lane on a path.

    Attributes:
        lane: lane index.
        start_m: arc length of the path where the lane begins.
        end_m: where it ends.
    """

    lane: int
    start_m: float
    end_m: float


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


def path_along(network: RoadNetwork, lanes: list[int], start_m: float) -> Path:
    """A path along the centre lines of connected lanes.

    Args:
        network: the map.
        lanes: connected lane indices.
        start_m: where on the first lane the path begins.
    """
    lines = [network.lanes[i].centerline for i in lanes]
    joined = np.concatenate([lines[0], *(line[1:] for line in lines[1:])])
    arc = arc_lengths(joined)
    ends = np.cumsum([len(line) - 1 for line in lines])
    bounds = np.concatenate(([0.0], arc[ends])) - start_m
    heading = np.unwrap(joined[:, 2])
    count = int((arc[-1] - start_m) / SPACING_M) + 1
    at = start_m + SPACING_M * np.arange(count)
    points = snap(np.column_stack([np.interp(at, arc, column) for column in (joined[:, 0], joined[:, 1], heading)]))
    limits = np.array([network.lanes[i].speed_limit_mps for i in lanes])
    of_point = np.clip(np.searchsorted(bounds[1:], at - start_m, side="right"), 0, len(lanes) - 1)
    spans = [LaneSpan(lane, float(a), float(b)) for lane, a, b in zip(lanes, bounds[:-1], bounds[1:], strict=True)]
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
        self._write(vehicle, self._extended([lane], along_m), along_m)

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
        begin = max(shift - kept[0].start_m, 0.0)
        offset = kept[0].start_m + begin
        moved = [replace(d, start_m=d.start_m - offset) for d in self.deviations[vehicle]]
        self.deviations[vehicle] = [d for d in moved if d.end_m > 0.0]
        self._write(vehicle, self._extended([s.lane for s in kept], begin), begin)
        return along_m - offset

    def _extended(self, lanes: list[int], begin_m: float) -> list[int]:
        length = sum(self.network.lanes[i].length_m for i in lanes)
        while length < begin_m + CAPACITY * SPACING_M + 1.0:
            choices = self.network.lanes[lanes[-1]].successors
            lanes.append(int(choices[int(self.rng.integers(0, len(choices)))]))
            length += self.network.lanes[lanes[-1]].length_m
        return lanes

    def _write(self, vehicle: int, lanes: list[int], begin_m: float) -> None:
        path = path_along(self.network, lanes, begin_m)
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
