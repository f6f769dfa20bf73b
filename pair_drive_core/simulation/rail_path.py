"""The rail that a simulated vehicle follows: a lane's centre line by distance travelled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from pair_drive_core.geometry import wrap_angle

FloatArray = npt.NDArray[np.float64]
_HEADING_LOOKAHEAD_M = 0.5
"""Distance over which nuPlan estimates the heading of a centre line at a point."""


@dataclass(frozen=True)
class RailPath:
    """Points of a path and their progress (nuPlan `InterpolatedPath`).

    Attributes:
        points: (P, 2), m.
        headings: (P,), rad, unwrapped.
        progress: (P,), m, strictly increasing; starts above zero when the first points coincide.
    """

    points: FloatArray
    headings: FloatArray
    progress: FloatArray

    @staticmethod
    def from_centerline(centerline: FloatArray) -> RailPath | None:
        """Build as nuPlan does: points that the next one repeats are dropped, and so is the last point.

        Args:
            centerline: (P, 3), x, y, heading.

        Returns:
            None where fewer than two points are left, which cannot carry a vehicle.
        """
        if centerline.shape[0] < 3:
            return None
        step = np.diff(centerline[:, :2], axis=0)
        progress = np.concatenate(([0.0], np.cumsum(np.linalg.norm(step, axis=1))))
        keep = np.flatnonzero(~np.isclose(np.diff(progress), 0.0))
        if keep.shape[0] < 2:
            return None
        return RailPath(centerline[keep, :2], np.unwrap(centerline[keep, 2]), progress[keep])

    @property
    def end(self) -> float:
        """Progress of the last point."""
        return float(self.progress[-1])

    def clamp(self, progress: float) -> float:
        """Progress within the path."""
        return max(float(self.progress[0]), min(progress, self.end))

    def state_at(self, progress: float) -> tuple[float, float, float]:
        """Pose x, y, heading at a progress within the path."""
        x = float(np.interp(progress, self.progress, self.points[:, 0]))
        y = float(np.interp(progress, self.progress, self.points[:, 1]))
        return x, y, wrap_angle(float(np.interp(progress, self.progress, self.headings)))

    def rest(self, progress: float) -> FloatArray:
        """(Q, 2): what lies ahead of a progress; the last stretch where nothing does."""
        ahead = self.points[self.progress > progress]
        if ahead.shape[0] == 0:
            return self.points[-2:]
        return np.concatenate(([self.state_at(progress)[:2]], ahead))

    def between(self, start: float, end: float) -> FloatArray:
        """(Q, 2): the stretch between two progresses within the path."""
        if not (self.progress > start).any():
            return self.points[-2:]
        if not (self.progress < end).any():
            return self.points[:2]
        inner = self.points[(self.progress > start) & (self.progress < end)]
        return np.concatenate(([self.state_at(start)[:2]], inner, [self.state_at(end)[:2]]))


def nearest_pose(line: shapely.LineString, x: float, y: float) -> tuple[float, float, float, float]:
    """Nearest point of a centre line and the direction of travel there (nuPlan `get_nearest_pose_from_position`).

    Returns:
        x, y, heading and distance along the line.
    """
    along = float(line.project(shapely.Point(x, y)))
    here, ahead = line.interpolate(along), line.interpolate(along + _HEADING_LOOKAHEAD_M)
    if here == ahead:
        ahead, behind = here, line.interpolate(along - _HEADING_LOOKAHEAD_M)
    else:
        behind = here
    heading = float(np.arctan2(ahead.y - behind.y, ahead.x - behind.x))
    return float(here.x), float(here.y), heading, along
