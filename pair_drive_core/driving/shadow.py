"""Compares plans with what the driver really did, once it is known; no node, no messages."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pair_drive_core.driving.ego_track import US_PER_S, EgoTrack, MotionSample
from pair_drive_core.geometry import wrap_angle
from pair_drive_core.simulation.plan_follower import TimedPlan

HORIZONS_S = (1.0, 2.0, 3.0, 4.0)
_MAX_GAP_S = 0.5
"""Longest gap of the odometry that is interpolated over."""


@dataclass(frozen=True)
class ShadowLimits:
    """From when on a disagreement is large, at any horizon.

    Attributes:
        along_m: ahead or behind.
        across_m: to either side.
        odometry_jump_m: a step of the odometry longer than its speed explains by this starts the comparison anew.
    """

    along_m: float = 6.0
    across_m: float = 1.5
    odometry_jump_m: float = 1.0


@dataclass(frozen=True)
class Disagreement:
    """A plan against the driver, at `HORIZONS_S` after its t0, seen from where the driver was then.

    Attributes:
        plan_us: t0.
        along_m: the plan is ahead by this.
        across_m: and to the left.
        heading_rad: and turned left.
        large: whether a limit was passed.
        planner: its name.
        fallback: whether it was the planner's fallback.
    """

    plan_us: int
    along_m: tuple[float, ...]
    across_m: tuple[float, ...]
    heading_rad: tuple[float, ...]
    large: bool
    planner: str
    fallback: bool


@dataclass(frozen=True)
class _Waiting:
    """A plan whose future is not known yet."""

    plan: TimedPlan
    planner: str
    fallback: bool


class ShadowComparer:
    """Takes plans and odometry in any order; gives each plan's disagreement when its last horizon has been driven.

    Args:
        limits: from when on a disagreement is large.
    """

    def __init__(self, limits: ShadowLimits | None = None) -> None:
        self._limits = limits or ShadowLimits()
        self._track = EgoTrack(HORIZONS_S[-1] + 2.0, _MAX_GAP_S)
        self._waiting: list[_Waiting] = []
        self._frame = ""
        self._last: MotionSample | None = None
        self.not_compared = 0
        """Plans of which it never became known what the driver did: jumps, gaps, other frames."""

    def reset(self) -> None:
        """Forget everything, as after a jump of time."""
        self._track.clear()
        self.not_compared += len(self._waiting)
        self._waiting.clear()
        self._last = None

    def receive_plan(self, plan: TimedPlan, frame_id: str, planner: str, fallback: bool) -> None:
        """Take a plan."""
        if self._frame and frame_id != self._frame:
            self.not_compared += 1
            return
        self._waiting.append(_Waiting(plan, planner, fallback))

    def receive_motion(self, motion: MotionSample, frame_id: str) -> list[Disagreement]:
        """Take a reading of the odometry; returns what has become known by it, oldest first."""
        last = self._last
        if last is not None and (self._jumped(last, motion) or frame_id != self._frame):
            self.reset()
        self._frame = frame_id
        if not self._track.add(motion):
            return []
        self._last = motion
        horizon_us = round(HORIZONS_S[-1] * US_PER_S)
        known = [entry for entry in self._waiting if entry.plan.start_us + horizon_us <= motion.time_us]
        self._waiting = [entry for entry in self._waiting if entry not in known]
        compared = [self._compare(entry) for entry in known]
        self.not_compared += compared.count(None)
        return [result for result in compared if result is not None]

    def _jumped(self, last: MotionSample, motion: MotionSample) -> bool:
        """Whether time went back or the frame's origin moved."""
        elapsed_s = (motion.time_us - last.time_us) / US_PER_S
        if elapsed_s < -_MAX_GAP_S:
            return True
        step = math.hypot(*(motion.pose[:2] - last.pose[:2]).tolist())
        speed = max(math.hypot(*last.velocity.tolist()), math.hypot(*motion.velocity.tolist()))
        return step > speed * max(elapsed_s, 0.0) + self._limits.odometry_jump_m

    def _compare(self, entry: _Waiting) -> Disagreement | None:
        """The plan against the driver; None where the odometry has a gap."""
        plan, rows = entry.plan, []
        for horizon_s in HORIZONS_S:
            time_us = plan.start_us + round(horizon_s * US_PER_S)
            if not self._track.covers(time_us):
                return None
            driven, planned = self._track.motion_at(time_us).pose, plan.at(time_us, 1)[0]
            cos, sin = math.cos(driven[2]), math.sin(driven[2])
            x, y = (planned[:2] - driven[:2]).tolist()
            rows.append((x * cos + y * sin, y * cos - x * sin, wrap_angle(float(planned[2] - driven[2]))))
        along, across, heading = (tuple(column) for column in np.array(rows).T.tolist())
        limits = self._limits
        large = any(abs(value) > limits.along_m for value in along)
        large |= any(abs(value) > limits.across_m for value in across)
        return Disagreement(plan.start_us, along, across, heading, large, entry.planner, entry.fallback)
