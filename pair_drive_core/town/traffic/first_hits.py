"""What stands first in the strips that vehicles will sweep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pair_drive_core.town.streets.curves import FloatArray, unit

LOOK_POINTS = 34
"""Points of a strip."""
LOOK_STEP_M = 1.5
"""Distance between them."""
_SIDE_MARGIN_M = 0.3
CIRCLES_A_VEHICLE = 3


@dataclass(frozen=True)
class FirstHits:
    """The first thing in the way of each vehicle that has one; H of V vehicles.

    Attributes:
        vehicle: (H,) int64, rows, ascending.
        point: (H,) int64, first point of the strip that comes too near to a circle.
        circle: (H,) int64, the circle whose edge is met first there.
        beyond_m: (H,), from that point along the strip to the circle's near edge.
    """

    vehicle: npt.NDArray[np.int64]
    point: npt.NDArray[np.int64]
    circle: npt.NDArray[np.int64]
    beyond_m: FloatArray


def first_hits(
    strip: FloatArray,
    width_m: FloatArray,
    centers: FloatArray,
    radius_m: FloatArray,
    unseen: tuple[npt.NDArray[np.bool_], int],
) -> FirstHits:
    """Search all strips at once.

    Args:
        strip: (V, LOOK_POINTS, 3), x, y, heading of the points ahead on each path.
        width_m: (V,), widths of the vehicles.
        centers: (C, 2), circles that cover everything; the first three of each vehicle are its own.
        radius_m: (C,).
        unseen: (V,) bool, vehicles that take no notice of the circles from the given one on.
    """
    offset = centers[None] - strip[:, LOOK_POINTS // 2, None, :2]
    reach = LOOK_POINTS * LOOK_STEP_M / 2.0 + 6.0
    near = (offset * offset).sum(-1) < reach * reach
    rows = np.arange(len(strip))
    for own in range(CIRCLES_A_VEHICLE):
        near[rows, CIRCLES_A_VEHICLE * rows + own] = False
    blind, first = unseen
    near[blind, first:] = False
    vehicle, circle = np.nonzero(near)
    dx = strip[vehicle, :, 0] - centers[circle, 0, None]
    dy = strip[vehicle, :, 1] - centers[circle, 1, None]
    clear = radius_m[circle] + width_m[vehicle] / 2.0 + _SIDE_MARGIN_M
    touching = dx * dx + dy * dy < (clear * clear)[:, None]
    met = touching.any(-1)
    vehicle, circle, point = vehicle[met], circle[met], touching[met].argmax(-1)
    ahead = unit(strip[vehicle, point, 2])
    beyond = ((centers[circle] - strip[vehicle, point, :2]) * ahead).sum(-1) - radius_m[circle]
    order = np.lexsort((circle, beyond, point, vehicle))
    _, leaders = np.unique(vehicle[order], return_index=True)
    chosen = order[leaders]
    return FirstHits(vehicle[chosen], point[chosen].astype(np.int64), circle[chosen], beyond[chosen])
