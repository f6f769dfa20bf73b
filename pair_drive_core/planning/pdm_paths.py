"""The parallel paths that PDM-Closed can follow: the route's centre line and copies beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import shapely
import shapely.ops

from pair_drive_core.geometry import normalise_angle
from pair_drive_core.scene import Scene, SceneError

FloatArray = npt.NDArray[np.float64]
_FIRST_M = 1e-5
"""Paths are never sampled before this distance (official `PDMPath.interpolate`)."""


@dataclass(frozen=True)
class ParallelPaths:
    """L paths with the same number of points (official `PDMPath` and `parallel_discrete_path`).

    Coordinates are shifted so that `origin` is zero; map coordinates of 1e6 m then cost no digits.

    Attributes:
        origin: (2,), global position of the frame's origin, m.
        points: (L, P, 2), m.
        headings: (L, P), rad, unwrapped along the path.
        progress: (L, P), m, distance travelled; non-decreasing.
        lines: L line strings.
    """

    origin: FloatArray
    points: FloatArray
    headings: FloatArray
    progress: FloatArray
    lines: npt.NDArray[np.object_] = field(repr=False)

    @staticmethod
    def beside(scene: Scene, offsets_m: Sequence[float]) -> ParallelPaths:
        """Paths at lateral offsets (left positive) of a scene's centre line.

        Raises:
            SceneError: if the centre line has fewer than two points or no length.
        """
        centerline = scene.route.centerline.double().numpy()
        origin = scene.ego.pose[:2].double().numpy()
        local = centerline[:, :2] - origin
        left = centerline[:, 2] + np.pi / 2.0
        normal = np.stack((np.cos(left), np.sin(left)), axis=-1)
        points = np.stack([local + offset * normal for offset in offsets_m])
        step = np.linalg.norm(np.diff(points, axis=1), axis=-1)
        progress = np.concatenate((np.zeros((len(offsets_m), 1)), np.cumsum(step, axis=1)), axis=1)
        if not progress[0, -1] > 0.0:
            raise SceneError("Route.centerline: expected a line with a length, got one point repeated")
        headings = np.broadcast_to(np.unwrap(centerline[:, 2]), progress.shape)
        return ParallelPaths(origin, points, headings, progress, shapely.linestrings(points))

    @property
    def length_m(self) -> FloatArray:
        """(L,), m."""
        return self.progress[:, -1]

    def project(self, points: FloatArray) -> FloatArray:
        """Distance along each path of the nearest point to each of (..., 2) local points: (L, ...), m."""
        where = shapely.points(points)
        lines = self.lines.reshape(-1, *(1,) * where.ndim) if isinstance(where, np.ndarray) else self.lines
        return np.asarray(shapely.line_locate_point(lines, where))

    def poses(self, distance: FloatArray) -> FloatArray:
        """Poses at distances along the paths, clipped to the ends.

        Args:
            distance: (L, Q), m.

        Returns:
            (L, Q, 3), local frame, heading in [-pi, pi].
        """
        out = np.empty((*distance.shape, 3))
        for path in range(distance.shape[0]):
            knots = self.progress[path]
            clipped = np.clip(distance[path], _FIRST_M, knots[-1])
            high = np.clip(np.searchsorted(knots, clipped), 1, knots.shape[0] - 1)
            low = high - 1
            span = knots[high] - knots[low]
            # Between two equal points there is nothing to interpolate: stay at the first.
            share = np.divide(clipped - knots[low], span, out=np.zeros_like(span), where=span > 0.0)
            out[path, :, :2] = self.points[path, low] + share[:, None] * (
                self.points[path, high] - self.points[path, low]
            )
            heading = self.headings[path, low] + share * (self.headings[path, high] - self.headings[path, low])
            out[path, :, 2] = normalise_angle(heading)
        return out

    def corridors(self, start: FloatArray, reach_m: float, width_m: float) -> npt.NDArray[np.object_]:
        """What a vehicle sweeps along each path (official `_get_driving_corridor`).

        As in the official code the corridor begins at the first path point after the vehicle and ends at the last one
        within reach, where there are at least two such points.

        Args:
            start: (L,), where the vehicle is on each path, m.
            reach_m: how far it looks ahead.
            width_m: width of the vehicle.

        Returns:
            (L,) polygons, local frame.
        """
        stretches = []
        for path in range(start.shape[0]):
            knots = self.progress[path]
            begin, end = np.clip((start[path], start[path] + reach_m), 0.0, knots[-1])
            inner = self.points[path, (begin <= knots) & (knots <= end)]
            if inner.shape[0] > 1:
                stretches.append(shapely.LineString(inner))
            else:
                stretches.append(shapely.ops.substring(self.lines[path], begin, end))
        return np.asarray(shapely.buffer(np.array(stretches), width_m / 2.0, quad_segs=16, cap_style="square"))
