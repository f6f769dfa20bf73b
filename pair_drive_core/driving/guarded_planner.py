"""A planner that always answers with something a vehicle may be given."""

from __future__ import annotations

import time
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor

from pair_drive_core.driving.fallback import comfortable_stop
from pair_drive_core.driving.output_guard import GuardLimits, guard_violations
from pair_drive_core.geometry import compose_se2
from pair_drive_core.planning.plan import Plan
from pair_drive_core.planning.planner import Planner
from pair_drive_core.scene import AgentInput, Trajectory

INFERENCE_ERRORS = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    OSError,
    MemoryError,
    cv2.error,
)
"""What networks, devices and image functions raise while planning (torch: out of memory and device errors are
RuntimeErrors). A vehicle in motion needs a plan more than a traceback; the reason travels with the fallback. Interrupts
still pass."""


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

    def reset(self) -> None:
        """Forget the last path, as after a jump of time."""
        self._last_path = None

    def reset_if(self, epoch: int) -> None:
        """Forget the last path if the epoch (a count of jumps of time) is another one than before."""
        if epoch != self._epoch:
            self._epoch = epoch
            self.reset()

    def plan(self, agent_input: AgentInput) -> GuardedPlan:
        """Plan 4 s ahead of t0; never raises for what goes wrong inside the planner."""
        start = time.perf_counter()
        plan: Plan | None = None
        try:
            plan = self._planner.plan(agent_input)
            violations = guard_violations(plan.poses, agent_input.now, self._limits, plan.interval_s)
            failed, reason = False, "; ".join(violations)
        except INFERENCE_ERRORS as error:
            failed, reason = True, f"{type(error).__name__}: {' '.join(str(error).split())}"
        compute_s = time.perf_counter() - start
        if plan is None or reason:
            stop = comfortable_stop(agent_input.now, self._last_path, self._deceleration)
            return GuardedPlan(stop, reason, failed, compute_s)
        world_se2_ego = torch.as_tensor(agent_input.now.pose, dtype=torch.float64)
        knots = Trajectory(plan.poses.to(torch.float64)).with_start()
        self._last_path = compose_se2(world_se2_ego, knots)
        return GuardedPlan(plan, "", False, compute_s)
