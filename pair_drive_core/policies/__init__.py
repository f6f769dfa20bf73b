"""Trained models as planners."""

from pair_drive_core.policies.imitation import ImitationPlanner
from pair_drive_core.policies.parallel import ParallelChoice, ParallelPlanner, choose, plan_batch
from pair_drive_core.policies.runtime.loading import SHIPPED_CHECKPOINT, load_planner

__all__ = [
    "SHIPPED_CHECKPOINT",
    "ImitationPlanner",
    "ParallelChoice",
    "ParallelPlanner",
    "choose",
    "load_planner",
    "plan_batch",
]
