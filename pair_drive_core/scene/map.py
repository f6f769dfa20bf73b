"""The vector map around a scene."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from pair_drive_core.scene.rings import PackedRings
from pair_drive_core.scene.validation import SceneError, require_dtype, require_finite, require_shape


class MapLayer(IntEnum):
    """The layers that matter to planning; values of nuPlan's `SemanticMapLayer`."""

    LANE = 0
    INTERSECTION = 1
    STOP_LINE = 2
    TURN_STOP = 3
    CROSSWALK = 4
    DRIVABLE_AREA = 5
    WALKWAYS = 8
    LANE_CONNECTOR = 11
    CARPARK_AREA = 15
    ROADBLOCK = 17
    ROADBLOCK_CONNECTOR = 18


@dataclass(frozen=True)
class MapPolygons:
    """Polygons of the map, in the global frame.

    Attributes:
        tokens: M map ids.
        layers: (M,) int64, values of `MapLayer`.
        rings: M open rings of (P, 2), m.
        on_route: (M,) bool, LANE or LANE_CONNECTOR of the route.
    """

    tokens: tuple[str, ...]
    layers: Tensor
    rings: PackedRings
    on_route: Tensor

    def validate(self) -> MapPolygons:
        """Check shapes and finiteness.

        Raises:
            SceneError: naming the field at fault.
        """
        count = len(self.tokens)
        require_shape("MapPolygons.layers", self.layers, (count,))
        require_shape("MapPolygons.on_route", self.on_route, (count,))
        require_dtype("MapPolygons.on_route", self.on_route, torch.bool)
        self.rings.validate("MapPolygons.rings")
        if len(self.rings) != count:
            raise SceneError(f"MapPolygons.rings: expected {count} rings, got {len(self.rings)}")
        return self


@dataclass(frozen=True)
class LaneGraph:
    """Lanes and lane connectors with their centre lines and successors.

    Attributes:
        tokens: L ids of lanes and lane connectors.
        is_connector: (L,) bool.
        roadblocks: L ids of the roadblock or roadblock connector of each.
        centerlines: L sequences of (P, 3): x, y, heading; global, m, rad.
        rings: L polygon rings, (P, 2), global, m.
        speed_limits_mps: (L,), NaN where the map gives none.
        successors: for each lane the indices of the lanes that follow it.
    """

    tokens: tuple[str, ...]
    is_connector: Tensor
    roadblocks: tuple[str, ...]
    centerlines: PackedRings
    rings: PackedRings
    speed_limits_mps: Tensor
    successors: tuple[tuple[int, ...], ...]

    def validate(self) -> LaneGraph:
        """Check that all fields speak of the same lanes.

        Raises:
            SceneError: naming the field at fault.
        """
        count = len(self.tokens)
        require_shape("LaneGraph.is_connector", self.is_connector, (count,))
        require_shape("LaneGraph.speed_limits_mps", self.speed_limits_mps, (count,))
        self.centerlines.validate("LaneGraph.centerlines")
        self.rings.validate("LaneGraph.rings")
        for name, size in (
            ("roadblocks", len(self.roadblocks)),
            ("centerlines", len(self.centerlines)),
            ("rings", len(self.rings)),
            ("successors", len(self.successors)),
        ):
            if size != count:
                raise SceneError(f"LaneGraph.{name}: expected {count} entries, got {size}")
        beyond = [i for row in self.successors for i in row if not 0 <= i < count]
        if beyond:
            raise SceneError(f"LaneGraph.successors: expected indices below {count}, got {beyond[:5]}")
        return self


@dataclass(frozen=True)
class Route:
    """Where the ego is going.

    Attributes:
        lane_tokens: lanes and connectors of the route, in order.
        centerline: (C, 3), x, y, heading of the route's centre line; global, m, rad. Consecutive lanes repeat their
            joint point.
    """

    lane_tokens: tuple[str, ...]
    centerline: Tensor

    def validate(self) -> Route:
        """Check the centre line.

        Raises:
            SceneError: naming what is wrong.
        """
        require_shape("Route.centerline", self.centerline, ("C", 3))
        require_finite("Route.centerline", self.centerline)
        if self.centerline.shape[0] < 2:
            raise SceneError(f"Route.centerline: expected at least 2 points, got {self.centerline.shape[0]}")
        return self
