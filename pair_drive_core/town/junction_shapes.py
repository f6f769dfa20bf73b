"""Outlines of junctions and what lies in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapely.geometry import Polygon as ShapelyPolygon
from shapely.ops import unary_union

from pair_drive_core.town.curves import FloatArray, snap, unit

CROSSWALK_GAP_M = 1.2
"""From the stop line to the crosswalk."""
CROSSWALK_WIDTH_M = 3.2


@dataclass(frozen=True)
class Arm:
    """Where a road meets a junction.

    Attributes:
        point: (2,), where the road's reference line ends, m.
        heading: direction away from the junction, rad.
        incoming: lanes towards the junction, from the middle outwards.
        outgoing: lanes away from it, from the middle outwards.
    """

    point: FloatArray
    heading: float
    incoming: tuple[int, ...]
    outgoing: tuple[int, ...]

    def edges(self, lane_width_m: float) -> tuple[FloatArray, FloatArray]:
        """Right and left road edge at the stop line, seen away from the junction, m."""
        normal = unit(self.heading + np.pi / 2.0)
        return (
            self.point - normal * len(self.outgoing) * lane_width_m,
            self.point + normal * len(self.incoming) * lane_width_m,
        )


def junction_ring(arms: list[Arm], lane_width_m: float) -> FloatArray:
    """Outline of a junction: straight across each arm, a kerb curve from arm to arm.

    Args:
        arms: its arms, in any order.
        lane_width_m: width of every lane.

    Returns:
        (V, 2), open ring, counter-clockwise, m.
    """
    ordered = sorted(arms, key=lambda arm: arm.heading % (2.0 * np.pi))
    pieces: list[FloatArray] = []
    for i, arm in enumerate(ordered):
        right, left = arm.edges(lane_width_m)
        following = ordered[(i + 1) % len(ordered)]
        next_right, _ = following.edges(lane_width_m)
        pieces.append(np.stack((right, left)))
        pieces.append(_kerb(left, arm.heading, next_right, following.heading))
    return snap(np.concatenate(pieces))


def _kerb(start: FloatArray, start_heading: float, end: FloatArray, end_heading: float) -> FloatArray:
    """Inner points of the kerb between two arms: a curve round the corner where their edges meet."""
    inward, other = -unit(start_heading), -unit(end_heading)
    matrix = np.column_stack((inward, -other))
    if abs(np.linalg.det(matrix)) < 0.3:
        return np.zeros((0, 2))
    along = np.linalg.solve(matrix, end - start)
    if along.min() <= 0.5:
        return np.zeros((0, 2))
    corner = start + along[0] * inward
    t = np.linspace(0.0, 1.0, 9)[1:-1, None]
    curve: FloatArray = (1 - t) ** 2 * start + 2 * (1 - t) * t * corner + t**2 * end
    return curve


def crosswalk_ring(arm: Arm, lane_width_m: float) -> FloatArray:
    """(4, 2): the crosswalk over an arm, inside the junction, m."""
    right, left = arm.edges(lane_width_m)
    inward = -unit(arm.heading)
    near, far = CROSSWALK_GAP_M * inward, (CROSSWALK_GAP_M + CROSSWALK_WIDTH_M) * inward
    return snap(np.stack((right + near, left + near, left + far, right + far)))


def roadblock_connector_ring(rings: list[FloatArray]) -> FloatArray:
    """(V, 2): outline of the union of connectors; of their hull where they lie apart."""
    union = unary_union([ShapelyPolygon(r).buffer(0.05) for r in rings])
    outline = union if union.geom_type == "Polygon" else union.convex_hull
    return snap(np.asarray(outline.exterior.coords)[:-1])
