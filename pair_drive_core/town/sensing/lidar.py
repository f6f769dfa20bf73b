"""Casts a spinning LiDAR's rays against the ground and the boxes of a town."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pair_drive_core.scene import LidarSweep
from pair_drive_core.town.sensing.world import REFLECTIVITY, World
from pair_drive_core.town.streets.curves import FloatArray

_GROUND_REFLECTIVITY = 0.12


@dataclass(frozen=True)
class LidarConfig:
    """A LiDAR on the roof.

    Attributes:
        rings: number of elevations.
        columns: number of azimuths of a turn.
        lowest_deg: lowest elevation.
        highest_deg: highest elevation.
        position: x, y, z in the ego frame, m.
        range_m: greatest range.
        noise_m: standard deviation of a range.
        drop_out: share of the returns that get lost.
    """

    rings: int = 32
    columns: int = 720
    lowest_deg: float = -24.0
    highest_deg: float = 6.0
    position: tuple[float, float, float] = (1.2, 0.0, 1.95)
    range_m: float = 75.0
    noise_m: float = 0.02
    drop_out: float = 0.05


def cast_lidar(
    world: World, rng: np.random.Generator, config: LidarConfig | None = None, time_us: int = 0
) -> LidarSweep:
    """One turn of the LiDAR.

    Args:
        world: boxes around the ego, ego frame.
        rng: source of noise and drop-out.
        config: the LiDAR.
        time_us: stamp.

    Returns:
        The returns in the ego frame (rear axle on the ground).
    """
    config = config or LidarConfig()
    elevation = np.deg2rad(np.linspace(config.lowest_deg, config.highest_deg, config.rings))
    ranges, reflectivity = cast_ranges(world, config)
    hit = np.isfinite(ranges) & (rng.random(ranges.shape, dtype=np.float32) >= config.drop_out)
    ring, column = np.nonzero(hit)
    distance = ranges[hit] + config.noise_m * rng.standard_normal(len(ring), dtype=np.float32)
    azimuth = _azimuths(config)[column]
    flat = distance * np.cos(elevation)[ring]
    points = np.empty((len(ring), 4), dtype=np.float32)
    points[:, 0] = config.position[0] + flat * np.cos(azimuth)
    points[:, 1] = config.position[1] + flat * np.sin(azimuth)
    points[:, 2] = config.position[2] + distance * np.sin(elevation)[ring]
    # Returned power falls with range; the sensor corrects for most of it.
    points[:, 3] = np.clip(reflectivity[hit] * (1.1 - 0.3 * distance / config.range_m), 0.0, 1.0)
    return LidarSweep(points, time_us)


def _azimuths(config: LidarConfig) -> FloatArray:
    return -np.pi + 2.0 * np.pi * (np.arange(config.columns) + 0.5) / config.columns


def cast_ranges(world: World, config: LidarConfig) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Noise-free ranges.

    Args:
        world: boxes around the ego, ego frame.
        config: the LiDAR.

    Returns:
        (rings, columns) range in m, infinite where nothing is hit, and (rings, columns) reflectivity.
    """
    elevation = np.deg2rad(np.linspace(config.lowest_deg, config.highest_deg, config.rings))
    tangent = np.tan(elevation).astype(np.float32)
    height = np.float32(config.position[2])
    with np.errstate(divide="ignore"):
        ground = np.where(tangent < 0.0, -height / tangent, np.inf).astype(np.float32)
    flat = np.repeat(ground[:, None], config.columns, axis=1)
    reflectivity = np.full(flat.shape, _GROUND_REFLECTIVITY, dtype=np.float32)
    met = _meetings(world, config)
    hits = _hits(world, met, tangent, height)
    cell = hits.ring * config.columns + met.column[hits.meeting]
    np.minimum.at(flat.reshape(-1), cell, hits.distance_m)
    nearest = hits.distance_m <= flat.reshape(-1)[cell]
    surface = REFLECTIVITY[world.shape[met.box[hits.meeting[nearest]]]].astype(np.float32)
    reflectivity.reshape(-1)[cell[nearest]] = surface
    ranges = flat / np.cos(elevation).astype(np.float32)[:, None]
    return np.where(ranges <= config.range_m, ranges, np.inf).astype(np.float32), reflectivity


@dataclass(frozen=True)
class _Meetings:
    """Columns of rays that pass over or through a box's footprint, one entry a column and box.

    Attributes:
        box: (M,) int64.
        column: (M,) int64.
        entry_m: (M,), distance along the ground where the column enters the footprint.
        leave_m: (M,), where it leaves it.
    """

    box: npt.NDArray[np.int64]
    column: npt.NDArray[np.int64]
    entry_m: FloatArray
    leave_m: FloatArray


@dataclass(frozen=True)
class _Hits:
    """Rays that hit a box, one entry a ring and meeting.

    Attributes:
        meeting: (H,) int64, row of `_Meetings`.
        ring: (H,) int64.
        distance_m: (H,) float32, along the ground.
    """

    meeting: npt.NDArray[np.int64]
    ring: npt.NDArray[np.int64]
    distance_m: npt.NDArray[np.float32]


def _spread(counts: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For `counts[i]` items of each group i: the group of every item, and its number within the group."""
    group = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts)
    return group, number


def _meetings(world: World, config: LidarConfig) -> _Meetings:
    """Intersect the footprints of all boxes with all columns that may meet them (slab test)."""
    offset = world.pose[:, :2] - np.array(config.position[:2])
    distance = np.hypot(offset[:, 0], offset[:, 1])
    radius = 0.5 * np.hypot(world.size[:, 0], world.size[:, 1])
    bearing = np.arctan2(offset[:, 1], offset[:, 0])
    reach = np.where(distance > radius, np.arcsin(np.minimum(radius / np.maximum(distance, 1e-6), 1.0)), np.pi)
    step = 2.0 * np.pi / config.columns
    first = np.floor((bearing - reach + np.pi) / step).astype(np.int64)
    last = np.ceil((bearing + reach + np.pi) / step).astype(np.int64)
    near = np.nonzero(distance - radius < config.range_m)[0]
    group, number = _spread(np.minimum(last[near] - first[near] + 1, config.columns))
    box = near[group]
    column = (first[box] + number) % config.columns
    azimuth = _azimuths(config)
    c, s = np.cos(world.pose[:, 2]), np.sin(world.pose[:, 2])
    cos, sin = np.cos(azimuth)[column], np.sin(azimuth)[column]
    along, across = c[box] * cos + s[box] * sin, c[box] * sin - s[box] * cos
    along = np.where(np.abs(along) < 1e-9, 1e-9, along)
    across = np.where(np.abs(across) < 1e-9, 1e-9, across)
    x = (c * offset[:, 0] + s * offset[:, 1])[box]
    y = (c * offset[:, 1] - s * offset[:, 0])[box]
    half_x, half_y = world.size[box, 0] / 2.0, world.size[box, 1] / 2.0
    near_x, far_x = (x - half_x) / along, (x + half_x) / along
    near_y, far_y = (y - half_y) / across, (y + half_y) / across
    entry = np.maximum(np.maximum(np.minimum(near_x, far_x), np.minimum(near_y, far_y)), 1e-3)
    leave = np.minimum(np.maximum(near_x, far_x), np.maximum(near_y, far_y))
    met = entry < leave
    return _Meetings(box[met], column[met], entry[met], leave[met])


def _hits(world: World, met: _Meetings, tangent: npt.NDArray[np.float32], height: np.float32) -> _Hits:
    """Find the rings that hit each box in each column: those whose slope lies between its lower and its upper edge."""
    bottom = world.base_m[met.box] - height
    top = bottom + world.size[met.box, 2]
    slopes = tangent.astype(np.float64)
    lowest = bottom / np.where(bottom < 0.0, met.entry_m, met.leave_m)
    highest = top / np.where(top > 0.0, met.entry_m, met.leave_m)
    first = np.searchsorted(slopes, lowest, side="left")
    last = np.searchsorted(slopes, highest, side="right")
    meeting, number = _spread(np.maximum(last - first, 0))
    ring = first[meeting] + number
    slope = slopes[ring]
    entry = met.entry_m[meeting]
    at_entry = slope * entry
    with np.errstate(divide="ignore", invalid="ignore"):
        on_top, on_bottom = top[meeting] / slope, bottom[meeting] / slope
    distance = np.where(at_entry > top[meeting], on_top, np.where(at_entry < bottom[meeting], on_bottom, entry))
    return _Hits(meeting, ring, distance.astype(np.float32))
