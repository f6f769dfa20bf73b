"""Several maps side by side in one city: the official devkit knows four cities, an export may hold more towns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import shapely

from pair_drive_core.datasets.maps.nuplan_map import (
    MapArea,
    MapLane,
    MapLaneConnector,
    NuplanMap,
    Roadblock,
    RoadblockConnector,
    StopPolygon,
)
from pair_drive_core.scene import SceneError

TILE_SIZE_M = 10_000.0
"""Distance between two tiles; far beyond the 100 m that a scene looks at."""
TILE_FIDS = 1_000_000
"""Ids that a tile may use."""

_REFERENCES = (
    "fid",
    "roadblock",
    "roadblock_connector",
    "incoming_lane",
    "outgoing_lane",
    "incoming_roadblock",
    "outgoing_roadblock",
    "intersection",
    "stop_polygons",
)
_SHAPES = ("polygon", "baseline", "left_boundary", "right_boundary")

Placed = TypeVar("Placed", MapLane, MapLaneConnector, Roadblock, RoadblockConnector, StopPolygon, MapArea)


@dataclass(frozen=True)
class MapTile:
    """A place for a map within a city.

    Attributes:
        location: the city.
        number: which place; 0 leaves coordinates and ids as they are.
    """

    location: str
    number: int

    @property
    def east_m(self) -> float:
        """How far the tile lies to the east."""
        return self.number * TILE_SIZE_M

    @property
    def first_fid(self) -> int:
        """What is added to ids."""
        return self.number * TILE_FIDS

    def place_map(self, nuplan_map: NuplanMap) -> NuplanMap:
        """The map in its place.

        Raises:
            SceneError: if an id is too large.
        """
        moved = {
            field.name: tuple(self._place(element) for element in getattr(nuplan_map, field.name))
            for field in fields(nuplan_map)
            if field.name not in ("location", "left_out")
        }
        return replace(nuplan_map, location=self.location, **moved)

    def _place(self, element: Placed) -> Placed:
        changes: dict[str, Any] = {}
        for name in _REFERENCES:
            value = getattr(element, name, None)
            if isinstance(value, tuple):
                changes[name] = tuple(self._fid(fid) for fid in value)
            elif value is not None:
                changes[name] = self._fid(value)
        shift = np.array([self.east_m, 0.0])
        for name in _SHAPES:
            if hasattr(element, name):
                changes[name] = shapely.transform(getattr(element, name), lambda xy: xy + shift)
        return replace(element, **changes)

    def _fid(self, fid: int) -> int:
        if fid >= TILE_FIDS:
            raise SceneError(f"map element {fid}: expected an id below {TILE_FIDS}")
        return fid + self.first_fid


def merged_map(maps: Sequence[NuplanMap]) -> NuplanMap:
    """Several maps of one city as one.

    Args:
        maps: at least one, with different ids.

    Raises:
        SceneError: if they are of different cities or share ids.
    """
    locations = {nuplan_map.location for nuplan_map in maps}
    if len(locations) != 1:
        raise SceneError(f"expected maps of one city, got {sorted(locations)}")
    parts = {
        field.name: tuple(element for nuplan_map in maps for element in getattr(nuplan_map, field.name))
        for field in fields(maps[0])
        if field.name != "location"
    }
    return NuplanMap(location=maps[0].location, **parts).validate()
