"""Whether odometry is of one piece: pose and velocity tell the same story, in the same frames."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from pair_drive_core.driving.ego_track import US_PER_S, MotionSample
from pair_drive_core.driving.messages import MessageError

WINDOW_S = 0.5
"""Pose and velocity are compared over this time."""
APART_M, APART_SHARE = 1.0, 0.3
"""They may differ by so much, and by this share of the greater of both (slip, and noise of either)."""
JUMP_M = 1.5
"""A pose this much farther from the one before than any velocity explains has jumped."""


@dataclass(frozen=True)
class Frames:
    """Frames of a message: of the pose, and of the velocity."""

    pose: str
    velocity: str


class OdometryCheck:
    """Watches the odometry of one vehicle.

    Args:
        refuse_contradictions: whether a velocity that the pose contradicts is refused, as it must be in a vehicle;
            whoever evaluates a recording says so beside the plans instead.
    """

    def __init__(self, refuse_contradictions: bool = True) -> None:
        self._refuse_contradictions = refuse_contradictions
        self.jumps = 0
        self.last_jump_us: int | None = None
        self.last_jump_m = 0.0
        self._frames: Frames | None = None
        self._recent: deque[MotionSample] = deque()

    def reset(self) -> None:
        """Forget the past, as after a jump of time; another frame is taken then."""
        self._frames = None
        self._recent.clear()

    def check(self, sample: MotionSample, frames: Frames) -> bool:
        """Look at the next reading.

        Returns:
            Whether the pose has jumped since the last one: then nothing of the past may be used any more.

        Raises:
            MessageError: for a reading in other frames than before, or one that contradicts those before.
        """
        if self._frames is not None and frames != self._frames:
            raise MessageError(f"odometry: expected frames {self._frames} as before, got {frames}")
        self._frames = frames
        last = self._recent[-1] if self._recent else None
        if last is not None and not 0 < sample.time_us - last.time_us <= WINDOW_S * US_PER_S:
            self._recent.clear()  # Out of order, or after a gap: the synchroniser judges that.
            last = None
        jumped = False
        if last is not None:
            duration_s = (sample.time_us - last.time_us) / US_PER_S
            moved_m = float(np.hypot(*(sample.pose[:2] - last.pose[:2])))
            fastest_mps = max(float(np.hypot(*last.velocity)), float(np.hypot(*sample.velocity)))
            if moved_m > 2.0 * fastest_mps * duration_s + JUMP_M:
                self.jumps += 1
                self.last_jump_us, self.last_jump_m = sample.time_us, moved_m
                self._recent.clear()
                jumped = True
        self._recent.append(sample)
        while sample.time_us - self._recent[0].time_us > WINDOW_S * US_PER_S:
            self._recent.popleft()
        if self._refuse_contradictions:
            self._require_one_story()
        return jumped

    def _require_one_story(self) -> None:
        samples = tuple(self._recent)
        time_s = np.array([sample.time_us for sample in samples]) / US_PER_S
        place = np.array([sample.pose[:2] for sample in samples])
        speed = np.array([float(np.hypot(*sample.velocity)) for sample in samples])
        moved_m = float(np.hypot(*np.diff(place, axis=0).T).sum())
        told_m = float((0.5 * (speed[1:] + speed[:-1]) * np.diff(time_s)).sum())
        if abs(moved_m - told_m) > APART_M + APART_SHARE * max(moved_m, told_m):
            raise MessageError(
                f"odometry: expected pose and velocity to agree, got a pose that moved {moved_m:.2f} m in "
                f"{time_s[-1] - time_s[0]:.2f} s with a velocity that makes {told_m:.2f} m"
            )
