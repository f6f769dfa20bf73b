"""A nuPlan map in memory: what a map file holds and what an exporter has to fill.

All ids (`fid`) are positive integers, unique within their kind; lanes and lane connectors share one number space, as
do roadblocks and roadblock connectors, since the official code looks an id up in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import TypeAlias

from shapely import LineString, MultiPolygon, Polygon

from pair_drive_core.scene import SceneError

Surface: TypeAlias = Polygon | MultiPolygon
"""A polygon of the map; a few of the data set's own have several parts."""


@dataclass(frozen=True)
class MapLocation:
    """A city of the nuPlan data set.

    Attributes:
        name: as the logs spell it.
        version: folder of its map file.
        projected_crs: the UTM system that the logs' global frame is in.
    """

    name: str
    version: str
    projected_crs: str


MAP_LOCATIONS = {
    location.name: location
    for location in (
        MapLocation("sg-one-north", "9.17.1964", "epsg:32648"),
        MapLocation("us-ma-boston", "9.12.1817", "epsg:32619"),
        MapLocation("us-nv-las-vegas-strip", "9.15.1915", "epsg:32611"),
        MapLocation("us-pa-pittsburgh-hazelwood", "9.17.1937", "epsg:32617"),
    )
}
"""The four cities. The official devkit opens all four map files, whichever one a log is in."""


class StopPolygonKind(IntEnum):
    """Why vehicles stop at a stop polygon (nuPlan's `StopLineType`)."""

    PED_CROSSING = 0
    STOP_SIGN = 1
    TRAFFIC_LIGHT = 2
    TURN_STOP = 3
    YIELD = 4
    UNKNOWN = 5


@dataclass(frozen=True)
class MapLane:
    """One lane between two intersections.

    Attributes:
        fid: id.
        roadblock: id of its `Roadblock` (all lanes of one direction of a street).
        index: 0 for the leftmost lane of the roadblock, growing to the right.
        polygon: surface, m, global frame.
        baseline: centre line in driving direction, m.
        left_boundary: in driving direction, m.
        right_boundary: in driving direction, m.
        speed_limit_mps: None where the map gives none.
    """

    fid: int
    roadblock: int
    index: int
    polygon: Surface
    baseline: LineString
    left_boundary: LineString
    right_boundary: LineString
    speed_limit_mps: float | None = None


@dataclass(frozen=True)
class MapLaneConnector:
    """One way through an intersection, from a lane to a lane.

    Attributes:
        fid: id; traffic lights are recorded per lane connector, by this id.
        roadblock_connector: id of its `RoadblockConnector`.
        incoming_lane: the lane it starts at.
        outgoing_lane: the lane it leads to.
        polygon: surface, m, global frame.
        baseline: centre line; starts where the incoming lane's ends and ends where the outgoing lane's starts, m.
        left_boundary: in driving direction, m.
        right_boundary: in driving direction, m.
        speed_limit_mps: None where the map gives none.
        stop_polygons: ids of the stop polygons of its traffic light; empty where it has no light.
    """

    fid: int
    roadblock_connector: int
    incoming_lane: int
    outgoing_lane: int
    polygon: Surface
    baseline: LineString
    left_boundary: LineString
    right_boundary: LineString
    speed_limit_mps: float | None = None
    stop_polygons: tuple[int, ...] = ()


@dataclass(frozen=True)
class Roadblock:
    """The lanes of one direction of a street (nuPlan's lane group).

    Attributes:
        fid: id; routes are lists of these and of connectors' ids.
        polygon: surface of all its lanes, m.
    """

    fid: int
    polygon: Surface


@dataclass(frozen=True)
class RoadblockConnector:
    """The lane connectors from one roadblock to another (nuPlan's lane group connector).

    Attributes:
        fid: id.
        incoming_roadblock: where they start.
        outgoing_roadblock: where they lead.
        intersection: id of the `Intersection` area they cross; None where the map gives none.
        polygon: surface of all its connectors, m.
    """

    fid: int
    incoming_roadblock: int
    outgoing_roadblock: int
    intersection: int | None
    polygon: Surface


@dataclass(frozen=True)
class StopPolygon:
    """A place to stop at, drawn as a thin polygon across the lane.

    Attributes:
        fid: id.
        polygon: m.
        kind: why.
    """

    fid: int
    polygon: Surface
    kind: StopPolygonKind


@dataclass(frozen=True)
class MapArea:
    """A plain area: intersection, crosswalk, walkway, car park, other drivable area, road segment.

    Attributes:
        fid: id.
        polygon: m; may have holes.
    """

    fid: int
    polygon: Surface


@dataclass(frozen=True)
class NuplanMap:
    """Everything of one city that scoring, planning and the bird's-eye targets look at.

    A vehicle is on drivable ground (the official scorer) where it is on a roadblock, an intersection or a car park;
    roadblock connectors are drivable only through their intersection area.

    Attributes:
        location: one of `MAP_LOCATIONS`.
        lanes: all lanes.
        lane_connectors: all ways through intersections.
        roadblocks: each with at least one lane.
        roadblock_connectors: each with at least one lane connector.
        stop_polygons: stop lines.
        intersections: areas of intersections.
        crosswalks: areas.
        walkways: areas.
        carparks: areas.
        generic_drivable_areas: drivable areas of no road.
        road_segments: road surfaces between intersections.
        left_out: what a reader could not use and why, one line each; empty for a sound map.
    """

    location: str
    lanes: tuple[MapLane, ...]
    lane_connectors: tuple[MapLaneConnector, ...]
    roadblocks: tuple[Roadblock, ...]
    roadblock_connectors: tuple[RoadblockConnector, ...]
    stop_polygons: tuple[StopPolygon, ...] = ()
    intersections: tuple[MapArea, ...] = ()
    crosswalks: tuple[MapArea, ...] = ()
    walkways: tuple[MapArea, ...] = ()
    carparks: tuple[MapArea, ...] = ()
    generic_drivable_areas: tuple[MapArea, ...] = ()
    road_segments: tuple[MapArea, ...] = ()
    left_out: tuple[str, ...] = ()

    @staticmethod
    def empty(location: str) -> NuplanMap:
        """A city without streets; the official devkit wants a file for every city."""
        return NuplanMap(location, (), (), (), ())

    @property
    def projected_crs(self) -> str:
        """The UTM system of the global frame."""
        return MAP_LOCATIONS[self.location].projected_crs

    def validate(self) -> NuplanMap:
        """Check ids, references and shapes.

        Raises:
            SceneError: naming the element at fault.
        """
        if self.location not in MAP_LOCATIONS:
            raise SceneError(f"NuplanMap.location: expected one of {sorted(MAP_LOCATIONS)}, got {self.location!r}")
        if self.left_out:
            raise SceneError(f"NuplanMap.left_out: expected a sound map, got {self.left_out[0]}")
        for field in fields(self)[1:-1]:
            elements = getattr(self, field.name)
            _require_unique(field.name, (element.fid for element in elements))
            for element in elements:
                shape = element.polygon
                if not isinstance(shape, Polygon) or shape.is_empty or shape.area <= 0.0:
                    name = f"NuplanMap.{field.name} {element.fid}"
                    raise SceneError(f"{name}: expected one polygon with an area, got {shape.geom_type}")
        _require_unique("lanes + lane_connectors", [e.fid for e in self.lanes] + [e.fid for e in self.lane_connectors])
        _require_unique(
            "roadblocks + connectors", [e.fid for e in self.roadblocks] + [e.fid for e in self.roadblock_connectors]
        )
        self._validate_references()
        return self

    def _validate_references(self) -> None:
        lanes = {lane.fid for lane in self.lanes}
        blocks = {block.fid for block in self.roadblocks}
        connectors = {block.fid for block in self.roadblock_connectors}
        stops = {stop.fid for stop in self.stop_polygons}
        areas = {area.fid for area in self.intersections}
        for lane in self.lanes:
            _require_known(f"lane {lane.fid}.roadblock", lane.roadblock, blocks)
        for way in self.lane_connectors:
            _require_known(f"lane connector {way.fid}.incoming_lane", way.incoming_lane, lanes)
            _require_known(f"lane connector {way.fid}.outgoing_lane", way.outgoing_lane, lanes)
            _require_known(f"lane connector {way.fid}.roadblock_connector", way.roadblock_connector, connectors)
            for stop in way.stop_polygons:
                _require_known(f"lane connector {way.fid}.stop_polygons", stop, stops)
        for block in self.roadblock_connectors:
            _require_known(f"roadblock connector {block.fid}.incoming_roadblock", block.incoming_roadblock, blocks)
            _require_known(f"roadblock connector {block.fid}.outgoing_roadblock", block.outgoing_roadblock, blocks)
            if block.intersection is not None:
                _require_known(f"roadblock connector {block.fid}.intersection", block.intersection, areas)
        baselines = [(e.fid, e.baseline) for e in self.lanes] + [(e.fid, e.baseline) for e in self.lane_connectors]
        for fid, baseline in baselines:
            if baseline.length <= 0.0:
                raise SceneError(f"NuplanMap: expected a baseline with a length for lane {fid}")


def _require_unique(name: str, fids: Iterable[int]) -> None:
    counts = Counter(fids)
    bad = sorted(fid for fid, count in counts.items() if count > 1 or fid <= 0)
    if bad:
        raise SceneError(f"NuplanMap.{name}: expected unique positive ids, got {bad[:5]} twice or not positive")


def _require_known(name: str, fid: int, known: set[int]) -> None:
    if fid not in known:
        raise SceneError(f"NuplanMap: {name} names {fid}, which the map does not hold")
