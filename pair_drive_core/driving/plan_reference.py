"""A plan as what a controller looks up: place, speed and acceleration by time; offset and curvature by place."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from pair_drive_core.driving.ego_track import US_PER_S
from pair_drive_core.geometry import wrap_angle
from pair_drive_core.scene.sensors import FloatArray
from pair_drive_core.simulation.plan_follower import TimedPlan

STANDING_M = 0.5
"""A plan shorter than this says where to stand, not where to steer."""
_SAMPLES = 10
"""Points of the path between two poses of the plan."""
_FEED_FORWARD_S = 0.4
"""Accelerations are the change of speed over this time: plans have a pose each half second."""


@dataclass(frozen=True)
class AlongPlan:
    """Where on its path the plan wants the vehicle at a moment.

    Attributes:
        distance_m: arc length from the plan's start.
        speed_mps: there.
        acceleration_mps2: mean of the next moments.
    """

    distance_m: float
    speed_mps: float
    acceleration_mps2: float


@dataclass(frozen=True)
class BesidePlan:
    """Where a vehicle is, seen from a plan's path.

    Attributes:
        distance_m: arc length of the nearest place.
        lateral_m: to the left of it.
        heading_rad: turned left against it.
    """

    distance_m: float
    lateral_m: float
    heading_rad: float


class PlanReference:
    """A plan prepared for tracking: a smooth path through its poses with their headings, and monotone progress on it.

    Args:
        plan: poses of the rear axle with times.
    """

    def __init__(self, plan: TimedPlan) -> None:
        self.start_us = plan.start_us
        self._start_s, self._end_s = float(plan.time_s[0]), float(plan.time_s[-1])
        self._path = _smooth_path(plan.poses)
        step = np.hypot(*np.diff(self._path[:, :2], axis=0).T)
        self._along = np.concatenate(([0.0], np.cumsum(step)))
        knots = self._along[::_SAMPLES]
        self._progress = PchipInterpolator(plan.time_s, knots)
        self._speed = self._progress.derivative()
        self._curvature_at, self._curvature = _curvature(knots, np.unwrap(plan.poses[:, 2]))

    @property
    def length_m(self) -> float:
        """Length of the path."""
        return float(self._along[-1])

    def age_s(self, time_us: int) -> float:
        """Time since the plan's t0."""
        return (time_us - self.start_us) / US_PER_S

    def along(self, time_us: int, preview_s: float = 0.0) -> AlongPlan:
        """Where the plan wants the vehicle; before its start and after its end it stands.

        Args:
            time_us: now.
            preview_s: how far ahead speed and acceleration are taken, for what the vehicle's reaction takes.
        """
        now_s = self.age_s(time_us)
        ahead_s = now_s + preview_s
        speed, later = self._speed_at(ahead_s), self._speed_at(ahead_s + _FEED_FORWARD_S)
        distance = float(self._progress(min(max(now_s, self._start_s), self._end_s)))
        return AlongPlan(distance, speed, (later - speed) / _FEED_FORWARD_S)

    def beside(self, pose: FloatArray) -> BesidePlan:
        """Where a vehicle is, seen from the path; beyond its ends the path goes straight on.

        Args:
            pose: (3,), in the plan's frame; m, rad.
        """
        offset = pose[:2] - self._path[:, :2]
        nearest = int(np.argmin(offset[:, 0] ** 2 + offset[:, 1] ** 2))
        x, y = offset[nearest].tolist()
        heading = float(self._path[nearest, 2])
        cos, sin = math.cos(heading), math.sin(heading)
        distance = float(self._along[nearest]) + x * cos + y * sin
        return BesidePlan(distance, y * cos - x * sin, wrap_angle(float(pose[2]) - heading))

    def pose(self, distance_m: float) -> FloatArray:
        """(3,) the path's place and heading at an arc length; m, rad."""
        at = min(max(distance_m, 0.0), self.length_m)
        return np.array([np.interp(at, self._along, self._path[:, column]) for column in range(3)])

    def curvature(self, distance_m: float) -> float:
        """Curvature of the path at a place, 1/m, left positive; 0 where it is too short to have one."""
        if self._curvature.size == 0:
            return 0.0
        return float(np.interp(distance_m, self._curvature_at, self._curvature))

    def _speed_at(self, time_s: float) -> float:
        if time_s >= self._end_s:
            return 0.0
        return max(float(self._speed(max(time_s, self._start_s))), 0.0)


def _smooth_path(poses: FloatArray) -> FloatArray:
    """(10 (P - 1) + 1, 3) points with headings on cubic curves that leave each pose along its heading."""
    heading = np.unwrap(poses[:, 2])
    start, end = poses[:-1, None, :2], poses[1:, None, :2]
    chord = np.hypot(*(poses[1:, :2] - poses[:-1, :2]).T)[:, None, None]
    direction = np.stack((np.cos(heading), np.sin(heading)), axis=-1)
    leave, arrive = chord * direction[:-1, None], chord * direction[1:, None]
    u = (np.arange(_SAMPLES) / _SAMPLES)[None, :, None]
    points = (
        (2 * u**3 - 3 * u**2 + 1) * start
        + (u**3 - 2 * u**2 + u) * leave
        + (3 * u**2 - 2 * u**3) * end
        + (u**3 - u**2) * arrive
    )
    turned = heading[:-1, None] + (heading[1:] - heading[:-1])[:, None] * u[..., 0]
    inner = np.concatenate((points, turned[..., None]), axis=-1).reshape(-1, 3)
    return np.concatenate((inner, [[*poses[-1, :2], heading[-1]]]))


def _curvature(along: FloatArray, heading: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Places and curvatures of the stretches between poses that are long enough to have one."""
    length = np.diff(along)
    long = length > STANDING_M
    middle = 0.5 * (along[1:] + along[:-1])
    return middle[long], np.diff(heading)[long] / length[long]
