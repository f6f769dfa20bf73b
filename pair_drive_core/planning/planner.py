"""The one interface of everything that plans."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from pair_drive_core.planning.plan import Plan
from pair_drive_core.scene import AgentInput, Scene


@runtime_checkable
class Planner(Protocol):
    """Plans from what a vehicle may look at: sensors, its own state, the driving command."""

    @property
    def name(self) -> str:
        """Short name for reports."""
        ...

    def plan(self, agent_input: AgentInput) -> Plan:
        """Plan 4 s ahead of `agent_input.now`.

        Raises:
            SceneError: if a reading that the planner needs is missing or malformed.
        """
        ...


@runtime_checkable
class SteadyPlanner(Planner, Protocol):
    """A planner that weighs going on with the plan before, so that consecutive plans agree."""

    def plan_after(self, agent_input: AgentInput, previous: Tensor) -> Plan:
        """Plan 4 s ahead of `agent_input.now`, knowing the plan before.

        Args:
            agent_input: as in `plan`.
            previous: (8, 3), where the plan before wants the ego to be 0.5, 1 .. 4 s after t0; ego frame at t0; m, rad.

        Raises:
            SceneError: as `plan` does.
        """
        ...


@runtime_checkable
class ModestPlanner(Planner, Protocol):
    """A planner that looks at pictures at a fraction of their size, so that they need not be decoded whole."""

    @property
    def least_picture_rows(self) -> int:
        """Rows below which pictures may not be shrunk for it; 0 if they may not be shrunk at all."""
        ...


@runtime_checkable
class PrivilegedPlanner(Protocol):
    """Plans from ground truth: baselines and the metric's own reference."""

    @property
    def name(self) -> str:
        """Short name for reports."""
        ...

    def plan_scene(self, scene: Scene) -> Plan:
        """Plan 4 s ahead of `scene.ego`."""
        ...
