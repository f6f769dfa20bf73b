"""A town's road network in the tensors of a scene's map."""

from __future__ import annotations

import numpy as np
import torch

from pair_drive_core.scene import LaneGraph, MapLayer, MapPolygons, PackedRings
from pair_drive_core.town.curves import FloatArray, snap, unit
from pair_drive_core.town.network import RoadNetwork

STOP_LINE_DEPTH_M = 0.6


class TownMap:
    """Everything of a network that a scene needs, prepared once and cut out around each ego.

    Attributes:
        network: the network.
        lanes: its lane graph, the same for every scene of the town.
    """

    def __init__(self, network: RoadNetwork) -> None:
        self.network = network
        entries = _polygons(network)
        self._tokens = [token for token, _, _ in entries]
        self._layers = torch.tensor([int(layer) for _, layer, _ in entries], dtype=torch.int64)
        self._rings = [torch.from_numpy(ring) for _, _, ring in entries]
        low = np.array([ring.min(0) for _, _, ring in entries])
        high = np.array([ring.max(0) for _, _, ring in entries])
        self._low, self._high = low, high
        self.lanes = _lane_graph(network)
        self._block_lanes: dict[str, list[str]] = {}
        for lane in network.lanes:
            self._block_lanes.setdefault(lane.roadblock, []).append(lane.token)
        self._boxes_low = np.array([lane.ring.min(0) for lane in network.lanes])
        self._boxes_high = np.array([lane.ring.max(0) for lane in network.lanes])

    def lanes_of_roadblocks(self, roadblocks: list[str]) -> tuple[str, ...]:
        """Tokens of the lanes of roadblocks, in the order of the roadblocks."""
        return tuple(token for block in roadblocks for token in self._block_lanes[block])

    def around(self, center: FloatArray, radius_m: float, route_lanes: set[str]) -> MapPolygons:
        """Polygons within reach of a place.

        Args:
            center: (2,), m.
            radius_m: a polygon counts when its bounding box comes nearer than this.
            route_lanes: tokens of the lanes and connectors on the ego's route.
        """
        gap = np.maximum(np.maximum(self._low - center, center - self._high), 0.0)
        chosen = np.nonzero(np.hypot(gap[:, 0], gap[:, 1]) < radius_m)[0]
        tokens = tuple(self._tokens[i] for i in chosen)
        return MapPolygons(
            tokens,
            self._layers[torch.from_numpy(chosen)],
            PackedRings.from_sequences([self._rings[i] for i in chosen]),
            torch.tensor([token in route_lanes for token in tokens], dtype=torch.bool),
        )


def _polygons(network: RoadNetwork) -> list[tuple[str, MapLayer, FloatArray]]:
    """The layers in the order of the official drivable map, then those that only the BEV targets need."""
    entries: list[tuple[str, MapLayer, FloatArray]] = []
    blocks = list(zip(network.roadblocks, network.roadblock_is_connector, strict=True))
    entries += [(b.token, MapLayer.ROADBLOCK, b.ring) for b, connector in blocks if not connector]
    entries += [(lane.token, MapLayer.LANE, lane.ring) for lane in network.lanes if not lane.is_connector]
    entries += [(lane.token, MapLayer.LANE_CONNECTOR, lane.ring) for lane in network.lanes if lane.is_connector]
    entries += [(j.area.token, MapLayer.INTERSECTION, j.area.ring) for j in network.junctions]
    entries += [(p.token, MapLayer.CARPARK_AREA, p.ring) for p in network.carparks]
    entries += [(b.token, MapLayer.ROADBLOCK_CONNECTOR, b.ring) for b, connector in blocks if connector]
    for junction in network.junctions:
        entries += [(c.token, MapLayer.CROSSWALK, c.ring) for c in junction.crosswalks.values()]
    entries += [(p.token, MapLayer.WALKWAYS, p.ring) for p in network.walkways]
    for lane in network.lanes:
        if not lane.is_connector:
            entries.append((f"{lane.token}s", MapLayer.STOP_LINE, _stop_line(lane.centerline[-1], lane.width_m)))
    return entries


def _stop_line(end: FloatArray, width_m: float) -> FloatArray:
    """(4, 2): the bar at the end of a lane."""
    along, across = unit(end[2]), unit(end[2] + np.pi / 2.0) * width_m / 2.0
    back = end[:2] - STOP_LINE_DEPTH_M * along
    return snap(np.stack((end[:2] + across, back + across, back - across, end[:2] - across)))


def _lane_graph(network: RoadNetwork) -> LaneGraph:
    return LaneGraph(
        tuple(lane.token for lane in network.lanes),
        torch.tensor([lane.is_connector for lane in network.lanes], dtype=torch.bool),
        tuple(lane.roadblock for lane in network.lanes),
        PackedRings.from_sequences([torch.from_numpy(lane.centerline) for lane in network.lanes], width=3),
        PackedRings.from_sequences([torch.from_numpy(lane.ring) for lane in network.lanes]),
        torch.tensor([lane.speed_limit_mps for lane in network.lanes], dtype=torch.float64),
        tuple(lane.successors for lane in network.lanes),
    )
