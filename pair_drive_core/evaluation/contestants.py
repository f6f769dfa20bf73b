"""Who is scored: baselines with ground truth, planners with sensors, plans from files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pair_drive_core.datasets.plan_files import Plans, TimedPlans
from pair_drive_core.evaluation.benchmark_scenes import BenchmarkScene
from pair_drive_core.evaluation.empty_sweeps import EmptySweeps
from pair_drive_core.geometry import relative_se2
from pair_drive_core.planning import ConstantVelocityPlanner, Planner
from pair_drive_core.scene import PLAN_INTERVAL_S, AgentInput, SceneError

HUMAN, CONSTANT_VELOCITY, PDM_CLOSED, IMITATION, PAIR = "human", "constant velocity", "PDM-Closed", "imitation", "pair"
_STRIDE = 5
"""Steps of the reference between two poses of a plan."""
_FARTHEST_START_M = 50.0
"""No vehicle gets so far in the first interval; a plan that starts there is in another frame, or of another scene."""
_MOVING_MPS = 3.0
_SPEED_RATIO = (0.45, 1.8)
"""At this speed no vehicle brakes or accelerates so much in half a second that its first step leaves these bounds."""
ODD_RATE = "a plan whose first step does not fit the ego's speed; is it at the rate that it is taken for (--interval)?"
"""Oddity of a plan: 5 or 10 Hz taken for 2 Hz, or 1 Hz."""
_MOST_TURN_RAD = 2.0 * math.pi
ODD_HEADING = "a plan that turns by more than a full circle; are its headings in degrees?"
"""Oddity of a plan."""

Answer = TimedPlans | str
"""One plan (K = 1), or why there is none."""


class Contestant(Protocol):
    """Gives plans under one or several names, the same in every scene."""

    def plans(self, entry: BenchmarkScene, reference: Tensor) -> Mapping[str, Answer]:
        """Plan one scene.

        Args:
            entry: the scene and its sensors.
            reference: (41, 3), PDM-Closed's poses, global.

        Raises:
            SceneError: if the scene lacks what the contestant needs.
            DatasetError: naming a sensor file that is torn.
            FileNotFoundError: naming a sensor file that is not there.
        """
        ...


class Baselines:
    """The human, where there is one, constant velocity and PDM-Closed."""

    def __init__(self, human_required: bool = True) -> None:
        """Make the planners.

        Args:
            human_required: whether a scene without a demonstration is an error; second-stage scenes never have one.
        """
        self._human_required = human_required
        self._straight = ConstantVelocityPlanner()

    def plans(self, entry: BenchmarkScene, reference: Tensor) -> Mapping[str, Answer]:
        """See `Contestant`."""
        scene = entry.scene
        human: Answer = "a second-stage scene has no demonstration"
        if scene.human is not None:
            human = timed(scene.human.poses)
        elif self._human_required and not entry.second_stage:
            raise SceneError(f"scene {scene.token}: the benchmark needs a demonstration, it has none")
        return {
            HUMAN: human,
            CONSTANT_VELOCITY: timed(self._straight.plan_scene(scene).poses),
            PDM_CLOSED: timed(relative_se2(scene.ego.pose, reference[_STRIDE::_STRIDE])),
        }


class PlannerContestant:
    """A planner with sensors, under its own name; one with a tree also shows its reference, `imitation`.

    Attributes:
        blind: counts scenes without a point cloud, which the planner saw as an empty sweep.
    """

    def __init__(self, planner: Planner, name: str | None = None, with_imitation: bool = True) -> None:
        """Take a planner.

        Args:
            planner: plans from sensors.
            name: for the report; the planner's own by default.
            with_imitation: whether to judge the reference of its tree, too.
        """
        self.blind = EmptySweeps()
        self._planner, self._name, self._with_imitation = planner, name, with_imitation

    def plans(self, entry: BenchmarkScene, reference: Tensor) -> Mapping[str, Answer]:
        """See `Contestant`."""
        plan = self._planner.plan(self._sensed(entry))
        out: dict[str, Answer] = {}
        if self._with_imitation and plan.candidates is not None:
            out[IMITATION] = timed(plan.candidates.poses[plan.candidates.imitation_index])
        out[self._name or self._planner.name] = timed(plan.poses, getattr(plan, "interval_s", PLAN_INTERVAL_S))
        return out

    def _sensed(self, entry: BenchmarkScene) -> AgentInput:
        if entry.sense is None:
            raise SceneError(f"scene {entry.scene.token}: a learned planner needs sensors, the source has none")
        return self.blind.filled(entry.sense())


class GivenPlans:
    """Plans that were made elsewhere, K a scene; names end in the number of the plan where there are several."""

    def __init__(self, name: str, plans: Plans) -> None:
        """Take the plans.

        Raises:
            SceneError: if scenes have different numbers of plans.
        """
        counts = {entry.poses.shape[0] for entry in plans.values()}
        if len(counts) > 1:
            raise SceneError(f"{name}: expected the same number of plans in every scene, got {sorted(counts)}")
        self._plans, self._count = plans, max(counts, default=1)
        self._names = [name] if self._count == 1 else [f"{name} {k}" for k in range(self._count)]

    def plans(self, entry: BenchmarkScene, reference: Tensor) -> Mapping[str, Answer]:
        """See `Contestant`."""
        given = self._plans.get(entry.scene.token)
        if given is None:
            return dict.fromkeys(self._names, "no plan for this scene")
        return {name: self._checked(entry, given, k) for k, name in enumerate(self._names)}

    def oddities(self, entry: BenchmarkScene) -> tuple[str, ...]:
        """What is odd about the plans for a scene, though they can be scored."""
        given, speed_mps = self._plans.get(entry.scene.token), float(entry.scene.ego.velocity[0])
        if given is None:
            return ()
        turned = (np.abs(given.poses[..., 2]) > _MOST_TURN_RAD).any()
        found = (ODD_HEADING,) if turned and np.isfinite(given.poses).all() else ()
        if speed_mps < _MOVING_MPS:
            return found
        ratios = np.hypot(given.poses[:, 0, 0], given.poses[:, 0, 1]) / given.interval_s / speed_mps
        fits = (ratios >= _SPEED_RATIO[0]) & (ratios <= _SPEED_RATIO[1])
        return found if fits.any() or not np.isfinite(ratios).any() else (*found, ODD_RATE)

    @staticmethod
    def _checked(entry: BenchmarkScene, given: TimedPlans, k: int) -> Answer:
        poses = given.poses[k]
        if not np.isfinite(poses).all():
            return "the plan holds NaN or infinity"
        if float(np.hypot(*poses[0, :2])) > _FARTHEST_START_M:
            apart = float(np.hypot(*(poses[0, :2] - entry.scene.ego.pose[:2].numpy())))
            if apart < _FARTHEST_START_M:
                return f"the plan is in the global frame ({apart:.1f} m from the ego there), expected the ego's at t0"
            return f"the plan starts {np.hypot(*poses[0, :2]):.0f} m away from the ego; is it in another frame?"
        return TimedPlans(poses[None], given.interval_s)


def timed(poses: Tensor, interval_s: float = PLAN_INTERVAL_S) -> TimedPlans:
    """One plan of a planner, (P, 3)."""
    return TimedPlans(poses.detach().to("cpu", torch.float64).numpy()[None], interval_s)
