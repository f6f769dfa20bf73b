"""Casts a spinning LiDAR's rays against the ground and the boxes of a town."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pair_drive_core.scene import LidarSweep
from pair_drive_core.town.curves import FloatArray
from pair_drive_core.town.world import REFLECTIVITY, World

_GROUND_REFLECTIVITY = 0.12
_RASTER_LOWEST_M = 0.2


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
    azimuth = _azimuths(config)
    cos, sin = np.cos(azimuth), np.sin(azimuth)
    offset = world.pose[:, :2] - np.array(config.position[:2])
    distance = np.hypot(offset[:, 0], offset[:, 1])
    radius = 0.5 * np.hypot(world.size[:, 0], world.size[:, 1])
    bearing = np.arctan2(offset[:, 1], offset[:, 0])
    reach = np.where(distance > radius, np.arcsin(np.minimum(radius / np.maximum(distance, 1e-6), 1.0)), np.pi)
    step = 2.0 * np.pi / config.columns
    first = np.floor((bearing - reach + np.pi) / step).astype(np.int64)
    last = np.ceil((bearing + reach + np.pi) / step).astype(np.int64)
    for i in np.nonzero(distance - radius < config.range_m)[0]:
        count = min(int(last[i] - first[i]) + 1, config.columns)
        columns = np.arange(first[i], first[i] + count) % config.columns
        entry, leave = _slab(offset[i], world.pose[i, 2], world.size[i], cos[columns], sin[columns])
        _hit_box(
            flat, reflectivity, columns, entry, leave, tangent,
            world.base_m[i] - height, world.base_m[i] + world.size[i, 2] - height, REFLECTIVITY[world.shape[i]],
        )  # fmt: skip
    ranges = flat / np.cos(elevation).astype(np.float32)[:, None]
    return np.where(ranges <= config.range_m, ranges, np.inf).astype(np.float32), reflectivity


def _slab(
    offset: FloatArray, heading: float, size: FloatArray, cos: FloatArray, sin: FloatArray
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Where rays along the ground enter and leave a rectangle; entry > leave where they miss."""
    c, s = np.cos(heading), np.sin(heading)
    along, across = c * cos + s * sin, c * sin - s * cos
    along = np.where(np.abs(along) < 1e-9, 1e-9, along)
    across = np.where(np.abs(across) < 1e-9, 1e-9, across)
    x, y = c * offset[0] + s * offset[1], c * offset[1] - s * offset[0]
    near_x, far_x = (x - size[0] / 2.0) / along, (x + size[0] / 2.0) / along
    near_y, far_y = (y - size[1] / 2.0) / across, (y + size[1] / 2.0) / across
    entry = np.maximum(np.minimum(near_x, far_x), np.minimum(near_y, far_y))
    leave = np.minimum(np.maximum(near_x, far_x), np.maximum(near_y, far_y))
    return np.maximum(entry, 0.0).astype(np.float32), leave.astype(np.float32)


def _hit_box(
    flat: npt.NDArray[np.float32],
    reflectivity: npt.NDArray[np.float32],
    columns: npt.NDArray[np.int64],
    entry: npt.NDArray[np.float32],
    leave: npt.NDArray[np.float32],
    tangent: npt.NDArray[np.float32],
    bottom: float,
    top: float,
    surface: float,
) -> None:
    """Shorten the rays that meet an upright box; in place.

    Args:
        flat: (rings, columns), distance along the ground so far, m.
        reflectivity: (rings, columns).
        columns: (n,), the columns that may meet the box.
        entry: (n,), distance along the ground where each enters its footprint.
        leave: (n,), where it leaves it.
        tangent: (rings,), slope of each ring.
        bottom: height of the box's bottom over the sensor, m.
        top: height of its top over the sensor, m.
        surface: its reflectivity.
    """
    met = (entry < leave) & (leave > 0.0)
    if not met.any():
        return
    columns, entry, leave = columns[met], entry[met], leave[met]
    slope = tangent[:, None]
    at_entry = slope * entry
    inside = (at_entry >= bottom) & (at_entry <= top)
    with np.errstate(divide="ignore", invalid="ignore"):
        to_top = np.where(slope < 0.0, top / slope, np.inf)
        to_bottom = np.where(slope > 0.0, bottom / slope, np.inf)
    cover = np.where(at_entry > top, to_top, to_bottom)
    through = ~inside & (cover > entry) & (cover <= leave)
    where = np.where(inside, entry, np.where(through, cover, np.inf)).astype(np.float32)
    before = flat[:, columns]
    nearer = where < before
    flat[:, columns] = np.where(nearer, where, before)
    reflectivity[:, columns] = np.where(nearer, np.float32(surface), reflectivity[:, columns])


def lidar_raster(points: npt.NDArray[np.float32], side_px: int, reach_m: float) -> npt.NDArray[np.float32]:
    """TransFuser's histogram of the points above the ground (METHOD section 6).

    Args:
        points: (P, 4), x, y, z, intensity; ego frame.
        side_px: side of the raster.
        reach_m: half the side of the area, m.

    Returns:
        (side, side) float32 in [0, 1]: row by x from the rear to the front, column by y from right to left; five
        points or more in a cell are 1.
    """
    inside = (points[:, 2] > _RASTER_LOWEST_M) & (np.abs(points[:, :2]) < reach_m).all(-1)
    cells = ((points[inside, :2] + reach_m) * (side_px / (2.0 * reach_m))).astype(np.int64)
    cells = np.minimum(cells, side_px - 1)
    counts = np.bincount(cells[:, 0] * side_px + cells[:, 1], minlength=side_px * side_px)
    raster: npt.NDArray[np.float32] = (np.minimum(counts, 5) / np.float32(5.0)).astype(np.float32)
    return raster.reshape(side_px, side_px)
