"""Outlines of junctions and what lies in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapely.geometry import LineString, Point
from shapely.geometry import Polygon as ShapelyPolygon
from shapely.ops import unary_union

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.town.streets.curves import FloatArray, blend, snap, unit
from pair_drive_core.town.streets.layout import half_road_m

CROSSWALK_GAP_M = 1.2
"""From the stop line to the crosswalk."""
ROUNDABOUT_RADIUS_M = 14.0
"""Centre line of a roundabout's lane."""
ISLAND_RADIUS_M = 10.2
_ROUNDABOUT_EDGE_M = 17.8
_JOIN_ANGLE = np.deg2rad(42.0)
"""From an arm to where its lane meets the circle."""
_FLARE_M = 5.0
"""How much wider the mouth of an arm is on each side where it meets the circle."""
_SLIT_M = 0.02
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

    def edges(self) -> tuple[FloatArray, FloatArray]:
        """Right and left road edge at the stop line, seen away from the junction, m."""
        normal = unit(self.heading + np.pi / 2.0)
        return (
            self.point - normal * half_road_m(len(self.outgoing)),
            self.point + normal * half_road_m(len(self.incoming)),
        )


def junction_ring(arms: list[Arm]) -> FloatArray:
    """Outline of a junction: straight across each arm, a kerb curve from arm to arm.

    Args:
        arms: its arms, in any order.

    Returns:
        (V, 2), open ring, counter-clockwise, m.
    """
    ordered = sorted(arms, key=lambda arm: arm.heading % (2.0 * np.pi))
    pieces: list[FloatArray] = []
    for i, arm in enumerate(ordered):
        right, left = arm.edges()
        following = ordered[(i + 1) % len(ordered)]
        next_right, _ = following.edges()
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


def crosswalk_ring(arm: Arm) -> FloatArray:
    """(4, 2): the crosswalk over an arm, inside the junction, m."""
    right, left = arm.edges()
    inward = -unit(arm.heading)
    near, far = CROSSWALK_GAP_M * inward, (CROSSWALK_GAP_M + CROSSWALK_WIDTH_M) * inward
    return snap(np.stack((right + near, left + near, left + far, right + far)))


def roadblock_connector_ring(rings: list[FloatArray]) -> FloatArray:
    """(V, 2): outline of the union of connectors; of their hull where they lie apart."""
    union = unary_union([ShapelyPolygon(r).buffer(0.05) for r in rings])
    outline = union if union.geom_type == "Polygon" else union.convex_hull
    return snap(np.asarray(outline.exterior.coords)[:-1])


def roundabout_ring(arms: list[Arm], center: FloatArray) -> FloatArray:
    """Outline of a roundabout; a slit of 2 cm joins the island to the outside, as a ring can have no hole.

    Args:
        arms: its arms.
        center: (2,), m.

    Returns:
        (V, 2), open ring, m.
    """
    parts = [Point(*center).buffer(_ROUNDABOUT_EDGE_M, quad_segs=12)]
    for arm in arms:
        right, left = arm.edges()
        inward = -unit(arm.heading) * (np.hypot(*(arm.point - center)) - ROUNDABOUT_RADIUS_M)
        flare = unit(arm.heading + np.pi / 2.0) * _FLARE_M
        parts.append(ShapelyPolygon([right, left, left + inward + flare, right + inward - flare]))
    outline = unary_union(parts).buffer(4.0, quad_segs=4).buffer(-4.0, quad_segs=4)
    headings = np.sort([arm.heading % (2.0 * np.pi) for arm in arms])
    widest = int(np.argmax(np.diff(np.append(headings, headings[0] + 2.0 * np.pi))))
    after = np.append(headings, headings[0] + 2.0 * np.pi)[widest + 1]
    toward = center + 2.0 * _ROUNDABOUT_EDGE_M * unit(0.5 * (headings[widest] + after))
    slit = LineString([center, toward]).buffer(_SLIT_M / 2.0, cap_style="flat")
    # The arms' straight ends stay exactly where the roads begin: rounding corners must not move them.
    body = unary_union([outline, *parts[1:]]).difference(Point(*center).buffer(ISLAND_RADIUS_M, quad_segs=12))
    return snap(np.asarray(body.difference(slit).exterior.coords)[:-1])


def roundabout_curve(start: FloatArray, end: FloatArray, center: FloatArray, arms: tuple[float, float]) -> FloatArray:
    """The way through a roundabout, counter-clockwise.

    Args:
        start: (3,), pose at the end of the incoming lane.
        end: (3,), pose at the beginning of the outgoing lane.
        center: (2,), m.
        arms: heading of the arm that it comes from and of the arm that it leaves by, rad.

    Returns:
        (P, 2), m.
    """
    begin = arms[0] + _JOIN_ANGLE
    turn = float((arms[1] - arms[0]) % (2.0 * np.pi)) - 2.0 * _JOIN_ANGLE
    angles = begin + np.linspace(0.0, max(turn, 0.0), max(int(turn * ROUNDABOUT_RADIUS_M), 2))
    circle = center + ROUNDABOUT_RADIUS_M * unit(angles)
    enter = np.append(circle[0], wrap_angle(angles[0] + np.pi / 2.0))
    leave = np.append(circle[-1], wrap_angle(angles[-1] + np.pi / 2.0))
    return np.concatenate((blend(start, enter, 1.0)[:-1], circle, blend(leave, end, 1.0)[1:]))
