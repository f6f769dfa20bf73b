"""The one interface of everything that plans."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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
class PrivilegedPlanner(Protocol):
    """Plans from ground truth: baselines and the metric's own reference."""

    @property
    def name(self) -> str:
        """Short name for reports."""
        ...

    def plan_scene(self, scene: Scene) -> Plan:
        """Plan 4 s ahead of `scene.ego`."""
        ...
