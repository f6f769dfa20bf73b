"""Plans of a recording without ground truth: against themselves, and against what the driver really did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pair_drive_core.driving.ego_track import US_PER_S, EgoTrack, MotionSample
from pair_drive_core.evaluation.bag_replay import ReplayedPlan
from pair_drive_core.geometry import compose_se2, wrap_angle
from pair_drive_core.scene import Trajectory
from pair_drive_core.scene.sensors import FloatArray
from pair_drive_core.scoring.comfort_signals import JERK, LAT_ACCELERATION, LON_ACCELERATION, YAW_RATE

HORIZONS_S = (1.0, 2.0, 3.0, 4.0)
"""Times after t0 at which planned and driven places are compared."""
_LONGEST_GAP_S = 0.5
_CONSECUTIVE_S = 1.0
"""Plans farther apart than this say nothing about consistency."""


@dataclass(frozen=True)
class ShadowPlan:
    """One plan beside what was really driven.

    Attributes:
        time_us: t0.
        source: of the plan.
        guard: what the guard made of the plan (`Intervention`); empty where it let it pass.
        reason: why; empty likewise.
        command: driving command at t0.
        speed_mps: of the ego at t0.
        score: predicted PDM score; NaN where the planner predicts none.
        confidence: in it; NaN likewise.
        uncomfortable: which of nuPlan's bounds the plan breaks by itself, read off its poses.
        change_m: mean distance to the plan before at the same times; NaN for the first.
        along_m: planned minus driven place at `HORIZONS_S`, along the driven heading; NaN where it is not known.
        across_m: likewise, to the left.
        poses: the plan, x, y, heading in the ego frame; m, rad.
    """

    time_us: int
    source: str
    guard: str
    reason: str
    command: str
    speed_mps: float
    score: float
    confidence: float
    uncomfortable: tuple[str, ...]
    change_m: float
    along_m: tuple[float, ...]
    across_m: tuple[float, ...]
    poses: tuple[tuple[float, float, float], ...]

    @property
    def distance_m(self) -> float:
        """Distance between planned and driven place at the longest horizon that is known; 0 without any."""
        return farthest(self.along_m, self.across_m)


@dataclass(frozen=True)
class Agreement:
    """How far plans and driver are apart at one horizon.

    Attributes:
        horizon_s: after t0.
        plans: for how many plans it is known.
        along_m: median of the absolute distance along the driven heading; NaN without any.
        across_m: likewise, across it.
        distance_m: median of the distance.
        distance_p90_m: its 90th percentile.
    """

    horizon_s: float
    plans: int
    along_m: float
    across_m: float
    distance_m: float
    distance_p90_m: float


def shadow_plans(plans: Mapping[int, ReplayedPlan], path: Sequence[MotionSample]) -> list[ShadowPlan]:
    """All plans beside what was driven, in order of time.

    Args:
        plans: by t0, us.
        path: the ego's motion.
    """
    driven = driven_track(path)
    found: list[ShadowPlan] = []
    before: tuple[int, FloatArray] | None = None
    for time_us in sorted(plans):
        planned = plans[time_us]
        status, plan = planned.status, planned.result.plan
        knots = Trajectory(plan.poses.to(torch.float64), plan.interval_s).with_start()
        world = compose_se2(torch.as_tensor(status.pose, dtype=torch.float64), knots).numpy()
        along, across = displacements(driven, time_us, world, plan.interval_s)
        found.append(
            ShadowPlan(
                time_us,
                plan.source.value,
                planned.result.intervention.value,
                planned.result.reason,
                status.command.name.lower(),
                float(status.velocity[0]),
                float(plan.score),
                float(plan.confidence),
                _broken_bounds(knots, float(status.velocity[0]), plan.interval_s),
                _change(before, (time_us, world), plan.interval_s),
                along,
                across,
                tuple((float(x), float(y), float(h)) for x, y, h in plan.poses.tolist()),
            )
        )
        before = (time_us, world)
    return found


def driven_track(path: Sequence[MotionSample]) -> EgoTrack:
    """The whole path, to be looked up at any of its moments."""
    duration_s = (path[-1].time_us - path[0].time_us) / US_PER_S if path else 0.0
    track = EgoTrack(duration_s + 1.0, _LONGEST_GAP_S)
    for sample in path:
        track.add(sample)
    return track


def displacements(
    driven: EgoTrack, time_us: int, world: FloatArray, interval_s: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Planned minus driven place along and across the driven heading at each of `HORIZONS_S`, m; NaN where unknown.

    Args:
        driven: what was driven.
        time_us: t0.
        world: (9, 3), the plan with its start, in the frame of `driven`.
        interval_s: time between its poses.
    """
    along, across = [], []
    times = interval_s * np.arange(len(world))
    for horizon in HORIZONS_S:
        then = time_us + round(horizon * US_PER_S)
        if horizon > times[-1] + 1e-6 or not driven.covers(then):
            along.append(math.nan)
            across.append(math.nan)
            continue
        pose = driven.motion_at(then).pose
        dx, dy = (float(np.interp(horizon, times, world[:, axis])) - float(pose[axis]) for axis in (0, 1))
        cos, sin = math.cos(pose[2]), math.sin(pose[2])
        along.append(cos * dx + sin * dy)
        across.append(-sin * dx + cos * dy)
    return tuple(along), tuple(across)


def farthest(along_m: Sequence[float], across_m: Sequence[float]) -> float:
    """Distance at the longest horizon that is known; 0 without any."""
    known = [math.hypot(a, b) for a, b in zip(along_m, across_m, strict=True) if math.isfinite(a)]
    return known[-1] if known else 0.0


def agreements(plans: Sequence[ShadowPlan]) -> list[Agreement]:
    """How far plans and driver are apart at each horizon."""
    along = np.array([plan.along_m for plan in plans]).reshape(-1, len(HORIZONS_S))
    across = np.array([plan.across_m for plan in plans]).reshape(-1, len(HORIZONS_S))
    rows = []
    for column, horizon in enumerate(HORIZONS_S):
        known = np.isfinite(along[:, column])
        a, b = along[known, column], across[known, column]
        if not known.any():
            rows.append(Agreement(horizon, 0, math.nan, math.nan, math.nan, math.nan))
            continue
        distance = np.hypot(a, b)
        middle = (float(np.median(np.abs(a))), float(np.median(np.abs(b))), float(np.median(distance)))
        rows.append(Agreement(horizon, int(known.sum()), *middle, float(np.quantile(distance, 0.9))))
    return rows


def guard_events(plans: Sequence[ShadowPlan]) -> list[ShadowPlan]:
    """Plans that the guard replaced or slowed; a planner's own source says nothing about that."""
    return [plan for plan in plans if plan.guard]


def _change(before: tuple[int, FloatArray] | None, now: tuple[int, FloatArray], interval_s: float) -> float:
    """Mean distance between two consecutive plans over the time that both speak of, m."""
    if before is None or now[0] - before[0] > _CONSECUTIVE_S * US_PER_S:
        return math.nan
    old_times = before[0] / US_PER_S + interval_s * np.arange(len(before[1]))
    new_times = now[0] / US_PER_S + interval_s * np.arange(1, len(now[1]))
    common = new_times <= old_times[-1]
    if not common.any():
        return math.nan
    old = np.column_stack([np.interp(new_times[common], old_times, before[1][:, axis]) for axis in (0, 1)])
    return float(np.hypot(*(now[1][1:, :2][common] - old).T).mean())


def _broken_bounds(knots: torch.Tensor, speed_now: float, interval_s: float) -> tuple[str, ...]:
    """Names of the bounds of comfort that a plan breaks, by differences of its poses; peaks between them are unseen."""
    step = knots[1:, :2] - knots[:-1, :2]
    turn = wrap_angle(knots[1:, 2] - knots[:-1, 2])
    middle = knots[:-1, 2] + 0.5 * turn
    speed = (step[:, 0] * middle.cos() + step[:, 1] * middle.sin()) / interval_s
    speeds = torch.cat((speed.new_tensor([speed_now]), speed))
    # The first step's mean speed lies half an interval after the start, the others an interval apart.
    spans = torch.full_like(speed, interval_s)
    spans[0] = 0.5 * interval_s
    acceleration = speeds.diff() / spans
    checks = (
        ("longitudinal acceleration", acceleration, LON_ACCELERATION),
        ("lateral acceleration", speed * turn / interval_s, LAT_ACCELERATION),
        ("jerk", acceleration.diff() / interval_s, JERK),
        ("yaw rate", turn / interval_s, YAW_RATE),
    )
    return tuple(name for name, values, (low, high) in checks if bool(((values < low) | (values > high)).any()))
