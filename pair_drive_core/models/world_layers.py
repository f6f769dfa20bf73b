"""The layers that the reward model imagines: what the metric asks about, as maps around the ego.

Rows run along x from the rear to the front, columns along y from right to left, as in the LiDAR raster
(`FeatureConfig`: the same reach, the same middle).
"""

from __future__ import annotations

from enum import IntEnum

OCCUPANCY_TIMES = 9
"""Occupancy is imagined at t = 0, 0.5 .. 4 s."""
OCCUPANCY_INTERVAL_S = 0.5


class WorldLayer(IntEnum):
    """Channels. Up to `OCCUPIED_LAST` they are probabilities, the others are numbers."""

    DRIVABLE = 0
    ON_ROUTE = 1
    INTERSECTION = 2
    RED_NOW = 3
    RED_2S = 4
    RED_4S = 5
    STATIC = 6
    OCCUPIED = 7
    """By an agent at t0; the eight channels behind it half a second later each."""
    OCCUPIED_LAST = 15
    EDGE = 16
    """Distance to the edge of the drivable area, positive inside, in `EDGE_SCALE_M`."""
    LATERAL = 17
    """Distance to the left of the route's centre line, in `LATERAL_SCALE_M`."""
    LINE_COS = 18
    """Direction of the centre line in the ego frame."""
    LINE_SIN = 19
    PROGRESS = 20
    """Way along the centre line from beside the ego's centre at t0, in `PROGRESS_SCALE_M`."""


BINARY_LAYERS = int(WorldLayer.OCCUPIED_LAST) + 1
LAYERS = int(WorldLayer.PROGRESS) + 1
EDGE_SCALE_M = 2.0
LATERAL_SCALE_M = 4.0
PROGRESS_SCALE_M = 20.0
