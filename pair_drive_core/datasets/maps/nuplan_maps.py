"""nuPlan map files (`<location>/<version>/map.gpkg`): reading."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from shapely import LineString, MultiPolygon, Polygon

from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.file_names import plain_name
from pair_drive_core.datasets.maps.geopackage import Feature, GeoPackage
from pair_drive_core.datasets.maps.nuplan_map import (
    MapArea,
    MapLane,
    MapLaneConnector,
    NuplanMap,
    Roadblock,
    RoadblockConnector,
    StopPolygon,
    StopPolygonKind,
    Surface,
)
from pair_drive_core.datasets.maps.sqlite_tables import Cell

MAP_VERSION = "nuplan-maps-v1.0"
"""Name of the registry file that lists the cities' versions."""

AREA_LAYERS = {
    "intersections": "intersections",
    "crosswalks": "crosswalks",
    "walkways": "walkways",
    "carparks": "carpark_areas",
    "generic_drivable_areas": "generic_drivable_areas",
    "road_segments": "road_segments",
}
"""Fields of `NuplanMap` that are plain areas, and their layers."""


class NuplanMapLibrary:
    """The map folder: finds a city's file through the registry and keeps what it has read."""

    def __init__(self, root: Path) -> None:
        """Remember the folder; nothing is read yet.

        Args:
            root: holds `nuplan-maps-v1.0.json` and a folder a city.
        """
        self._root = root
        self._maps: dict[str, NuplanMap] = {}

    def path(self, location: str) -> Path:
        """The map file of a city.

        Raises:
            FileNotFoundError: if there is no registry.
            DatasetError: if the registry is torn or does not name the city.
        """
        registry = self._root / f"{MAP_VERSION}.json"
        if not registry.is_file():
            raise FileNotFoundError(f"{registry}: no such file; a nuPlan map folder holds one")
        try:
            content = json.loads(registry.read_text())
            version = str(content[location]["version"])
        except KeyError as error:
            raise DatasetError(registry, f"names no map for {error}; it has {sorted(content)}") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise DatasetError(registry, f"expected cities with their versions ({error})") from error
        return self._root / plain_name(location, registry) / plain_name(version, registry) / "map.gpkg"

    def load(self, location: str) -> NuplanMap:
        """The map of a city; read once.

        Raises:
            FileNotFoundError: naming the file.
            DatasetError: naming the file and the layer or column at fault.
        """
        if location not in self._maps:
            self._maps[location] = read_map(self.path(location), location)
        return self._maps[location]


def read_map(path: Path, location: str) -> NuplanMap:
    """Read a map file.

    Elements that lack a part (a lane without a centre line) are left out and listed in `NuplanMap.left_out`.

    Args:
        path: `map.gpkg`.
        location: its city.

    Raises:
        FileNotFoundError: naming the file.
        DatasetError: naming the file and the layer or column at fault.
    """
    return _MapReader(path).read(location)


class _MapReader:
    """Reads one file, in the file's own projected reference system."""

    def __init__(self, path: Path) -> None:
        self._package = GeoPackage(path)
        self._left_out: list[str] = []
        meta = {f.columns["key"]: f.columns["value"] for f in self._package.read("meta", ("key", "value"))}
        if not isinstance(meta.get("projectedCoordSystem"), str):
            raise DatasetError(path, f"layer 'meta' has no key 'projectedCoordSystem'; it has {sorted(map(str, meta))}")
        self._crs = str(meta["projectedCoordSystem"])

    def read(self, location: str) -> NuplanMap:
        boundaries = {f.fid: f.geometry for f in self._package.read("boundaries", (), self._crs)}
        lines = {fid: line for fid, line in boundaries.items() if isinstance(line, LineString)}
        baselines = self._baselines()
        areas = {field: self._areas(layer) for field, layer in AREA_LAYERS.items()}
        return NuplanMap(
            location=location,
            lanes=self._lanes(baselines, lines),
            lane_connectors=self._lane_connectors(baselines, lines),
            roadblocks=tuple(Roadblock(a.fid, a.polygon) for a in self._areas("lane_groups_polygons")),
            roadblock_connectors=self._roadblock_connectors(),
            stop_polygons=self._stop_polygons(),
            **areas,
            left_out=tuple(self._left_out),
        )

    def _surfaces(self, layer: str, columns: tuple[str, ...]) -> list[tuple[Feature, Surface]]:
        rows = []
        for feature in self._package.read(layer, columns, self._crs):
            shape = feature.geometry
            if isinstance(shape, MultiPolygon) and len(shape.geoms) == 1:
                shape = shape.geoms[0]
            if isinstance(shape, Polygon | MultiPolygon) and not shape.is_empty:
                rows.append((feature, shape))
            else:
                self._left_out.append(f"{layer} {feature.fid}: expected a polygon, got {_kind(shape)}")
        return rows

    def _areas(self, layer: str) -> tuple[MapArea, ...]:
        return tuple(MapArea(feature.fid, shape) for feature, shape in self._surfaces(layer, ()))

    def _baselines(self) -> dict[tuple[str, int], LineString]:
        lines = {}
        for feature in self._package.read("baseline_paths", ("lane_fid", "lane_connector_fid"), self._crs):
            for column in ("lane_fid", "lane_connector_fid"):
                owner = _integer(feature.columns[column])
                if owner is not None and isinstance(feature.geometry, LineString) and feature.geometry.length > 0.0:
                    lines[column, owner] = feature.geometry
        return lines

    def _lanes(
        self, baselines: Mapping[tuple[str, int], LineString], lines: Mapping[int, LineString]
    ) -> tuple[MapLane, ...]:
        columns = ("lane_group_fid", "lane_index", "left_boundary_fid", "right_boundary_fid", "speed_limit_mps")
        lanes = []
        for feature, polygon in self._surfaces("lanes_polygons", columns):
            group, index = (_integer(feature.columns[name]) for name in ("lane_group_fid", "lane_index"))
            baseline = baselines.get(("lane_fid", feature.fid))
            left, right = _sides(feature, lines)
            if baseline is None or left is None or right is None or group is None or index is None:
                self._left_out.append(f"lanes_polygons {feature.fid}: lacks a baseline, a boundary or a lane group")
                continue
            limit = _real(feature.columns["speed_limit_mps"])
            lanes.append(MapLane(feature.fid, group, index, polygon, baseline, left, right, limit))
        return tuple(lanes)

    def _lane_connectors(
        self, baselines: Mapping[tuple[str, int], LineString], lines: Mapping[int, LineString]
    ) -> tuple[MapLaneConnector, ...]:
        layer = "gen_lane_connectors_scaled_width_polygons"
        owned = self._surfaces(layer, ("lane_connector_fid", "left_boundary_fid", "right_boundary_fid"))
        surfaces = {_integer(f.columns["lane_connector_fid"]): (f, shape) for f, shape in owned}
        references = ("lane_group_connector_fid", "exit_lane_fid", "entry_lane_fid")
        columns = (*references, "speed_limit_mps", "traffic_light_stop_line_fids")
        connectors = []
        for feature in self._package.read("lane_connectors", columns):
            group, before, after = (_integer(feature.columns[name]) for name in references)
            baseline = baselines.get(("lane_connector_fid", feature.fid))
            surface, polygon = surfaces.get(feature.fid, (None, None))
            left, right = _sides(surface, lines) if surface is not None else (None, None)
            if None in (group, before, after, baseline, polygon, left, right):
                self._left_out.append(f"lane_connectors {feature.fid}: lacks a baseline, a surface or a lane")
                continue
            assert group is not None and before is not None and after is not None and polygon is not None
            assert baseline is not None and left is not None and right is not None
            limit = _real(feature.columns["speed_limit_mps"])
            stops = _fid_list(feature.columns["traffic_light_stop_line_fids"])
            connectors.append(
                MapLaneConnector(feature.fid, group, before, after, polygon, baseline, left, right, limit, stops)
            )
        return tuple(connectors)

    def _roadblock_connectors(self) -> tuple[RoadblockConnector, ...]:
        columns = ("from_lane_group_fid", "to_lane_group_fid", "intersection_fid")
        connectors = []
        for feature, polygon in self._surfaces("lane_group_connectors", columns):
            before, after, area = (_integer(feature.columns[name]) for name in columns)
            if before is None or after is None:
                self._left_out.append(f"lane_group_connectors {feature.fid}: lacks a lane group")
                continue
            connectors.append(RoadblockConnector(feature.fid, before, after, area, polygon))
        return tuple(connectors)

    def _stop_polygons(self) -> tuple[StopPolygon, ...]:
        stops = []
        for feature, polygon in self._surfaces("stop_polygons", ("stop_polygon_type_fid",)):
            kind = _integer(feature.columns["stop_polygon_type_fid"])
            known = {int(k): k for k in StopPolygonKind}
            purpose = known.get(-1 if kind is None else kind, StopPolygonKind.UNKNOWN)
            stops.append(StopPolygon(feature.fid, polygon, purpose))
        return tuple(stops)


def _sides(feature: Feature, lines: Mapping[int, LineString]) -> tuple[LineString | None, LineString | None]:
    left, right = (_integer(feature.columns[name]) for name in ("left_boundary_fid", "right_boundary_fid"))
    return (
        lines.get(left) if left is not None else None,
        lines.get(right) if right is not None else None,
    )


def _integer(cell: Cell) -> int | None:
    """An id; files hold them as integers, as whole floating-point numbers (beside missing ones) or as text."""
    if cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell)):
        return None
    return int(float(cell)) if isinstance(cell, str) else int(cell)


def _real(cell: Cell) -> float | None:
    if cell is None or cell == "":
        return None
    value = float(cell)
    return None if math.isnan(value) else value


def _fid_list(cell: Cell) -> tuple[int, ...]:
    """Ids in a comma-separated text."""
    return tuple(int(word) for word in str(cell or "").replace(" ", "").split(",") if word)


def _kind(shape: object) -> str:
    return "nothing" if shape is None else type(shape).__name__
