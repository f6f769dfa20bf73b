"""A planner that always answers with something a vehicle may be given."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pair_drive_core.driving.fallback import stop_plan
from pair_drive_core.driving.output_guard import GuardLimits, guard_violations
from pair_drive_core.geometry import compose_se2
from pair_drive_core.planning.plan import Plan
from pair_drive_core.planning.planner import Planner
from pair_drive_core.scene import AgentInput, EgoStatus, SceneError, Trajectory


def one_line(error: BaseException) -> str:
    """Kind and text of an error on one line; the reason travels with the fallback."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


@dataclass(frozen=True)
class GuardedPlan:
    """A plan that passed the guard, or the fallback and why.

    Attributes:
        plan: what to drive.
        reason: why the fallback was taken; empty otherwise.
        failed: whether the planner raised an error (rather than planned something implausible).
        compute_s: time spent on planning.
    """

    plan: Plan
    reason: str
    failed: bool
    compute_s: float


class GuardedPlanner:
    """Runs a planner, checks its output and falls back to a comfortable stop along the last good path.

    Args:
        planner: the planner.
        limits: bounds of a plausible plan.
        fallback_deceleration_mps2: of the comfortable stop.
    """

    def __init__(self, planner: Planner, limits: GuardLimits, fallback_deceleration_mps2: float = 2.0) -> None:
        self._planner = planner
        self._limits = limits
        self._deceleration = fallback_deceleration_mps2
        self._last_path: Tensor | None = None
        self._epoch = 0

    @property
    def name(self) -> str:
        """Name of the planner inside."""
        return self._planner.name

    def replace(self, planner: Planner) -> None:
        """Take another planner from the next plan on; what is known of the last path stays."""
        self._planner = planner

    def reset(self) -> None:
        """Forget the last path, as after a jump of time."""
        self._last_path = None

    def reset_if(self, epoch: int) -> None:
        """Forget the last path if the epoch (a count of jumps of time) is another one than before."""
        if epoch != self._epoch:
            self._epoch = epoch
            self.reset()

    def plan(self, agent_input: AgentInput) -> GuardedPlan:
        """Plan 4 s ahead of t0; whatever goes wrong inside the planner becomes a stop.

        Raises:
            SceneError: if the ego's own status is not finite: no plan can start from there.
        """
        status = agent_input.now
        if not all(np.isfinite(values).all() for values in (status.pose, status.velocity, status.acceleration)):
            raise SceneError(f"EgoStatus: expected finite numbers, got {status}")
        start = time.perf_counter()
        plan: Plan | None = None
        try:
            plan = self._planner.plan(agent_input)
            violations = guard_violations(plan.poses, status, self._limits, plan.interval_s)
            failed, reason = False, "; ".join(violations)
        except Exception as error:  # noqa: BLE001 - a vehicle in motion needs a plan more than a traceback
            failed, reason = True, one_line(error)
        compute_s = time.perf_counter() - start
        if plan is None or reason:
            return GuardedPlan(self._stop(status), reason, failed, compute_s)
        world_se2_ego = torch.as_tensor(status.pose, dtype=torch.float64)
        knots = Trajectory(plan.poses.to(torch.float64)).with_start()
        self._last_path = compose_se2(world_se2_ego, knots)
        return GuardedPlan(plan, "", False, compute_s)

    def _stop(self, status: EgoStatus) -> Plan:
        """A comfortable stop along the last good path; straight on where the guard does not let that pass."""
        stop = stop_plan(status, self._last_path, self._deceleration)
        if guard_violations(stop.poses, status, self._limits, stop.interval_s):
            return stop_plan(status, None, self._deceleration)
        return stop
