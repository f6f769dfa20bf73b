"""The road network of a town: lanes, connectors, junctions, with their geometry and right of way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from pair_drive_core.town.streets.curves import FloatArray
from pair_drive_core.town.streets.layout import JunctionKind


class Turn(IntEnum):
    """What a connector does."""

    LEFT = 0
    STRAIGHT = 1
    RIGHT = 2
    UTURN = 3


@dataclass(frozen=True)
class Lane:
    """A lane or a lane connector.

    Attributes:
        token: map id.
        roadblock: id of its roadblock or roadblock connector.
        centerline: (P, 3), x, y, heading in the direction of travel; m, rad; about 1 m apart.
        ring: (V, 2), its polygon, open ring, m.
        width_m: its width.
        speed_limit_mps: its speed limit.
        successors: indices of the lanes that follow it.
        predecessors: indices of the lanes that lead into it.
        left: index of the neighbouring lane of the same direction on the left; None where there is none.
        right: likewise on the right.
        junction: index of the junction that a connector crosses; None for a lane.
        arm: the arm of that junction that a connector comes from.
        turn: what a connector does; STRAIGHT for a lane.
        rank: priority of a connector, lower goes first among those that may go.
        road: index of the road that a lane belongs to; None for a connector.
    """

    token: str
    roadblock: str
    centerline: FloatArray
    ring: FloatArray
    width_m: float
    speed_limit_mps: float
    successors: tuple[int, ...]
    predecessors: tuple[int, ...]
    left: int | None
    right: int | None
    junction: int | None
    arm: int
    turn: Turn
    rank: int
    road: int | None

    @property
    def is_connector(self) -> bool:
        """Whether it crosses a junction."""
        return self.junction is not None

    @property
    def length_m(self) -> float:
        """Length of the centre line."""
        return float(np.hypot(*np.diff(self.centerline[:, :2], axis=0).T).sum())


@dataclass(frozen=True)
class Polygon:
    """An area of the map.

    Attributes:
        token: map id.
        ring: (V, 2), open ring, m.
    """

    token: str
    ring: FloatArray


@dataclass(frozen=True)
class BuiltJunction:
    """A junction with its geometry.

    Attributes:
        center: (2,), m.
        kind: how right of way is settled.
        area: its polygon.
        setback_m: distance from the centre to the stop lines.
        arm_headings: heading of each arm, seen from the centre, rad.
        crosswalks: polygon of the crosswalk by arm.
        connectors: lane indices of its connectors.
    """

    center: FloatArray
    kind: JunctionKind
    area: Polygon
    setback_m: float
    arm_headings: dict[int, float]
    crosswalks: dict[int, Polygon]
    connectors: tuple[int, ...]


@dataclass(frozen=True)
class Road:
    """A stretch between two junctions.

    Attributes:
        reference: (P, 3), x, y, heading of the line between the directions; m, rad.
        lanes_forward: lane indices along the reference, from the middle outwards.
        lanes_backward: lane indices against it, from the middle outwards.
        parking: (left, right) whether cars park beside the outermost lane, seen along the reference.
    """

    reference: FloatArray
    lanes_forward: tuple[int, ...]
    lanes_backward: tuple[int, ...]
    parking: tuple[bool, bool]


@dataclass(frozen=True)
class RoadNetwork:
    """All that a town's map holds.

    Attributes:
        lanes: lanes and connectors.
        roads: stretches between junctions.
        junctions: their areas and crosswalks.
        roadblocks: polygons of the same-direction lane groups, and of the roadblock connectors.
        roadblock_is_connector: by roadblock token.
        carparks: parking strips.
        walkways: pavements.
        conflicts: by connector and by other connector of its junction whose path crosses or joins its own: where the
            stretch begins and ends on the first of them, m.
    """

    lanes: tuple[Lane, ...]
    roads: tuple[Road, ...]
    junctions: tuple[BuiltJunction, ...]
    roadblocks: tuple[Polygon, ...]
    roadblock_is_connector: tuple[bool, ...]
    carparks: tuple[Polygon, ...]
    walkways: tuple[Polygon, ...]
    conflicts: dict[int, dict[int, tuple[float, float]]]

    def lanes_of_roadblock(self, roadblock: str) -> tuple[int, ...]:
        """Indices of the lanes of a roadblock."""
        return tuple(i for i, lane in enumerate(self.lanes) if lane.roadblock == roadblock)
