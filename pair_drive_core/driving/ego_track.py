"""The ego's recent motion, looked up at any moment of it."""

from __future__ import annotations

import bisect
from dataclasses import dataclass

import numpy as np

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.scene.sensors import FloatArray

US_PER_S = 1_000_000


@dataclass(frozen=True)
class MotionSample:
    """One reading of the ego's motion.

    Attributes:
        time_us: stamp.
        pose: (3,) x, y, heading of the rear axle in a continuous frame; m, rad.
        velocity: (2,) ego frame, m/s.
    """

    time_us: int
    pose: FloatArray
    velocity: FloatArray


class EgoTrack:
    """Motion samples of the last seconds, in order of their stamps.

    Args:
        horizon_s: how long samples are kept.
        max_gap_s: the longest gap between two samples that is interpolated over.
    """

    def __init__(self, horizon_s: float, max_gap_s: float) -> None:
        self._horizon_us = round(horizon_s * US_PER_S)
        self._max_gap_us = round(max_gap_s * US_PER_S)
        self._samples: list[MotionSample] = []
        self._accelerations: list[tuple[int, FloatArray]] = []

    @property
    def newest_us(self) -> int | None:
        """Stamp of the newest motion sample."""
        return self._samples[-1].time_us if self._samples else None

    @property
    def accelerations(self) -> tuple[tuple[int, FloatArray], ...]:
        """Measured accelerations with their stamps, oldest first."""
        return tuple(self._accelerations)

    def clear(self) -> None:
        """Forget everything."""
        self._samples.clear()
        self._accelerations.clear()

    def clear_accelerations(self) -> None:
        """Forget the measured accelerations."""
        self._accelerations.clear()

    def add(self, sample: MotionSample) -> bool:
        """Append a sample; one that is not newer than the newest is refused (returns False)."""
        if self._samples and sample.time_us <= self._samples[-1].time_us:
            return False
        self._samples.append(sample)
        oldest = sample.time_us - self._horizon_us
        while len(self._samples) > 2 and self._samples[1].time_us < oldest:
            del self._samples[0]
        return True

    def add_acceleration(self, time_us: int, acceleration: FloatArray) -> bool:
        """Append a measured acceleration, (2,) ego frame, m/s^2; one that is not newer is refused (returns False)."""
        if self._accelerations and time_us <= self._accelerations[-1][0]:
            return False
        self._accelerations.append((time_us, acceleration))
        oldest = time_us - self._horizon_us
        while len(self._accelerations) > 2 and self._accelerations[1][0] < oldest:
            del self._accelerations[0]
        return True

    def covers(self, time_us: int) -> bool:
        """Whether two samples close enough to each other lie around the moment (or one exactly on it)."""
        return self._bracket(time_us) is not None

    def motion_at(self, time_us: int) -> MotionSample:
        """Pose and velocity interpolated at a moment; the heading goes the short way round.

        Raises:
            LookupError: if the moment is not covered.
        """
        bracket = self._bracket(time_us)
        if bracket is None:
            raise LookupError(f"no ego motion within {self._max_gap_us / US_PER_S} s around {time_us} us")
        before, after = bracket
        span = after.time_us - before.time_us
        fraction = (time_us - before.time_us) / span if span else 0.0
        turn = wrap_angle(float(after.pose[2] - before.pose[2]))
        xy = before.pose[:2] + fraction * (after.pose[:2] - before.pose[:2])
        pose = np.array([xy[0], xy[1], wrap_angle(float(before.pose[2]) + fraction * turn)])
        return MotionSample(time_us, pose, before.velocity + fraction * (after.velocity - before.velocity))

    def acceleration_at(self, time_us: int, window_s: float = 0.2) -> FloatArray:
        """(2,) acceleration in the ego frame at a moment, m/s^2.

        A measured one where one was received within the window; else the change of the velocity over the window
        before the moment (zero before two samples have been received). The velocity is told in a frame that turns, so
        to its change comes the yaw rate times the velocity: driving on a circle is an acceleration to its middle.
        """
        window_us = round(window_s * US_PER_S)
        if self._accelerations:
            nearest = min(self._accelerations, key=lambda entry: abs(entry[0] - time_us))
            if abs(nearest[0] - time_us) <= window_us:
                return nearest[1]
        past = [s for s in self._samples if time_us - window_us <= s.time_us <= time_us]
        if len(past) < 2:
            past = [s for s in self._samples if s.time_us <= time_us][-2:]
        if len(past) < 2:
            return np.zeros(2)
        duration_s = (past[-1].time_us - past[0].time_us) / US_PER_S
        change = (past[-1].velocity - past[0].velocity) / duration_s
        yaw_rate = wrap_angle(float(past[-1].pose[2] - past[0].pose[2])) / duration_s
        mean = 0.5 * (past[0].velocity + past[-1].velocity)
        return np.array([change[0] - yaw_rate * mean[1], change[1] + yaw_rate * mean[0]])

    def _bracket(self, time_us: int) -> tuple[MotionSample, MotionSample] | None:
        """The samples before and after a moment, if they are close enough to each other."""
        index = bisect.bisect_left(self._samples, time_us, key=lambda sample: sample.time_us)
        if index == len(self._samples):
            return None
        after = self._samples[index]
        if after.time_us == time_us:
            return after, after
        if index == 0 or after.time_us - self._samples[index - 1].time_us > self._max_gap_us:
            return None
        return self._samples[index - 1], after
