"""On which parts of the map the vehicle stands (official `_calculate_ego_area`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.scene import MapLayer
from pair_drive_core.scoring.polygon_index import PolygonIndex
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.ragged import expand
from pair_drive_core.scoring.rollouts import Rollouts

_LANE_LAYERS = (MapLayer.LANE, MapLayer.LANE_CONNECTOR)
_DRIVABLE_LAYERS = (MapLayer.ROADBLOCK, MapLayer.INTERSECTION, MapLayer.DRIVABLE_AREA, MapLayer.CARPARK_AREA)


@dataclass(frozen=True)
class EgoAreas:
    """Flags of every step, each (S, K, 41) bool.

    Attributes:
        multiple_lanes: more than one lane or connector contains a corner, and none contains all four.
        non_drivable: some corner is in no roadblock, intersection, drivable area or car park.
        oncoming: the centre is in no lane or connector of the route.
        center_in_intersection: the centre is in an intersection.
        axle_in_intersection: the centre of the rear axle is in an intersection.
    """

    multiple_lanes: Tensor
    non_drivable: Tensor
    oncoming: Tensor
    center_in_intersection: Tensor
    axle_in_intersection: Tensor

    @property
    def not_in_own_lane(self) -> Tensor:
        """(S, K, 41) bool: between lanes or partly off the road, which makes lateral contacts the ego's fault."""
        return self.multiple_lanes | self.non_drivable


def ego_areas(rollouts: Rollouts, prepared: PreparedScenes, index: PolygonIndex) -> EgoAreas:
    """Find the areas of all rollouts.

    Args:
        rollouts: S scenes, K candidates.
        prepared: the scenes' map polygons.
        index: of the same polygons.
    """
    scenes, candidates, steps = rollouts.shape
    points = torch.cat((rollouts.corners, rollouts.center[..., None, :], rollouts.states[..., None, :2]), dim=-2)
    points = points.reshape(-1, 6, 2)
    place, polygon = _nearby(rollouts, prepared, index)
    layer, on_route = prepared.polygon_layers[polygon], prepared.polygon_on_route[polygon]
    is_lane, is_drivable = _is_layer(layer, _LANE_LAYERS), _is_layer(layer, _DRIVABLE_LAYERS)
    is_intersection = layer == int(MapLayer.INTERSECTION)
    # Corners matter everywhere, the centre in lanes of the route and intersections, the axle in intersections only.
    corner = torch.ones_like(is_lane)
    wanted = torch.stack((*(corner,) * 4, (is_lane & on_route) | is_intersection, is_intersection), dim=-1)
    inside = index.contains(points[place], polygon, wanted)
    total = points.shape[0]
    corners = inside[:, :4]
    lanes = torch.zeros(total, dtype=torch.int32, device=points.device)
    lanes.index_add_(0, place, (corners.any(-1) & is_lane).to(torch.int32))
    whole = _any_at(place, corners.all(-1) & is_lane, total)
    covered = torch.stack([_any_at(place, corners[:, i] & is_drivable, total) for i in range(4)], dim=-1)
    flags = (
        (lanes > 1) & ~whole,
        ~covered.all(-1),
        ~_any_at(place, inside[:, 4] & is_lane & on_route, total),
        _any_at(place, inside[:, 4] & is_intersection, total),
        _any_at(place, inside[:, 5] & is_intersection, total),
    )
    return EgoAreas(*(flag.reshape(scenes, candidates, steps) for flag in flags))


def _nearby(rollouts: Rollouts, prepared: PreparedScenes, index: PolygonIndex) -> tuple[Tensor, Tensor]:
    """Pairs of a step and a polygon whose bounding boxes meet.

    Returns:
        `place` (Q,) int64, flat index of scene, candidate and step; `polygon` (Q,) int64.
    """
    scenes, candidates, steps = rollouts.shape
    low = torch.minimum(rollouts.corners.amin(-2), rollouts.states[..., :2]).reshape(-1, steps, 2)
    high = torch.maximum(rollouts.corners.amax(-2), rollouts.states[..., :2]).reshape(-1, steps, 2)
    # First whole trajectories against the polygons of their scene, then single steps.
    scene = torch.arange(scenes, device=low.device).repeat_interleave(candidates)
    start = prepared.polygon_offsets[:-1][scene]
    trajectory, polygon = expand(start, prepared.polygon_offsets.diff()[scene])
    keep = _meets(low.amin(1)[trajectory], high.amax(1)[trajectory], index.low[polygon], index.high[polygon])
    trajectory, polygon = trajectory[keep], polygon[keep]
    near = _meets(low[trajectory], high[trajectory], index.low[polygon][:, None], index.high[polygon][:, None])
    pair, step = near.nonzero(as_tuple=True)
    return trajectory[pair] * steps + step, polygon[pair]


def _meets(low: Tensor, high: Tensor, other_low: Tensor, other_high: Tensor) -> Tensor:
    return ((low <= other_high) & (high >= other_low)).all(-1)


def _is_layer(layer: Tensor, wanted: tuple[MapLayer, ...]) -> Tensor:
    flag = torch.zeros_like(layer, dtype=torch.bool)
    for value in wanted:
        flag |= layer == int(value)
    return flag


def _any_at(place: Tensor, flag: Tensor, total: int) -> Tensor:
    """(total,) bool: whether any flagged row has this place."""
    out = torch.zeros(total, dtype=torch.bool, device=place.device)
    out[place[flag]] = True
    return out
