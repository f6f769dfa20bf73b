"""A town's road network as a nuPlan map."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from shapely import LineString
from shapely import Polygon as ShapelyPolygon

from pair_drive_core.datasets.maps.nuplan_map import (
    MapArea,
    MapLane,
    MapLaneConnector,
    NuplanMap,
    Roadblock,
    RoadblockConnector,
    StopPolygon,
    StopPolygonKind,
)
from pair_drive_core.town.streets.curves import FloatArray, snap, unit
from pair_drive_core.town.streets.layout import STOP_LINE_DEPTH_M, JunctionKind
from pair_drive_core.town.streets.network import Lane, Polygon, RoadNetwork
from pair_drive_core.town.traffic.simulator import Town

DEFAULT_LOCATION = "us-ma-boston"
"""The city that a town is filed under; the official devkit knows four names only."""


def nuplan_map(town: Town, location: str = DEFAULT_LOCATION) -> NuplanMap:
    """Convert a town.

    Coordinates stay as they are: the town's frame becomes the city's global frame.

    Args:
        town: the town.
        location: the city to file it under, one of `MAP_LOCATIONS`.

    Raises:
        SceneError: if the city is unknown.
    """
    network = town.network
    lanes = [lane for lane in network.lanes if not lane.is_connector]
    ways = [lane for lane in network.lanes if lane.is_connector]
    blocks = list(zip(network.roadblocks, network.roadblock_is_connector, strict=True))
    roadblocks = tuple(Roadblock(int(b.token), _surface(b.ring)) for b, connector in blocks if not connector)
    return NuplanMap(
        location=location,
        lanes=tuple(_lane(network, lane) for lane in lanes),
        lane_connectors=tuple(_connector(town, way) for way in ways),
        roadblocks=roadblocks,
        roadblock_connectors=tuple(_block_connector(network, b) for b, connector in blocks if connector),
        stop_polygons=tuple(_stop(town, lane) for lane in lanes if lane.successors),
        intersections=tuple(_area(junction.area) for junction in network.junctions),
        crosswalks=tuple(_area(c) for junction in network.junctions for c in junction.crosswalks.values()),
        walkways=tuple(_area(polygon) for polygon in network.walkways),
        carparks=tuple(_area(polygon) for polygon in network.carparks),
        road_segments=tuple(MapArea(block.fid, block.polygon) for block in roadblocks),
    ).validate()


def _lane(network: RoadNetwork, lane: Lane) -> MapLane:
    index = 0
    left = lane.left
    while left is not None:
        index, left = index + 1, network.lanes[left].left
    return MapLane(
        fid=int(lane.token),
        roadblock=int(lane.roadblock),
        index=index,
        polygon=_surface(lane.ring),
        baseline=LineString(lane.centerline[:, :2]),
        left_boundary=_beside(lane, 0.5),
        right_boundary=_beside(lane, -0.5),
        speed_limit_mps=lane.speed_limit_mps,
    )


def _connector(town: Town, way: Lane) -> MapLaneConnector:
    before, after = (town.network.lanes[ends[0]] for ends in (way.predecessors, way.successors))
    signalled = way.junction in town.plans
    return MapLaneConnector(
        fid=int(way.token),
        roadblock_connector=int(way.roadblock),
        incoming_lane=int(before.token),
        outgoing_lane=int(after.token),
        polygon=_surface(way.ring),
        baseline=LineString(way.centerline[:, :2]),
        left_boundary=_beside(way, 0.5),
        right_boundary=_beside(way, -0.5),
        speed_limit_mps=way.speed_limit_mps,
        stop_polygons=(int(before.token),) if signalled else (),
    )


def _block_connector(network: RoadNetwork, block: Polygon) -> RoadblockConnector:
    way = network.lanes[network.lanes_of_roadblock(block.token)[0]]
    before, after = network.lanes[way.predecessors[0]], network.lanes[way.successors[0]]
    assert way.junction is not None
    return RoadblockConnector(
        fid=int(block.token),
        incoming_roadblock=int(before.roadblock),
        outgoing_roadblock=int(after.roadblock),
        intersection=int(network.junctions[way.junction].area.token),
        polygon=_surface(block.ring),
    )


def _stop(town: Town, lane: Lane) -> StopPolygon:
    """The bar at a lane's end; it bears the lane's id."""
    junction = town.network.lanes[lane.successors[0]].junction
    assert junction is not None
    signalled = town.network.junctions[junction].kind is JunctionKind.SIGNAL
    end = lane.centerline[-1]
    along, across = unit(end[2]), unit(end[2] + np.pi / 2.0) * lane.width_m / 2.0
    back = end[:2] - STOP_LINE_DEPTH_M * along
    bar = snap(np.stack((end[:2] + across, back + across, back - across, end[:2] - across)))
    return StopPolygon(
        int(lane.token), _surface(bar), StopPolygonKind.TRAFFIC_LIGHT if signalled else StopPolygonKind.YIELD
    )


def _area(polygon: Polygon) -> MapArea:
    return MapArea(int(polygon.token), _surface(polygon.ring))


def _surface(ring: FloatArray) -> ShapelyPolygon:
    return ShapelyPolygon(ring)


def _beside(lane: Lane, widths: float) -> LineString:
    """A line beside the centre line, so many widths to the left.

    Inside of a tight bend neighbouring points may coincide; they count once.
    """
    left = unit(lane.centerline[:, 2] + np.pi / 2.0)
    points = lane.centerline[:, :2] + widths * lane.width_m * left
    return LineString([point for point, _ in groupby(map(tuple, points.tolist()))])
