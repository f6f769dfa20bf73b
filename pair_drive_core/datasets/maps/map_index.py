"""Look-ups in a nuPlan map: by id, by place, along the lane and roadblock graphs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
import torch
from shapely import LineString, Point, STRtree
from torch import Tensor

from pair_drive_core.datasets.maps.nuplan_map import (
    MapArea,
    MapLane,
    MapLaneConnector,
    NuplanMap,
    Roadblock,
    RoadblockConnector,
    StopPolygon,
    Surface,
)
from pair_drive_core.scene import SceneError

FloatArray = npt.NDArray[np.float64]
Edge: TypeAlias = MapLane | MapLaneConnector
Block: TypeAlias = Roadblock | RoadblockConnector
Element: TypeAlias = Edge | Block | StopPolygon | MapArea


class Neighbourhood:
    """Elements of one layer, found by place, in the layer's order."""

    def __init__(self, elements: Sequence[Element]) -> None:
        """Index the elements."""
        self._elements = elements
        self._tree = STRtree([element.polygon for element in elements])

    def within(self, x: float, y: float, radius_m: float) -> list[int]:
        """Positions of the elements that touch the square of half-side `radius_m` (the official map's 'radius')."""
        square = shapely.box(x - radius_m, y - radius_m, x + radius_m, y + radius_m)
        return sorted(int(i) for i in self._tree.query(square, predicate="intersects"))

    def nearest(self, x: float, y: float) -> int | None:
        """Position of the nearest element; None in an empty layer."""
        if not len(self._elements):
            return None
        return int(np.argmin(shapely.distance(self._tree.geometries, Point(x, y))))


class MapIndex:
    """A map with its graphs.

    Edges are lanes and lane connectors; blocks are roadblocks and roadblock connectors. Where several elements answer,
    they come in the order of the file, which the official route search depends on.
    """

    def __init__(self, nuplan_map: NuplanMap) -> None:
        """Index a map; trees are built when first asked for."""
        self.map = nuplan_map
        self._lines: dict[int, FloatArray] = {}
        self._rings: dict[int, list[Tensor]] = {}
        self._edges: dict[int, Edge] = {lane.fid: lane for lane in nuplan_map.lanes}
        self._edges |= {way.fid: way for way in nuplan_map.lane_connectors}
        self._blocks: dict[int, Block] = {block.fid: block for block in nuplan_map.roadblock_connectors}
        self._blocks |= {block.fid: block for block in nuplan_map.roadblocks}
        self._interior: dict[tuple[bool, int], list[Edge]] = {}
        self._outgoing_ways: dict[int, list[Edge]] = {}
        for lane in nuplan_map.lanes:
            self._interior.setdefault((False, lane.roadblock), []).append(lane)
        for way in nuplan_map.lane_connectors:
            self._interior.setdefault((True, way.roadblock_connector), []).append(way)
            self._outgoing_ways.setdefault(way.incoming_lane, []).append(way)
        self._leaving: dict[int, list[int]] = {}
        self._arriving: dict[int, list[int]] = {}
        for block in nuplan_map.roadblock_connectors:
            self._leaving.setdefault(block.incoming_roadblock, []).append(block.fid)
            self._arriving.setdefault(block.outgoing_roadblock, []).append(block.fid)

    @cached_property
    def roadblocks(self) -> Neighbourhood:
        """Places of roadblocks."""
        return Neighbourhood(self.map.roadblocks)

    @cached_property
    def roadblock_connectors(self) -> Neighbourhood:
        """Places of roadblock connectors."""
        return Neighbourhood(self.map.roadblock_connectors)

    @cached_property
    def areas(self) -> dict[str, Neighbourhood]:
        """Places of the other layers that scenes hold."""
        names = ("intersections", "carparks", "crosswalks", "walkways", "stop_polygons")
        return {name: Neighbourhood(getattr(self.map, name)) for name in names}

    def places(self, layer: str) -> Neighbourhood:
        """Places of a layer, by its name in `NuplanMap`."""
        if layer == "roadblocks":
            return self.roadblocks
        return self.roadblock_connectors if layer == "roadblock_connectors" else self.areas[layer]

    def block(self, fid: int) -> Block:
        """A roadblock or, where there is none of that id, a roadblock connector.

        Raises:
            SceneError: if the map holds neither.
        """
        if fid not in self._blocks:
            raise SceneError(f"route names roadblock {fid}, which the map of {self.map.location} does not hold")
        return self._blocks[fid]

    def edge(self, fid: int) -> Edge:
        """A lane or a lane connector.

        Raises:
            SceneError: if the map holds neither.
        """
        if fid not in self._edges:
            raise SceneError(f"the map of {self.map.location} holds no lane {fid}")
        return self._edges[fid]

    def centerline(self, edge: Edge) -> FloatArray:
        """(P, 3), see `centerline`; computed once."""
        if edge.fid not in self._lines:
            self._lines[edge.fid] = centerline(edge.baseline)
        return self._lines[edge.fid]

    def rings(self, surface: Surface) -> list[Tensor]:
        """Rings of a polygon of this map, see `outer_rings`; computed once."""
        key = id(surface)
        if key not in self._rings:
            self._rings[key] = [torch.from_numpy(ring) for ring in outer_rings(surface)]
        return self._rings[key]

    def interior(self, block: Block) -> list[Edge]:
        """Lanes of a roadblock, or lane connectors of a roadblock connector."""
        return self._interior.get((isinstance(block, RoadblockConnector), block.fid), [])

    def outgoing(self, edge: Edge) -> list[Edge]:
        """Edges that follow an edge."""
        if isinstance(edge, MapLane):
            return self._outgoing_ways.get(edge.fid, [])
        after = self._edges.get(edge.outgoing_lane)
        return [] if after is None else [after]

    def following(self, block_fid: int) -> list[int]:
        """Ids of the blocks that follow a block."""
        block = self.block(block_fid)
        if isinstance(block, RoadblockConnector):
            return [block.outgoing_roadblock] if block.outgoing_roadblock in self._blocks else []
        return self._leaving.get(block_fid, [])

    def preceding(self, block_fid: int) -> list[int]:
        """Ids of the blocks that lead to a block."""
        block = self.block(block_fid)
        if isinstance(block, RoadblockConnector):
            return [block.incoming_roadblock] if block.incoming_roadblock in self._blocks else []
        return self._arriving.get(block_fid, [])


def block_of(edge: Edge) -> int:
    """Id of the roadblock or roadblock connector that an edge lies in."""
    return edge.roadblock if isinstance(edge, MapLane) else edge.roadblock_connector


def centerline(line: LineString) -> FloatArray:
    """Vertices of a line with their headings.

    Each vertex heads for the next one and the last one as the one before it (nuPlan's `extract_discrete_polyline`).

    Returns:
        (P, 3): x, y in m, heading in rad.
    """
    points = shapely.get_coordinates(line)
    step = np.diff(points, axis=0)
    heading = np.arctan2(step[:, 1], step[:, 0])
    return np.column_stack((points, np.append(heading, heading[-1])))


def outer_rings(surface: Surface) -> list[FloatArray]:
    """Open rings of a polygon, one for each of its parts.

    A hole is joined to its part's ring by a cut that is walked in both directions: even-odd tests then hold inside
    and outside of the hole, and a ring stays one sequence of points.

    Returns:
        (P, 2) arrays, m.
    """
    rings = []
    for part in getattr(surface, "geoms", (surface,)):
        ring = shapely.get_coordinates(part.exterior)[:-1]
        for hole in part.interiors:
            inner = shapely.get_coordinates(hole)[:-1]
            near = int(np.argmin(((inner - ring[0]) ** 2).sum(-1)))
            inner = np.roll(inner, -near, axis=0)
            ring = np.concatenate((ring, ring[:1], inner, inner[:1]))
        rings.append(ring)
    return rings
