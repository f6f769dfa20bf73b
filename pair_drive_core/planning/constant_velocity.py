"""Straight ahead at today's speed: NAVSIM's simplest baseline."""

from __future__ import annotations

import torch
from torch import Tensor

from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS, AgentInput, Scene, SceneError

_WATCHED_ROWS = 256


class ConstantVelocityPlanner:
    """Keeps heading and speed (official `ConstantVelocityAgent`).

    The speed is the length of the ego velocity, so a sliding or reversing vehicle is continued forward, as in the
    official baseline. Its plans carry the source `FALLBACK`: no branch of a learned planner made them.
    """

    @property
    def name(self) -> str:
        """Short name for reports."""
        return "constant_velocity"

    @property
    def least_picture_rows(self) -> int:
        """See `ModestPlanner`; it looks at no picture, but who watches the cameras beside it does."""
        return _WATCHED_ROWS

    def plan(self, agent_input: AgentInput) -> Plan:
        """Plan 4 s ahead from the ego velocity alone.

        Raises:
            SceneError: if there is no status at t0 or its velocity is not finite.
        """
        if not agent_input.status:
            raise SceneError("AgentInput.status: expected at least the status at t0, got none")
        return _straight_plan(torch.as_tensor(agent_input.now.velocity, dtype=torch.float64), "AgentInput.now.velocity")

    def plan_scene(self, scene: Scene) -> Plan:
        """Plan 4 s ahead of `scene.ego`.

        Raises:
            SceneError: if the ego velocity is not finite.
        """
        return _straight_plan(scene.ego.velocity, "Scene.ego.velocity")


def _straight_plan(velocity: Tensor, name: str) -> Plan:
    """The plan for a velocity of shape (2,), ego frame, m/s."""
    if tuple(velocity.shape) != (2,) or not bool(torch.isfinite(velocity).all()):
        raise SceneError(f"{name}: expected two finite numbers, got {velocity.tolist()}")
    time = torch.arange(1, PLAN_STEPS + 1, dtype=torch.float64) * PLAN_INTERVAL_S
    poses = torch.zeros(PLAN_STEPS, 3, dtype=torch.float64)
    poses[:, 0] = time * velocity.to(torch.float64).norm()
    return Plan(poses, PlanSource.FALLBACK, score=float("nan"), confidence=float("nan"))
