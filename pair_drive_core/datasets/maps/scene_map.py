"""The part of a map that belongs to a scene: polygons around the ego, lane graph, on-route lights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import shapely
import torch
from torch import Tensor

from pair_drive_core.datasets.maps.map_index import Edge, MapIndex, block_of
from pair_drive_core.datasets.maps.nuplan_map import MapLane, Surface
from pair_drive_core.datasets.maps.route import corrected_route, route_centerline, route_edges
from pair_drive_core.geometry import box_corners
from pair_drive_core.scene import (
    PACIFICA,
    LaneGraph,
    MapLayer,
    MapPolygons,
    PackedRings,
    Route,
    TrafficLights,
    VehicleParameters,
)

MAP_RADIUS_M = 100.0
"""Half side of the square around the ego's centre from which polygons are taken (the official metric cache)."""
_TREE_NODE_CAPACITY = 10
LIGHT_STEPS = 41
_STEPS_PER_FRAME = 5

_MOST_KEPT = 16

FloatArray = npt.NDArray[np.float64]
KeptT = TypeVar("KeptT")


@dataclass(frozen=True)
class MapParts:
    """What a scene takes from its map.

    Attributes:
        polygons: around the ego.
        route: corrected route and its centre line.
        lights: of the recorded route.
        planner_lights: of the corrected route, where they differ.
        lanes: lanes around the ego and of the route.
    """

    polygons: MapPolygons
    route: Route
    lights: TrafficLights
    planner_lights: TrafficLights | None
    lanes: LaneGraph


def map_parts(
    index: MapIndex,
    pose: FloatArray,
    recorded_route: Sequence[int],
    lights: Sequence[Sequence[tuple[int, bool]]],
    vehicle: VehicleParameters = PACIFICA,
) -> MapParts:
    """Cut out what the official metric cache takes from the map.

    Args:
        index: the map.
        pose: (3,), rear axle at t0, global; m, rad.
        recorded_route: ids of roadblocks and roadblock connectors.
        lights: (lane connector id, is red) at t0, t0 + 0.5 s, ...; at least 9 of them.
        vehicle: measures of the ego.

    Raises:
        SceneError: if the route does not fit the map.
    """
    route = corrected_route(index, pose, recorded_route)
    edges = route_edges(index, route)
    center = _center(pose, vehicle)
    around = Surroundings.around(index, center)
    footprint = _footprint(float(pose[2]), center, vehicle)
    recorded = route_edges(index, recorded_route)
    metric_lights = traffic_lights(index, lights, recorded)
    differs = any(red and (str(way) in edges) != (str(way) in recorded) for at_once in lights for way, red in at_once)
    line = route_centerline(index, pose, footprint, center, route, edges, around.drivable_tree)
    return MapParts(
        around.polygons(index, tuple(edges)),
        Route(tuple(edges), torch.from_numpy(line)),
        metric_lights,
        traffic_lights(index, lights, edges) if differs else None,
        around.lanes(index, tuple(edges)),
    )


def lanes_around(
    index: MapIndex, pose: FloatArray, route_tokens: Iterable[str], vehicle: VehicleParameters = PACIFICA
) -> LaneGraph:
    """The lane graph of `map_parts`, for a scene that has all but that.

    Args:
        index: the map.
        pose: (3,), rear axle at t0, global; m, rad.
        route_tokens: lanes and lane connectors of the corrected route.
        vehicle: measures of the ego.

    Raises:
        SceneError: if the map does not hold a lane of the route.
    """
    around = Surroundings.around(index, _center(pose, vehicle))
    return around.lanes(index, tuple(route_tokens))


def _center(pose: FloatArray, vehicle: VehicleParameters) -> FloatArray:
    return pose[:2] + vehicle.rear_axle_to_center_m * np.array([np.cos(pose[2]), np.sin(pose[2])])


def _footprint(heading: float, center: FloatArray, vehicle: VehicleParameters) -> shapely.Polygon:
    length, width = torch.tensor([vehicle.length_m, vehicle.width_m], dtype=torch.float64)
    corners = box_corners(torch.from_numpy(center), torch.tensor(heading, dtype=torch.float64), length, width)
    return shapely.Polygon(corners.numpy())


class _Kept(Generic[KeptT]):
    """The last few of what was made, by what it was made from; threads may share one, and make a thing twice."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[object, ...], KeptT] = OrderedDict()

    def got(self, key: tuple[object, ...], make: Callable[[], KeptT]) -> KeptT:
        """What is kept under a key, else made anew."""
        found = self._entries.get(key)
        if found is None:
            found = self._entries[key] = make()
            if len(self._entries) > _MOST_KEPT:
                self._entries.popitem(last=False)
        return found


_LAYERS = (
    *("roadblocks", "roadblock_connectors", "intersections", "carparks"),
    *("crosswalks", "walkways", "stop_polygons"),
)
_AREA_LAYERS = {
    "intersections": MapLayer.INTERSECTION,
    "carparks": MapLayer.CARPARK_AREA,
    "crosswalks": MapLayer.CROSSWALK,
    "walkways": MapLayer.WALKWAYS,
    "stop_polygons": MapLayer.STOP_LINE,
}


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Map elements around the ego, in the order of the official drivable map.

    Frames that follow each other mostly have the same, so what is made of them is kept for the next.

    Attributes:
        drivable: (token, layer, polygon) of roadblocks, lanes, lane connectors, intersections, car parks.
        extra: likewise, of layers that the metric does not look at: crosswalks, walkways, stop lines.
        edges: lanes and lane connectors among `drivable`.
    """

    drivable: tuple[tuple[str, MapLayer, Surface], ...]
    extra: tuple[tuple[str, MapLayer, Surface], ...]
    edges: tuple[Edge, ...]
    _polygons: _Kept[MapPolygons] = field(default_factory=lambda: _Kept())
    _lanes: _Kept[LaneGraph] = field(default_factory=lambda: _Kept())

    @staticmethod
    def around(index: MapIndex, center: FloatArray, radius_m: float = MAP_RADIUS_M) -> Surroundings:
        """Collect what touches a square.

        Args:
            index: the map.
            center: (2,), centre of the ego's box, m.
            radius_m: half side of the square.
        """
        x, y = float(center[0]), float(center[1])
        places = tuple(tuple(index.places(name).within(x, y, radius_m)) for name in _LAYERS)
        kept: _Kept[Surroundings] = _kept.setdefault(index, _Kept())
        return kept.got(places, lambda: Surroundings.of(index, dict(zip(_LAYERS, places, strict=True))))

    @staticmethod
    def of(index: MapIndex, places: Mapping[str, Sequence[int]]) -> Surroundings:
        """Elements by their places in the layers of the map."""
        blocks = [index.map.roadblocks[i] for i in places["roadblocks"]]
        connectors = [index.map.roadblock_connectors[i] for i in places["roadblock_connectors"]]
        lanes = [edge for block in blocks for edge in index.interior(block)]
        ways = [edge for block in connectors for edge in index.interior(block)]

        def areas(name: str) -> list[tuple[str, MapLayer, Surface]]:
            elements = getattr(index.map, name)
            return [(str(elements[i].fid), _AREA_LAYERS[name], elements[i].polygon) for i in places[name]]

        drivable = [
            *((str(block.fid), MapLayer.ROADBLOCK, block.polygon) for block in blocks),
            *((str(edge.fid), MapLayer.LANE, edge.polygon) for edge in lanes),
            *((str(edge.fid), MapLayer.LANE_CONNECTOR, edge.polygon) for edge in ways),
            *areas("intersections"),
            *areas("carparks"),
        ]
        extra = [*areas("crosswalks"), *areas("walkways"), *areas("stop_polygons")]
        return Surroundings(tuple(drivable), tuple(extra), (*lanes, *ways))

    @cached_property
    def drivable_tree(self) -> tuple[list[str], shapely.STRtree]:
        """Tokens and tree of the drivable polygons, built as the official occupancy map builds its own."""
        polygons = [polygon for _, _, polygon in self.drivable]
        return [token for token, _, _ in self.drivable], shapely.STRtree(polygons, _TREE_NODE_CAPACITY)

    def polygons(self, index: MapIndex, route_tokens: tuple[str, ...]) -> MapPolygons:
        """All polygons, the ones of the metric first.

        A surface of several parts becomes several polygons of one token.

        Args:
            index: the map.
            route_tokens: lanes and lane connectors of the route.
        """
        return self._polygons.got(route_tokens, lambda: self._packed(index, set(route_tokens)))

    def _packed(self, index: MapIndex, route: set[str]) -> MapPolygons:
        edge_layers = (MapLayer.LANE, MapLayer.LANE_CONNECTOR)
        tokens, layers, rings, on_route = [], [], [], []
        for token, layer, surface in (*self.drivable, *self.extra):
            for ring in index.rings(surface):
                tokens.append(token)
                layers.append(int(layer))
                rings.append(ring)
                on_route.append(layer in edge_layers and token in route)
        return MapPolygons(
            tuple(tokens),
            torch.tensor(layers, dtype=torch.int64),
            PackedRings.from_sequences(rings),
            torch.tensor(on_route, dtype=torch.bool),
        )

    def lanes(self, index: MapIndex, route_tokens: tuple[str, ...]) -> LaneGraph:
        """The lane graph of these elements and of a route.

        Raises:
            SceneError: if the map does not hold a lane of the route.
        """
        return self._lanes.got(
            route_tokens,
            lambda: lane_graph(index, (*self.edges, *(index.edge(int(token)) for token in route_tokens))),
        )


_kept: WeakKeyDictionary[MapIndex, _Kept[Surroundings]] = WeakKeyDictionary()


def lane_graph(index: MapIndex, edges: Iterable[Edge]) -> LaneGraph:
    """Lanes and lane connectors as a graph; edges that lead out of the set lead nowhere.

    Args:
        index: the map.
        edges: what the graph shall hold; repeated ones count once.
    """
    kept = list({edge.fid: edge for edge in edges}.values())
    place = {edge.fid: i for i, edge in enumerate(kept)}
    limits = [float("nan") if edge.speed_limit_mps is None else edge.speed_limit_mps for edge in kept]
    return LaneGraph(
        tokens=tuple(str(edge.fid) for edge in kept),
        is_connector=torch.tensor([not isinstance(edge, MapLane) for edge in kept], dtype=torch.bool),
        roadblocks=tuple(str(block_of(edge)) for edge in kept),
        centerlines=PackedRings.from_sequences([torch.from_numpy(index.centerline(edge)) for edge in kept], width=3),
        rings=PackedRings.from_sequences([index.rings(edge.polygon)[0] for edge in kept]),
        speed_limits_mps=torch.tensor(limits, dtype=torch.float64),
        successors=tuple(
            tuple(place[after.fid] for after in index.outgoing(edge) if after.fid in place) for edge in kept
        ),
    )


def traffic_lights(
    index: MapIndex, frames: Sequence[Sequence[tuple[int, bool]]], route: dict[str, Edge]
) -> TrafficLights:
    """Red states of the lane connectors of a route, 10 Hz; the status of a frame holds until the next.

    Connectors that are never red are left out.

    Args:
        index: the map.
        frames: (connector id, is red) at t0, t0 + 0.5 s, ...; at least 9 of them.
        route: edges by token; of the recorded route for the metric, of the corrected one for its reference planner
            (official metric cache).
    """
    red_at = [[str(connector) for connector, red in lights if red and str(connector) in route] for lights in frames]
    held = [red_at[step // _STEPS_PER_FRAME] for step in range(LIGHT_STEPS)]
    tokens = list(dict.fromkeys(token for at_once in held for token in at_once))
    rows = [[token in at_once for token in tokens] for at_once in held]
    red: Tensor = torch.tensor(rows, dtype=torch.bool).reshape(LIGHT_STEPS, len(tokens))
    rings = [index.rings(route[token].polygon)[0] for token in tokens]
    return TrafficLights(tuple(tokens), red, PackedRings.from_sequences(rings))
