"""Trained models as planners."""

from pair_drive_core.policies.imitation import ImitationPlanner
from pair_drive_core.policies.loading import SHIPPED_CHECKPOINT, load_planner
from pair_drive_core.policies.parallel import ParallelChoice, ParallelConfig, ParallelPlanner, choose, plan_batch
from pair_drive_core.policies.plausibility import PlausibilityConfig, is_plausible, straight_stop

__all__ = [
    "SHIPPED_CHECKPOINT",
    "ImitationPlanner",
    "ParallelChoice",
    "ParallelConfig",
    "ParallelPlanner",
    "PlausibilityConfig",
    "choose",
    "is_plausible",
    "load_planner",
    "plan_batch",
    "straight_stop",
]
