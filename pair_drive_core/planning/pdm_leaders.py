"""Whom each of PDM-Closed's proposals follows: the nearest thing ahead in its corridor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from pair_drive_core.geometry import rectangle_corners
from pair_drive_core.planning.pdm_forecast import Forecast
from pair_drive_core.planning.pdm_paths import ParallelPaths
from pair_drive_core.scene import Scene, VehicleParameters
from pair_drive_core.simulation.sampling import SIMULATION_STEPS

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.int64]
ObjectArray = npt.NDArray[np.object_]

SEARCH_INTERVAL = 2
"""Steps between two searches for a leader."""
SEARCHES = (SIMULATION_STEPS - 1) // SEARCH_INTERVAL
"""Searches in 4 s: at steps 2, 4, ..., 40."""


@dataclass(frozen=True)
class Obstacles:
    """What can stand in the way: N objects, then R red lights' lane connectors.

    A hit is an obstacle that a path's corridor touches at one of Q searches. Hits are sorted by path and search; those
    of path `l` and search `q` are `hit_offsets[l * Q + q]` to `hit_offsets[l * Q + q + 1]`. Their order decides between
    obstacles that are equally near.

    Attributes:
        corners: (Q, N, 4, 2), the objects' boxes, local frame, m.
        lights: R rings, (P, 2), local frame, m.
        shapes: (Q, N + R) polygons of both; None where no corridor comes near.
        hit_offsets: (L * Q + 1,).
        hit_rows: (H,), the obstacle.
        hit_progress: (H,), where its centroid is along the path, m.
        heading: (N,), of the objects, rad.
        speed: (N,), m/s; zero for static objects.
    """

    corners: FloatArray
    lights: Sequence[FloatArray]
    shapes: ObjectArray
    hit_offsets: IndexArray
    hit_rows: IndexArray
    hit_progress: FloatArray
    heading: FloatArray
    speed: FloatArray

    def hits(self, path: int, search: int) -> slice:
        """Where the hits of a path and a search are."""
        cell = path * SEARCHES + search
        return slice(int(self.hit_offsets[cell]), int(self.hit_offsets[cell + 1]))


def find_obstacles(scene: Scene, forecast: Forecast, paths: ParallelPaths, corridors: ObjectArray) -> Obstacles:
    """Collect objects and red lights and see which of them the corridors touch.

    Objects that touch the ego at t0 and red connectors that hold the whole ego are no obstacles (official
    `PDMObservation.update`).
    """
    states = forecast.objects.states.double().numpy()[SEARCH_INTERVAL:SIMULATION_STEPS:SEARCH_INTERVAL]
    sizes, count = forecast.objects.sizes.double().numpy(), len(forecast.objects.tokens)
    center = states[..., :2] - paths.origin
    # Nobody turns in the forecast, so that a box is turned once.
    box = rectangle_corners(np.zeros((count, 2)), states[0, :, 2], sizes[:, 0], sizes[:, 1])
    corners = box + center[..., None, :]
    lights = _red_rings(scene, paths.origin)
    areas = np.array([shapely.Polygon(ring) for ring in lights], dtype=object)
    ignored = np.zeros(count + areas.shape[0], dtype=bool)
    ignored[:count] = forecast.touching.numpy()
    if areas.shape[0]:
        ego = vehicle_boxes(np.array([0.0, 0.0, scene.ego.pose[2].item()]), scene.vehicle)
        ignored[count:] = shapely.within(ego, areas)
        middle = np.array([(p.x, p.y) for p in shapely.centroid(areas)])
        center = np.concatenate((center, np.broadcast_to(middle, (SEARCHES, *middle.shape))), axis=1)
    shapes, (path, search, row) = _touched(corridors, corners, areas, ignored)
    standing = np.concatenate(((corners == corners[:1]).all(axis=(0, 2, 3)), np.ones(areas.shape[0], dtype=bool)))
    progress = _progress(paths, center, standing, path, search, row)
    per_cell = np.bincount(path * SEARCHES + search, minlength=corridors.shape[0] * SEARCHES)
    offsets = np.concatenate(([0], np.cumsum(per_cell)))
    speed = np.hypot(states[0, :, 3], states[0, :, 4])
    return Obstacles(corners, lights, shapes, offsets, row, progress, states[0, :, 2], speed)


def _touched(
    corridors: ObjectArray, corners: FloatArray, areas: ObjectArray, ignored: BoolArray
) -> tuple[ObjectArray, tuple[IndexArray, IndexArray, IndexArray]]:
    """Path, search and row of every shape that a corridor touches, without those to be ignored; and the shapes.

    A tree over all shapes is asked, as in the official code, because the first of several equally near shapes becomes
    the leader: the tree's order matters where boxes overlap the vehicle. Where only one shape is near, or none, there
    is no order, and no tree.
    """
    searches, count = corners.shape[:2]
    bounds = np.empty((searches, count + areas.shape[0], 4))
    bounds[:, :count, :2], bounds[:, :count, 2:] = corners.min(2), corners.max(2)
    bounds[:, count:] = shapely.bounds(areas).reshape(-1, 4)
    reach = shapely.bounds(corridors)
    # (L, Q, N + R), whether the bounds of corridor and shape meet.
    meets = (bounds[None, ..., :2] <= reach[:, None, None, 2:]) & (bounds[None, ..., 2:] >= reach[:, None, None, :2])
    near = meets.all(-1).any(0)
    shapes = np.full((searches, count + areas.shape[0]), None, dtype=object)
    shapes[:, count:] = areas
    found = []
    for at, here in enumerate(near):
        rows = np.flatnonzero(here)
        if rows.shape[0] > 1:
            shapes[at, :count] = shapely.polygons(corners[at])
            pairs = shapely.STRtree(shapes[at], node_capacity=10).query(corridors, predicate="intersects")
        else:
            boxes = rows[rows < count]
            shapes[at, boxes] = shapely.polygons(corners[at, boxes])
            path, row = np.nonzero(shapely.intersects(corridors[:, None], shapes[at, rows][None]))
            pairs = np.stack((path, rows[row]))
        found.append(pairs)
    search = np.repeat(np.arange(searches), [pair.shape[1] for pair in found])
    path, row = np.concatenate(found, axis=1)
    order = np.argsort(path, kind="stable")
    order = order[~ignored[row[order]]]
    return shapes, (path[order], search[order], row[order])


def _progress(
    paths: ParallelPaths,
    center: FloatArray,
    standing: BoolArray,
    path: IndexArray,
    search: IndexArray,
    row: IndexArray,
) -> FloatArray:
    """(H,): where centres (Q, N + R, 2) of hits are along their paths, m; what stands is looked up once a path."""
    places = center.shape[1]
    key = (path * SEARCHES + np.where(standing[row], 0, search)) * places + row
    _, first, again = np.unique(key, return_index=True, return_inverse=True)
    points = shapely.points(center[search[first], row[first]])
    found = np.asarray(shapely.line_locate_point(paths.lines[path[first]], points), dtype=np.float64)
    return found[again.reshape(-1)]


def _red_rings(scene: Scene, origin: FloatArray) -> list[FloatArray]:
    """Lane connectors on the route that are red at t0."""
    lights = scene.lights_on_route
    red = lights.red[0].nonzero()[:, 0].tolist() if lights.red.shape[0] else []
    rings = [lights.rings[i].double().numpy()[:, :2] - origin for i in red]
    return [ring for ring in rings if ring.shape[0] > 2]


def vehicle_boxes(pose: FloatArray, vehicle: VehicleParameters) -> ObjectArray:
    """Outlines of a vehicle whose rear axle is at poses (..., 3)."""
    direction = np.stack((np.cos(pose[..., 2]), np.sin(pose[..., 2])), axis=-1)
    center = pose[..., :2] + vehicle.rear_axle_to_center_m * direction
    return np.asarray(
        shapely.polygons(rectangle_corners(center, pose[..., 2], vehicle.length_m, vehicle.width_m)), dtype=object
    )


class LeaderSearch:
    """The leader of every proposal (official `_update_leading_agents`).

    Attributes:
        rear: (L, V), m along the path, the leader's rear end. Before the first search it is 0, as in the official code,
            so every proposal brakes in its first step.
        speed: (L, V), m/s, the leader's speed along the proposal's heading.
    """

    def __init__(
        self, obstacles: Obstacles, vehicle: VehicleParameters, path_ends: FloatArray, shape: tuple[int, int]
    ) -> None:
        self._obstacles = obstacles
        self._vehicle = vehicle
        self._path_ends = path_ends
        self.rear = np.zeros(shape)
        self.speed = np.zeros(shape)

    def update(self, search: int, poses: FloatArray, progress: FloatArray) -> None:
        """Search anew.

        Args:
            search: index into the searches of the obstacles.
            poses: (L, V, 3), where the proposals are, local frame.
            progress: (L, V), the same along their paths, m.
        """
        outlines = vehicle_boxes(poses, self._vehicle)
        for path in range(progress.shape[0]):
            hits = self._obstacles.hits(path, search)
            shapes = self._obstacles.shapes[search, self._obstacles.hit_rows[hits]]
            gaps = np.asarray(shapely.distance(outlines[path][:, None], shapes))
            self._follow(path, hits, gaps, poses[path, :, 2], progress[path])

    def _follow(self, path: int, hits: slice, gaps: FloatArray, heading: FloatArray, progress: FloatArray) -> None:
        """Choose the leader of each proposal of one path.

        The official code keeps one record for all proposals of a path: what a proposal does not write (the speed
        behind a red light or on a free road, the free road's margin behind a leader) stays from the one before it.
        """
        rows, where = self._obstacles.hit_rows[hits], self._obstacles.hit_progress[hits]
        speed, margin = 0.0, 0.0
        for proposal in range(progress.shape[0]):
            ahead = np.flatnonzero(where > progress[proposal])
            if ahead.shape[0] == 0:
                margin = self._vehicle.length_m / 2.0
                rear = float(self._path_ends[path])
            else:
                nearest = ahead[gaps[proposal, ahead].argmin()]
                rear, row = float(progress[proposal] + gaps[proposal, nearest]), rows[nearest]
                if row < self._obstacles.speed.shape[0]:
                    turn = self._obstacles.heading[row] - heading[proposal]
                    speed = float(self._obstacles.speed[row] * np.cos(turn))
            self.rear[path, proposal], self.speed[path, proposal] = rear - margin, speed
