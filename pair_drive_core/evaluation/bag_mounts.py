"""Whether the mounts can be right: the ground that the LiDAR sees must lie where the ego frame has it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from pair_drive_core.driving.sensor_feed import SensorMounts
from pair_drive_core.scene import LidarSweep

_NEAR_M, _FAR_M = 3.0, 20.0
_BIN_M = 0.1
_SHARE = 0.3
_LEAST_POINTS = 50
_TOLERANCE_M = 0.5


def ground_height_m(sweep: LidarSweep) -> float:
    """Height of the lowest level that holds many points around the vehicle, m in the ego frame; NaN without one."""
    distance = np.hypot(sweep.points[:, 0], sweep.points[:, 1])
    near = sweep.points[(distance > _NEAR_M) & (distance < _FAR_M), 2]
    near = near[np.abs(near) < 10.0]
    if len(near) < _LEAST_POINTS:
        return math.nan
    counts, edges = np.histogram(near, bins=np.arange(-10.0, 10.0 + _BIN_M, _BIN_M))
    first = int(np.argmax(counts >= _SHARE * counts.max()))
    return float(edges[first]) + 0.5 * _BIN_M


def mount_findings(mounts: SensorMounts, grounds_m: Sequence[float]) -> list[str]:
    """What is wrong with the mounts, one line each, with the likely cause.

    Args:
        mounts: where the sensors are said to sit.
        grounds_m: height of the ground in some sweeps.
    """
    found = [
        f"mount.{name}: angles {list(values[3:])} are more than a turn: degrees? Expected rad"
        for name, values in vars(mounts).items()
        if any(abs(angle) > 2.0 * math.pi for angle in values[3:])
    ]
    known = [height for height in grounds_m if math.isfinite(height)]
    ground = float(np.median(known)) if known else 0.0
    if ground < -_TOLERANCE_M:
        found.append(
            f"the LiDAR's ground lies {-ground:.1f} m below that of the ego frame (rear axle, on the ground): "
            f"is mount.lidar = {list(mounts.lidar)} missing the LiDAR's height?"
        )
    return found
