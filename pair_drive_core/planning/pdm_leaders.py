"""Whom each of PDM-Closed's proposals follows: the nearest thing ahead in its corridor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

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
    """What can stand in the way; N objects, then the red lights' lane connectors.

    Attributes:
        shapes: (Q, N) polygons at each of Q searches, local frame.
        in_corridor: for each of L paths and each search the rows of what its corridor touches. The order decides
            between shapes that are equally near.
        progress: (L, Q, N), m, where the centroid is along the path; zero outside the corridor.
        heading: (N,), rad.
        speed: (N,), m/s; zero for static objects.
        is_light: (N,) bool.
    """

    shapes: ObjectArray
    in_corridor: Sequence[Sequence[IndexArray]]
    progress: FloatArray
    heading: FloatArray
    speed: FloatArray
    is_light: BoolArray


def boxes(
    center: FloatArray, heading: FloatArray, length: FloatArray | float, width: FloatArray | float
) -> ObjectArray:
    """Rectangles (...,) around centres (..., 2)."""
    cos, sin = np.cos(heading), np.sin(heading)
    along = np.stack((cos, sin), axis=-1) * np.expand_dims(np.asarray(length) / 2.0, -1)
    across = np.stack((-sin, cos), axis=-1) * np.expand_dims(np.asarray(width) / 2.0, -1)
    corners = np.stack((along + across, -along + across, -along - across, along - across), axis=-2)
    return np.asarray(shapely.polygons(corners + center[..., None, :]), dtype=object)


def find_obstacles(scene: Scene, forecast: Forecast, paths: ParallelPaths, corridors: ObjectArray) -> Obstacles:
    """Collect objects and red lights and see which of them the corridors touch.

    Objects that touch the ego at t0 and red connectors that hold the whole ego are no obstacles (official
    `PDMObservation.update`).
    """
    objects = forecast.objects
    states = objects.states.double().numpy()[SEARCH_INTERVAL:SIMULATION_STEPS:SEARCH_INTERVAL]
    sizes, count = objects.sizes.double().numpy(), len(objects.tokens)
    center = states[..., :2] - paths.origin
    lights, inside = _red_connectors(scene, paths.origin)
    total = count + lights.shape[0]
    shapes = np.empty((SEARCHES, total), dtype=object)
    shapes[:, :count] = boxes(center, states[..., 2], sizes[:, 0], sizes[:, 1])
    shapes[:, count:] = lights
    middle = np.array([(p.x, p.y) for p in shapely.centroid(lights)]).reshape(-1, 2)
    center = np.concatenate((center, np.broadcast_to(middle, (SEARCHES, *middle.shape))), axis=1)
    in_corridor = _touched(corridors, shapes, np.concatenate((forecast.touching.numpy(), inside)))
    progress = np.zeros((len(in_corridor), SEARCHES, total))
    for path, searches in enumerate(in_corridor):
        for search, rows in enumerate(searches):
            where = shapely.points(center[search, rows])
            progress[path, search, rows] = shapely.line_locate_point(paths.lines[path], where)
    heading, speed = np.zeros(total), np.zeros(total)
    heading[:count], speed[:count] = states[0, :, 2], np.hypot(states[0, :, 3], states[0, :, 4])
    return Obstacles(shapes, in_corridor, progress, heading, speed, np.arange(total) >= count)


def _touched(corridors: ObjectArray, shapes: ObjectArray, ignored: BoolArray) -> list[list[IndexArray]]:
    """For each corridor and search the rows of the shapes that it touches, without those to be ignored.

    A tree over all shapes is asked, as in the official code, because the first of several equally near shapes becomes
    the leader: the tree's order matters where boxes overlap the vehicle.
    """
    out: list[list[IndexArray]] = [[] for _ in corridors]
    for row in shapes:
        path, hits = shapely.STRtree(row, node_capacity=10).query(corridors, predicate="intersects")
        for i, found in enumerate(out):
            mine = hits[path == i]
            found.append(mine[~ignored[mine]])
    return out


def _red_connectors(scene: Scene, origin: FloatArray) -> tuple[ObjectArray, BoolArray]:
    """Lane connectors on the route that are red at t0, and which of them hold the whole ego."""
    lights, pose = scene.lights, scene.ego.pose.double().numpy()
    red = lights.red[0].nonzero()[:, 0].tolist() if lights.red.shape[0] else []
    rings = [lights.rings[i].double().numpy()[:, :2] - origin for i in red]
    shapes = np.array([shapely.Polygon(ring) for ring in rings if ring.shape[0] > 2], dtype=object)
    ego = vehicle_boxes(np.array([0.0, 0.0, pose[2]]), scene.vehicle)
    return shapes, np.asarray(shapely.within(ego, shapes), dtype=bool)


def vehicle_boxes(pose: FloatArray, vehicle: VehicleParameters) -> ObjectArray:
    """Outlines of a vehicle whose rear axle is at poses (..., 3)."""
    direction = np.stack((np.cos(pose[..., 2]), np.sin(pose[..., 2])), axis=-1)
    center = pose[..., :2] + vehicle.rear_axle_to_center_m * direction
    return boxes(center, pose[..., 2], vehicle.length_m, vehicle.width_m)


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
            rows = self._obstacles.in_corridor[path][search]
            shapes, where = self._obstacles.shapes[search, rows], self._obstacles.progress[path, search, rows]
            gaps = np.asarray(shapely.distance(outlines[path][:, None], shapes))
            self._follow(path, rows, where, gaps, poses[path, :, 2], progress[path])

    def _follow(
        self,
        path: int,
        rows: IndexArray,
        where: FloatArray,
        gaps: FloatArray,
        heading: FloatArray,
        progress: FloatArray,
    ) -> None:
        """Choose the leader of each proposal of one path.

        The official code keeps one record for all proposals of a path: what a proposal does not write (the speed
        behind a red light or on a free road, the free road's margin behind a leader) stays from the one before it.
        """
        speed, margin = 0.0, 0.0
        for proposal in range(progress.shape[0]):
            ahead = np.flatnonzero(where > progress[proposal])
            if ahead.shape[0] == 0:
                rear, margin = float(self._path_ends[path]), self._vehicle.length_m / 2.0
            else:
                nearest = ahead[gaps[proposal, ahead].argmin()]
                rear, row = float(progress[proposal] + gaps[proposal, nearest]), rows[nearest]
                if not self._obstacles.is_light[row]:
                    turn = self._obstacles.heading[row] - heading[proposal]
                    speed = float(self._obstacles.speed[row] * np.cos(turn))
            self.rear[path, proposal], self.speed[path, proposal] = rear - margin, speed
