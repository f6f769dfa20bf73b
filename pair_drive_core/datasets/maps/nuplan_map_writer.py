"""nuPlan map files: writing, with every layer and column that the official devkit reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from shapely import LineString

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.datasets.maps.geopackage import Feature, Layer, project, write_geopackage
from pair_drive_core.datasets.maps.nuplan_map import MAP_LOCATIONS, MapLane, MapLaneConnector, NuplanMap
from pair_drive_core.datasets.maps.nuplan_maps import AREA_LAYERS, MAP_VERSION
from pair_drive_core.datasets.maps.sqlite_tables import Cell
from pair_drive_core.scene import SceneError

_NO_PAINT = 3
"""Boundary type of unmarked edges (nuPlan)."""


def write_map(nuplan_map: NuplanMap, path: Path, storage_crs: str | None = None) -> None:
    """Write a map file.

    Args:
        nuplan_map: what to write.
        path: `map.gpkg`.
        storage_crs: reference system of the stored geometry; None stores the projected one, so that reading gives
            back equal coordinates. The data set's own files store "epsg:4326".

    Raises:
        SceneError: if the map is not valid.
    """
    nuplan_map.validate()
    stored = (storage_crs or nuplan_map.projected_crs).lower()
    layers = _layers(nuplan_map)
    if stored != nuplan_map.projected_crs:
        layers = [_projected(layer, nuplan_map.projected_crs, stored) for layer in layers]
    write_geopackage(path, layers, stored)


def write_map_folder(maps: Iterable[NuplanMap], root: Path, storage_crs: str | None = None) -> None:
    """Write the registry and a file for each of the four cities; a city without a map gets an empty one.

    Args:
        maps: at most one a city.
        root: the map folder.
        storage_crs: see `write_map`.

    Raises:
        SceneError: if a map is not valid or two are of one city.
    """
    by_location: dict[str, NuplanMap] = {}
    for nuplan_map in maps:
        if nuplan_map.location in by_location:
            raise SceneError(f"two maps of {nuplan_map.location}; a map folder holds one a city")
        by_location[nuplan_map.location] = nuplan_map
    for name, location in MAP_LOCATIONS.items():
        city = by_location.get(name, NuplanMap.empty(name))
        write_map(city, root / name / location.version / "map.gpkg", storage_crs)
    registry = {name: {"version": location.version, "layers": {}} for name, location in MAP_LOCATIONS.items()}
    write_bytes(root / f"{MAP_VERSION}.json", (json.dumps(registry, indent=2) + "\n").encode())


def _layers(nuplan_map: NuplanMap) -> list[Layer]:
    boundaries = _Boundaries()
    sides = {lane.fid: boundaries.add(lane) for lane in nuplan_map.lanes}
    sides |= {way.fid: boundaries.add(way) for way in nuplan_map.lane_connectors}
    return [
        _meta_layer(nuplan_map),
        _lane_layer(nuplan_map, sides),
        *_connector_layers(nuplan_map, sides),
        _baseline_layer(nuplan_map),
        boundaries.layer(),
        *_roadblock_layers(nuplan_map, sides),
        _layer(
            "stop_polygons",
            "POLYGON",
            {"stop_polygon_type_fid": "INTEGER"},
            [Feature(s.fid, s.polygon, {"stop_polygon_type_fid": int(s.kind)}) for s in nuplan_map.stop_polygons],
        ),
        *(
            _layer(layer, "POLYGON", {}, [Feature(a.fid, a.polygon, {}) for a in getattr(nuplan_map, field)])
            for field, layer in AREA_LAYERS.items()
        ),
    ]


class _Boundaries:
    """Numbers the boundary lines of lanes and connectors."""

    def __init__(self) -> None:
        self._lines: list[LineString] = []

    def add(self, edge: MapLane | MapLaneConnector) -> dict[str, Cell]:
        """Columns that name the left and right line of an edge."""
        self._lines += [edge.left_boundary, edge.right_boundary]
        count = len(self._lines)
        return {"left_boundary_fid": count - 1, "right_boundary_fid": count}

    def layer(self) -> Layer:
        """All lines."""
        columns = {"boundary_type_fid": "INTEGER"}
        features = [Feature(fid, line, {"boundary_type_fid": _NO_PAINT}) for fid, line in enumerate(self._lines, 1)]
        return _layer("boundaries", "LINESTRING", columns, features)


def _layer(name: str, geometry_type: str | None, columns: dict[str, str], features: Sequence[Feature]) -> Layer:
    """A layer in the order of its ids, the order in which every reader gives it back."""
    return Layer(name, geometry_type, columns, sorted(features, key=lambda feature: feature.fid))


def _meta_layer(nuplan_map: NuplanMap) -> Layer:
    rows = [
        ("location", nuplan_map.location),
        ("version", MAP_LOCATIONS[nuplan_map.location].version),
        ("geographicCoordSystem", "epsg:4326"),
        ("projectedCoordSystem", nuplan_map.projected_crs),
    ]
    features = [Feature(fid, None, {"key": key, "value": value}) for fid, (key, value) in enumerate(rows, 1)]
    return _layer("meta", None, {"key": "TEXT", "value": "TEXT"}, features)


def _lane_layer(nuplan_map: NuplanMap, sides: Mapping[int, Mapping[str, Cell]]) -> Layer:
    columns = {
        "lane_fid": "INTEGER",
        "lane_group_fid": "INTEGER",
        "lane_index": "INTEGER",
        "left_boundary_fid": "INTEGER",
        "right_boundary_fid": "INTEGER",
        "speed_limit_mps": "REAL",
    }
    features = [
        Feature(
            lane.fid,
            lane.polygon,
            {
                "lane_fid": lane.fid,
                "lane_group_fid": lane.roadblock,
                "lane_index": lane.index,
                "speed_limit_mps": lane.speed_limit_mps,
                **sides[lane.fid],
            },
        )
        for lane in nuplan_map.lanes
    ]
    return _layer("lanes_polygons", "POLYGON", columns, features)


def _connector_layers(nuplan_map: NuplanMap, sides: Mapping[int, Mapping[str, Cell]]) -> list[Layer]:
    group_of = {lane.fid: lane.roadblock for lane in nuplan_map.lanes}
    columns = {
        "exit_lane_fid": "INTEGER",
        "entry_lane_fid": "INTEGER",
        "exit_lane_group_fid": "INTEGER",
        "entry_lane_group_fid": "INTEGER",
        "lane_group_connector_fid": "INTEGER",
        "speed_limit_mps": "REAL",
        "traffic_light_stop_line_fids": "TEXT",
    }
    ways, surfaces = [], []
    for way in nuplan_map.lane_connectors:
        cells: dict[str, Cell] = {
            "exit_lane_fid": way.incoming_lane,
            "entry_lane_fid": way.outgoing_lane,
            "exit_lane_group_fid": group_of[way.incoming_lane],
            "entry_lane_group_fid": group_of[way.outgoing_lane],
            "lane_group_connector_fid": way.roadblock_connector,
            "speed_limit_mps": way.speed_limit_mps,
            # Empty text, not NULL: the official `stop_lines` splits it, and `has_traffic_lights` is its truth.
            "traffic_light_stop_line_fids": ",".join(map(str, way.stop_polygons)),
        }
        ways.append(Feature(way.fid, way.baseline, cells))
        surfaces.append(Feature(way.fid, way.polygon, {"lane_connector_fid": way.fid, **sides[way.fid]}))
    surface_columns = {
        "lane_connector_fid": "INTEGER",
        "left_boundary_fid": "INTEGER",
        "right_boundary_fid": "INTEGER",
    }
    return [
        _layer("lane_connectors", "LINESTRING", columns, ways),
        _layer("gen_lane_connectors_scaled_width_polygons", "POLYGON", surface_columns, surfaces),
    ]


def _baseline_layer(nuplan_map: NuplanMap) -> Layer:
    lanes: list[tuple[LineString, dict[str, Cell]]] = [(e.baseline, {"lane_fid": e.fid}) for e in nuplan_map.lanes]
    ways: list[tuple[LineString, dict[str, Cell]]] = [
        (e.baseline, {"lane_connector_fid": e.fid}) for e in nuplan_map.lane_connectors
    ]
    features = [Feature(fid, line, cells) for fid, (line, cells) in enumerate((*lanes, *ways), 1)]
    columns = {"lane_fid": "INTEGER", "lane_connector_fid": "INTEGER"}
    return _layer("baseline_paths", "LINESTRING", columns, features)


def _roadblock_layers(nuplan_map: NuplanMap, sides: Mapping[int, Mapping[str, Cell]]) -> list[Layer]:
    lanes_of: dict[int, list[MapLane]] = {}
    for lane in sorted(nuplan_map.lanes, key=lambda lane: lane.index):
        lanes_of.setdefault(lane.roadblock, []).append(lane)
    ways_of: dict[int, list[MapLaneConnector]] = {}
    for way in nuplan_map.lane_connectors:
        ways_of.setdefault(way.roadblock_connector, []).append(way)
    boundary_columns = {"left_boundary_fid": "INTEGER", "right_boundary_fid": "INTEGER"}
    groups = [Feature(b.fid, b.polygon, _outer(lanes_of.get(b.fid, []), sides)) for b in nuplan_map.roadblocks]
    connectors = [
        Feature(
            b.fid,
            b.polygon,
            {
                "from_lane_group_fid": b.incoming_roadblock,
                "to_lane_group_fid": b.outgoing_roadblock,
                "intersection_fid": b.intersection,
                **_outer(ways_of.get(b.fid, []), sides),
            },
        )
        for b in nuplan_map.roadblock_connectors
    ]
    connector_columns = {
        "from_lane_group_fid": "INTEGER",
        "to_lane_group_fid": "INTEGER",
        "intersection_fid": "INTEGER",
        **boundary_columns,
    }
    return [
        _layer("lane_groups_polygons", "POLYGON", boundary_columns, groups),
        _layer("lane_group_connectors", "POLYGON", connector_columns, connectors),
    ]


def _outer(
    edges: Sequence[MapLane] | Sequence[MapLaneConnector], sides: Mapping[int, Mapping[str, Cell]]
) -> dict[str, Cell]:
    """Left line of the leftmost edge, right line of the rightmost one."""
    if not edges:
        return {}
    return {
        "left_boundary_fid": sides[edges[0].fid]["left_boundary_fid"],
        "right_boundary_fid": sides[edges[-1].fid]["right_boundary_fid"],
    }


def _projected(layer: Layer, source_crs: str, target_crs: str) -> Layer:
    if layer.geometry_type is None:
        return layer
    shapes = project([feature.geometry for feature in layer.features], source_crs, target_crs)
    features = [replace(f, geometry=shape) for f, shape in zip(layer.features, shapes, strict=True)]
    return replace(layer, features=features)
