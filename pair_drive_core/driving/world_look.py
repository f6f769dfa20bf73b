"""A look at the world that asks no network: LiDAR points above the ground in the way of a plan."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pair_drive_core.geometry import Polyline
from pair_drive_core.scene import PACIFICA
from pair_drive_core.scene.sensors import FloatArray

PointArray = npt.NDArray[np.float32]

_CELL_M = 1.0
_REACH_M = 80.0
_NEIGHBOURHOOD_M = 4.0
_SPACING_M = 0.25
_WATCHED_S, _LEAST_WATCHED_S = 0.8, 0.15
_GREATEST_SPEED_MPS = 20.0
_STANDING_M = 0.05


@dataclass(frozen=True)
class LookLimits:
    """What counts as being in the way, and how early the ego brakes for it.

    Attributes:
        enabled: whether the guard looks at all.
        least_height_m: points lower than this above the ground are ground; curbs are no obstacles.
        greatest_height_m: points higher than this above the ground are passed below.
        side_margin_m: added to either side of the vehicle.
        least_points: fewer points within a metre of way are noise.
        ground_slope: greatest slope of the ground, m/m.
        braking_mps2: deceleration that must suffice to stop before what is in the way.
        reaction_s: how far ahead in time the plan must leave that possible: until a later plan takes its place.
        other_braking_mps2: deceleration that something moving ahead may have at most.
        gap_m: left between the vehicle's front and what is in the way.
    """

    enabled: bool = True
    least_height_m: float = 0.35
    greatest_height_m: float = 2.2
    side_margin_m: float = 0.15
    least_points: int = 3
    ground_slope: float = 0.15
    braking_mps2: float = 5.0
    reaction_s: float = 1.0
    gap_m: float = 1.5
    other_braking_mps2: float = 6.0

    def problems(self) -> list[str]:
        """What is wrong with the values, one line each."""
        named = {field.name: float(getattr(self, field.name)) for field in fields(self) if field.name != "enabled"}
        found = [f"{name}: expected a positive number, got {value}" for name, value in named.items() if not value > 0]
        if self.least_height_m >= self.greatest_height_m:
            found.append(f"least_height_m: expected below greatest_height_m, got {self.least_height_m}")
        return found


@dataclass(frozen=True)
class Contact:
    """The first thing in the way.

    Attributes:
        distance_m: way of the rear axle along the path until the vehicle's front touches it.
        position: (2,) where the rear axle is then, in the frame of the path; m.
    """

    distance_m: float
    position: FloatArray


def first_contact(path: Polyline, points: PointArray, limits: LookLimits) -> Contact | None:
    """The first thing that the vehicle's footprint would touch on its way along a path.

    Args:
        path: of the rear axle, from the ego on; ego frame at t0; m.
        points: (P, 4) float32 in the ego frame at t0 (origin: rear axle on the ground); m.
        limits: what counts.

    Returns:
        None if nothing is in the way as far as the points reach.
    """
    ahead = np.sort(_way_of_points_above_ground(path, points, limits))
    few = limits.least_points
    if ahead.size < few:
        return None
    close = ahead[few - 1 :] - ahead[: ahead.size - few + 1] <= _CELL_M
    if not close.any():
        return None
    distance_m = max(float(ahead[int(close.argmax())]) - PACIFICA.front_length_m, 0.0)
    position = path.interpolate(torch.tensor([distance_m], dtype=torch.float64))[0, :2].numpy()
    return Contact(distance_m, position)


def _way_of_points_above_ground(path: Polyline, points: PointArray, limits: LookLimits) -> FloatArray:
    """(N,) way along the path of those points that are within the vehicle's width and height; m."""
    ways = np.arange(0.0, min(path.length_m, _REACH_M), _SPACING_M)
    if ways.size < 2:
        return np.zeros(0)
    line = path.interpolate(torch.from_numpy(ways)).numpy()
    # Most points are nowhere near the path: what can be told without looking for the nearest place on it is told first.
    (x_least, y_least), (x_most, y_most) = line[:, :2].min(0) - _NEIGHBOURHOOD_M, line[:, :2].max(0) + _NEIGHBOURHOOD_M
    y = points[:, 1]
    points = points[(y > max(y_least, -_REACH_M)) & (y < min(y_most, _REACH_M))]
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    ahead = (x > max(x_least, 0.0)) & (x < min(x_most, _REACH_M))
    inside = (x < PACIFICA.front_length_m) & (np.abs(y) < 0.5 * PACIFICA.width_m)
    near = points[ahead & ~inside & (z > -_REACH_M * limits.ground_slope)].astype(np.float64)
    if near.shape[0] == 0:
        return np.zeros(0)
    offset, index = cKDTree(line[:, :2]).query(near[:, :2], distance_upper_bound=_NEIGHBOURHOOD_M)
    close = np.isfinite(offset)
    near, index = near[close], index[close]
    heading = line[index, 2]
    off = near[:, :2] - line[index, :2]
    along = ways[index] + off[:, 0] * np.cos(heading) + off[:, 1] * np.sin(heading)
    aside = -off[:, 0] * np.sin(heading) + off[:, 1] * np.cos(heading)
    height = near[:, 2] - _ground(along, near[:, 2], limits.ground_slope)
    in_the_way = (
        (np.abs(aside) < 0.5 * PACIFICA.width_m + limits.side_margin_m)
        & (height > limits.least_height_m)
        & (height < limits.greatest_height_m)
        & (along > PACIFICA.front_length_m)
    )
    return np.asarray(along[in_the_way])


def _ground(along: FloatArray, height: FloatArray, slope: float) -> FloatArray:
    """(N,) height of the ground below points: the lowest of each metre of way, rising no more than the ground can."""
    cell = np.clip(along / _CELL_M, 0, _REACH_M).astype(np.int64)
    lowest = np.full(int(_REACH_M / _CELL_M) + 1, np.inf)
    np.minimum.at(lowest, cell, height)
    ground, level, rise = [], 0.0, slope * _CELL_M
    for low in lowest.tolist():
        if math.isfinite(low):
            level = min(max(low, level - rise), level + rise)
        ground.append(level)
    return np.array(ground)[cell]


class ContactSpeed:
    """How fast what is in the way moves along it; nothing is taken for moving that has not been seen to move."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, FloatArray]] = deque()

    def reset(self) -> None:
        """Forget what was seen."""
        self._seen.clear()

    def update(self, time_s: float, position: FloatArray | None, heading: float) -> float:
        """Speed of the contact, m/s, at least 0.

        Args:
            time_s: of the sweep.
            position: (2,) of the contact in a frame that stands still; None if nothing is in the way.
            heading: direction of the way in that frame, rad.
        """
        if position is None:
            self.reset()
            return 0.0
        self._seen.append((time_s, position))
        while time_s - self._seen[0][0] > _WATCHED_S:
            self._seen.popleft()
        if time_s - self._seen[0][0] < _LEAST_WATCHED_S:
            return 0.0
        along = np.array([float(p[0] * np.cos(heading) + p[1] * np.sin(heading)) for _, p in self._seen])
        stamps = np.array([stamp for stamp, _ in self._seen])
        whole = (along[-1] - along[0]) / (stamps[-1] - stamps[0])
        newest = (along[-1] - along[-2]) / max(stamps[-1] - stamps[-2], 1e-3)
        return float(np.clip(min(whole, newest), 0.0, _GREATEST_SPEED_MPS))


def must_brake(progress_m: Tensor, interval_s: float, free_m: float, limits: LookLimits) -> bool:
    """Whether a plan, followed until another can take its place, leaves too little room to stop.

    Args:
        progress_m: (T,) way along the path after each interval.
        interval_s: time between them.
        free_m: way until the contact, with what the thing there will still move.
        limits: deceleration, reaction and gap.
    """
    way = torch.cat((progress_m.new_zeros(1), progress_m))
    speed = way.diff() / interval_s
    steps = max(1, round(limits.reaction_s / interval_s))
    # The speed at the end of a step is nearer to that of the next step than to its own mean.
    fastest = torch.maximum(speed[:-1], speed[1:])[:steps]
    needed = way[1 : steps + 1] + fastest * fastest / (2.0 * limits.braking_mps2) + limits.gap_m
    return bool((needed > free_m).any() and progress_m[-1] > _STANDING_M)
