"""A planner that always answers with something a vehicle may be given."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import torch
from torch import Tensor

from pair_drive_core.driving.fallback import apart, prolonged, stop_plan
from pair_drive_core.driving.output_guard import GuardLimits, guard_violations
from pair_drive_core.driving.world_look import ContactSpeed, LookLimits, first_contact, must_brake
from pair_drive_core.geometry import Polyline
from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.planning.plan_memory import EarlierPlan, plan_after
from pair_drive_core.planning.planner import ModestPlanner, Planner
from pair_drive_core.policies.parallel import ParallelPlanner
from pair_drive_core.policies.runtime.backends import BackendState, RuntimeNetworks
from pair_drive_core.scene import AgentInput, EgoStatus, SceneError

JUMP_HORIZON_S = 2.0
HARD_SHARE = 1.2
"""Braking this much harder than the look's own deceleration is a hard stop."""
BRAKING_SHARE = 0.9
"""Of the guard's greatest deceleration, so that what the guard makes passes the guard."""


def one_line(error: BaseException) -> str:
    """Kind and text of an error on one line; the reason travels with the fallback."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


class Intervention(str, Enum):
    """What the guard made of a plan."""

    NONE = ""
    SLOWED = "slowed"
    PREVIOUS = "previous plan"
    COMFORTABLE_STOP = "comfortable stop"
    HARD_STOP = "hard stop"


@dataclass(frozen=True)
class GuardedPlan:
    """A plan that passed the guard, or what takes its place and why.

    Attributes:
        plan: what to drive.
        reason: why the guard stepped in; empty otherwise.
        failed: whether the planner raised an error (rather than planned something that may not be driven).
        compute_s: time spent on planning.
        intervention: what the guard made of the plan.
        contact_s: time until the vehicle, at its present speed, touches what is in the way; infinity if nothing is.
        jump_m: how far the plan lies beside the one before, at most, within the next 2 s; NaN without one.
    """

    plan: Plan
    reason: str
    failed: bool
    compute_s: float
    intervention: Intervention = Intervention.NONE
    contact_s: float = math.inf
    jump_m: float = math.nan


class GuardedPlanner:
    """Runs a planner and lets only pass what may be driven; see `Intervention` for what takes the place of the rest.

    Args:
        planner: the planner.
        limits: bounds of a plausible plan.
        fallback_deceleration_mps2: of the comfortable stop.
        look: what counts as being in the way.
    """

    def __init__(
        self,
        planner: Planner,
        limits: GuardLimits,
        fallback_deceleration_mps2: float = 2.0,
        look: LookLimits | None = None,
    ) -> None:
        self._planner = planner
        self._limits = limits
        self._deceleration = fallback_deceleration_mps2
        self._look = look or LookLimits()
        self._past: EarlierPlan | None = None
        self._contact_speed = ContactSpeed()
        self._epoch = 0

    @property
    def name(self) -> str:
        """Name of the planner inside."""
        return self._planner.name

    @property
    def least_picture_rows(self) -> int:
        """Rows of a picture that the planner inside can do with; 0 if it wants all there are."""
        return self._planner.least_picture_rows if isinstance(self._planner, ModestPlanner) else 0

    @property
    def backend(self) -> BackendState | None:
        """What computes the planner's networks; None for planners without any."""
        networks = self._planner.networks if isinstance(self._planner, ParallelPlanner) else None
        return networks.state if isinstance(networks, RuntimeNetworks) else None

    def replace(self, planner: Planner) -> None:
        """Take another planner from the next plan on; what is known of the last path stays."""
        self._planner = planner

    def reset(self) -> None:
        """Forget the past, as after a jump of time."""
        self._past = None
        self._contact_speed.reset()

    def reset_if(self, epoch: int) -> None:
        """Forget the past if the epoch (a count of jumps of time) is another one than before."""
        if epoch != self._epoch:
            self._epoch = epoch
            self.reset()

    def plan(self, agent_input: AgentInput) -> GuardedPlan:
        """Plan 4 s ahead of t0; whatever goes wrong inside the planner becomes another plan that may be driven.

        Raises:
            SceneError: if the ego's own status is not finite: no plan can start from there.
        """
        status = agent_input.now
        if not all(np.isfinite(values).all() for values in (status.pose, status.velocity, status.acceleration)):
            raise SceneError(f"EgoStatus: expected finite numbers, got {status}")
        start = time.perf_counter()
        plan: Plan | None = None
        jump_m = math.nan
        try:
            plan = plan_after(self._planner, agent_input, self._past if self._fresh(status) else None)
            violations = guard_violations(plan.poses, status, self._limits, plan.interval_s)
            if not violations:
                jump_m = self._jump(plan, status)
                violations = self._jump_violations(jump_m)
            failed, reason = False, "; ".join(violations)
        except Exception as error:  # noqa: BLE001 - a vehicle in motion needs a plan more than a traceback
            failed, reason = True, one_line(error)
        compute_s = time.perf_counter() - start
        intervention = Intervention.NONE
        good = plan if plan is not None and not reason else None
        if good is None:
            chosen, intervention = self._instead(status)
        else:
            chosen = good
            self._past = EarlierPlan.of(good, status)
        braked, braking, contact = self._mind_the_world(chosen, agent_input)
        if braking is not Intervention.NONE:
            intervention = braking
            reason = "; ".join(filter(None, (reason, contact.text)))
        return GuardedPlan(braked, reason, failed, compute_s, intervention, contact.time_s, jump_m)

    def _jump(self, plan: Plan, status: EgoStatus) -> float:
        """How far a plan lies beside the one before while that is fresh, m; NaN without one."""
        if not self._fresh(status) or self._past is None:
            return math.nan
        steps = max(1, round(JUMP_HORIZON_S / plan.interval_s))
        before = self._past.at(status)[:steps]
        step = plan.poses[:steps].to(torch.float64)[:, :2] - before[:, :2]
        return float((step[:, 1] * before[:, 2].cos() - step[:, 0] * before[:, 2].sin()).abs().max())

    def _jump_violations(self, jump_m: float) -> list[str]:
        limit = self._limits.max_jump_m
        return [f"jump beside the plan before: {jump_m:.2f} m above {limit}"] if jump_m > limit else []

    def _fresh(self, status: EgoStatus) -> bool:
        """Whether the last good plan is young enough to be driven on."""
        age_s = math.inf if self._past is None else self._past.age_s(status)
        return 0.0 <= age_s <= self._limits.previous_plan_s

    def _instead(self, status: EgoStatus) -> tuple[Plan, Intervention]:
        """The last good plan while it is fresh, then a comfortable stop along its path, then one straight on."""
        if self._past is not None and self._fresh(status):
            poses = self._past.at(status)
            if not guard_violations(poses, status, self._limits, self._past.interval_s):
                past = Plan(poses.float(), PlanSource.FALLBACK, math.nan, math.nan, interval_s=self._past.interval_s)
                return past, Intervention.PREVIOUS
        stop = stop_plan(status, None if self._past is None else self._past.knots, self._deceleration)
        if guard_violations(stop.poses, status, self._limits, stop.interval_s):
            stop = stop_plan(status, None, self._deceleration)
        return stop, Intervention.COMFORTABLE_STOP

    def _mind_the_world(self, plan: Plan, agent_input: AgentInput) -> tuple[Plan, Intervention, _Seen]:
        """The plan, or its path driven so slowly that the ego stops before what is in the way."""
        status, sweep, look = agent_input.now, agent_input.lidar, self._look
        if sweep is None or not look.enabled:
            return plan, Intervention.NONE, _Seen("", math.inf)
        path = way_of(plan.poses)
        contact = first_contact(path, sweep.points, look)
        heading = float(status.pose[2])
        turn = np.array([[math.cos(heading), -math.sin(heading)], [math.sin(heading), math.cos(heading)]])
        place = None if contact is None else turn @ contact.position + status.pose[:2]
        other_mps = self._contact_speed.update(sweep.time_us * 1e-6, place, heading)
        if contact is None:
            return plan, Intervention.NONE, _Seen("", math.inf)
        speed = max(float(status.velocity[0]), 0.0)
        closing = speed - other_mps
        seen_s = contact.distance_m / closing if closing > 0.1 else math.inf
        free_m = contact.distance_m + other_mps * other_mps / (2.0 * look.other_braking_mps2)
        progress = path.project(plan.poses[:, :2].to(torch.float64))
        if not must_brake(progress, plan.interval_s, free_m, look):
            return plan, Intervention.NONE, _Seen("", seen_s)
        room_m = max(free_m - look.gap_m, 0.1)
        needed = max(speed * speed / (2.0 * room_m), self._deceleration)
        hard = needed > HARD_SHARE * look.braking_mps2
        braked = _braked(plan, path, progress, speed, min(needed, BRAKING_SHARE * self._limits.max_deceleration_mps2))
        kind = Intervention.HARD_STOP if hard else Intervention.SLOWED
        text = f"something in the way: {contact.distance_m:.1f} m ahead, {seen_s:.1f} s at {speed:.1f} m/s"
        return braked, kind, _Seen(text, seen_s)


@dataclass(frozen=True)
class _Seen:
    """What the look at the world has found: in words, and the time until it is touched, s."""

    text: str
    time_s: float


def way_of(poses: Tensor) -> Polyline:
    """The path of a plan's poses from the ego on, prolonged straight."""
    points = torch.cat((poses.new_zeros(1, 2), poses[:, :2])).to(torch.float64)
    return prolonged(apart(points))


def _braked(plan: Plan, path: Polyline, progress: Tensor, speed: float, deceleration: float) -> Plan:
    """The plan's path, no faster than braking at a constant rate from now on allows."""
    time_s = plan.interval_s * torch.arange(1, progress.shape[0] + 1, dtype=torch.float64)
    time_s = time_s.clamp(max=speed / deceleration)
    braking = speed * time_s - 0.5 * deceleration * time_s * time_s
    poses = path.interpolate(torch.minimum(progress, braking)).to(plan.poses.dtype)
    return replace(plan, poses=poses)
