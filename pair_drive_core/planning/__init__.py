"""The Planner protocol and the rule-based reference planners."""

from pair_drive_core.planning.constant_velocity import ConstantVelocityPlanner
from pair_drive_core.planning.pdm_closed import PdmClosedPlanner, pdm_reference, pdm_references
from pair_drive_core.planning.plan import CandidateTrajectories, Intention, Plan, PlanSource
from pair_drive_core.planning.planner import Planner, PrivilegedPlanner

__all__ = [
    "CandidateTrajectories",
    "ConstantVelocityPlanner",
    "Intention",
    "PdmClosedPlanner",
    "Plan",
    "PlanSource",
    "Planner",
    "PrivilegedPlanner",
    "pdm_reference",
    "pdm_references",
]
