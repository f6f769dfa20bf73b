"""The lane on which PDM-Closed sees the ego, whose speed limit it keeps."""

from __future__ import annotations

import math

import numpy as np
import shapely

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.planning.pdm_leaders import vehicle_boxes
from pair_drive_core.scene import LaneGraph, Scene


def starting_lane(scene: Scene, lanes: LaneGraph) -> int | None:
    """Index of the route's lane under the ego (official `_get_starting_lane`).

    Of the lanes that hold the rear axle the one whose centre line points most like the ego; where none does, the first
    one on the route that holds the ego's centre, and else the one nearest to the ego's outline.

    Returns:
        None where the lane graph holds no lane of the route.
    """
    row = {token: i for i, token in enumerate(lanes.tokens)}
    route = [row[token] for token in scene.route.lane_tokens if token in row]
    route = [i for i in route if lanes.rings[i].shape[0] > 2 and lanes.centerlines[i].shape[0] > 0]
    if not route:
        return None
    pose = scene.ego.pose.double().numpy()
    # Everything is seen from the rear axle, so that map coordinates of 1e6 m cost no digits.
    areas = [shapely.Polygon(lanes.rings[i].double().numpy()[:, :2] - pose[:2]) for i in route]
    under = np.flatnonzero(shapely.intersects(areas, shapely.Point(0.0, 0.0)))
    if under.shape[0]:
        errors = [_heading_error(lanes, route[i], pose) for i in under]
        return route[int(under[np.argmin(errors)])]
    center = scene.vehicle.rear_axle_to_center_m * np.array([np.cos(pose[2]), np.sin(pose[2])])
    holding = np.flatnonzero(shapely.contains(areas, shapely.Point(center)))
    if holding.shape[0]:
        return route[int(holding[0])]
    outline = vehicle_boxes(np.array([0.0, 0.0, pose[2]]), scene.vehicle)
    return route[int(np.argmin(shapely.distance(areas, outline)))]


def _heading_error(lanes: LaneGraph, lane: int, pose: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """How far the ego's heading is from the centre line's at its nearest point, rad."""
    centerline = lanes.centerlines[lane].double().numpy()
    nearest = int(np.linalg.norm(centerline[:, :2] - pose[:2], axis=-1).argmin())
    return abs(wrap_angle(float(centerline[nearest, 2] - pose[2])))


def speed_limit(scene: Scene) -> float | None:
    """Speed limit under the ego, m/s; None where the map does not give a positive one or there is no lane graph."""
    if scene.lanes is None:
        return None
    lane = starting_lane(scene, scene.lanes)
    limit = math.nan if lane is None else float(scene.lanes.speed_limits_mps[lane])
    return limit if limit > 0.0 and math.isfinite(limit) else None
