"""Odometry as the motion of the ego frame, whatever frame it speaks of and whether or not its twist can be trusted."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from enum import Enum

import numpy as np

from pair_drive_core.driving.ego_track import US_PER_S, MotionSample
from pair_drive_core.driving.messages.odometry import OdometryLike, motion_sample, turn_rate
from pair_drive_core.geometry import wrap_angle
from pair_drive_core.scene.sensors import FloatArray

_WINDOW_S = 0.2
"""Time over which the change of the pose is taken for the velocity."""
_MOVING_MPS = 1.0
_LEAST_SAMPLES = 5
_SHARE, _MARGIN_MPS = 0.2, 0.5
"""How far a twist may be from the change of the pose: a share of the speed, but at least the margin."""


class TwistSource(str, Enum):
    """Where the ego's velocity is taken from."""

    ODOMETRY = "odometry"
    POSES = "poses"


class EgoOdometry:
    """Turns messages of the odometry into motion of the ego frame.

    Args:
        source: POSES takes the velocity from the change of the pose instead of from the twist.
    """

    def __init__(self, source: TwistSource = TwistSource.ODOMETRY) -> None:
        self._source = source
        self._recent: deque[MotionSample] = deque(maxlen=256)

    def motion(self, message: OdometryLike, ego_from_child: FloatArray | None) -> MotionSample:
        """Pose and velocity of the ego frame.

        Args:
            message: of the odometry; its pose and twist are those of `child_frame_id`.
            ego_from_child: (4, 4), from that frame into the ego frame; None where they are the same.

        Raises:
            MessageError: for a number that is not finite or an orientation that is no rotation.
        """
        sample = motion_sample(message, with_twist=self._source is TwistSource.ODOMETRY)
        if ego_from_child is not None:
            rate = turn_rate(message) if self._source is TwistSource.ODOMETRY else 0.0
            sample = _of_ego(sample, rate, ego_from_child)
        if self._source is TwistSource.ODOMETRY:
            return sample
        return MotionSample(sample.time_us, sample.pose, self._change_until(sample))

    def _change_until(self, sample: MotionSample) -> FloatArray:
        """(2,) velocity in the ego frame over the time just before a sample; zero at the first one."""
        if self._recent and abs(sample.time_us - self._recent[-1].time_us) > 2.0 * US_PER_S:
            self._recent.clear()
        while len(self._recent) > 1 and sample.time_us - self._recent[1].time_us >= _WINDOW_S * US_PER_S:
            self._recent.popleft()
        before = self._recent[0] if self._recent else sample
        if not self._recent or sample.time_us > self._recent[-1].time_us:
            self._recent.append(sample)
        if sample.time_us <= before.time_us:
            return np.zeros(2)
        return _velocity_between(before, sample)


def twist_problem(samples: Sequence[MotionSample]) -> str:
    """How the twist of a drive disagrees with the change of its poses; empty where it does not or the ego stands.

    Args:
        samples: in order of time.
    """
    times = np.array([sample.time_us for sample in samples], dtype=np.int64)
    later = np.searchsorted(times, times + round(_WINDOW_S * US_PER_S))
    derived, twist, heading = [], [], []
    for first, last in enumerate(later.tolist()):
        if last >= len(samples) or times[last] - times[first] > 3.0 * _WINDOW_S * US_PER_S:
            continue
        velocity = _velocity_between(samples[first], samples[last])
        if _MOVING_MPS < float(np.hypot(*velocity)) < 100.0:
            middle = samples[(first + last) // 2]
            derived.append(velocity)
            twist.append(middle.velocity)
            heading.append(float(middle.pose[2]))
    if len(derived) < _LEAST_SAMPLES:
        return ""
    change, given, turn = np.array(derived), np.array(twist), np.array(heading)
    speed = float(np.median(np.hypot(*change.T)))
    bound = max(_MARGIN_MPS, _SHARE * speed)
    error = _median_distance(change, given)
    if error <= bound:
        return ""
    cos, sin = np.cos(turn), np.sin(turn)
    in_world = np.column_stack((cos * change[:, 0] - sin * change[:, 1], sin * change[:, 0] + cos * change[:, 1]))
    if float(np.median(np.hypot(*given.T))) < 0.1 * speed:
        cause = f"is zero while the pose moves at {speed:.1f} m/s"
    elif _median_distance(in_world, given) <= bound:
        cause = "is given in the frame of the pose (header.frame_id) instead of in child_frame_id"
    elif _median_distance(-change, given) <= bound:
        cause = "points backwards: the pose moves forwards"
    else:
        cause = f"differs from the change of the pose by {error:.1f} m/s at {speed:.1f} m/s"
    return f"the twist of the odometry {cause}; odometry_twist:=poses takes the change of the pose instead"


def _median_distance(one: FloatArray, other: FloatArray) -> float:
    return float(np.median(np.hypot(*(one - other).T)))


def _velocity_between(before: MotionSample, after: MotionSample) -> FloatArray:
    """(2,) mean velocity between two samples, in the ego frame halfway."""
    step = (after.pose[:2] - before.pose[:2]) / ((after.time_us - before.time_us) / US_PER_S)
    heading = float(before.pose[2]) + 0.5 * wrap_angle(float(after.pose[2] - before.pose[2]))
    cos, sin = math.cos(heading), math.sin(heading)
    return np.array([cos * step[0] + sin * step[1], -sin * step[0] + cos * step[1]])


def _of_ego(sample: MotionSample, rate: float, ego_from_child: FloatArray) -> MotionSample:
    """The ego's motion from that of a frame fixed to it; the vehicle turns about its own vertical axis only."""
    x, y = float(ego_from_child[0, 3]), float(ego_from_child[1, 3])
    turn = math.atan2(float(ego_from_child[1, 0]), float(ego_from_child[0, 0]))
    heading = wrap_angle(float(sample.pose[2]) - turn)
    cos, sin = math.cos(heading), math.sin(heading)
    place = sample.pose[:2] - np.array([cos * x - sin * y, sin * x + cos * y])
    cos, sin = math.cos(turn), math.sin(turn)
    vx, vy = float(sample.velocity[0]), float(sample.velocity[1])
    velocity = np.array([cos * vx - sin * vy + rate * y, sin * vx + cos * vy - rate * x])
    return MotionSample(sample.time_us, np.array([place[0], place[1], heading]), velocity)
