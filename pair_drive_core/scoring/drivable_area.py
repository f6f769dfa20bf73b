"""DAC: the whole vehicle stays on drivable area (official `_calculate_drivable_area_compliance`)."""

from __future__ import annotations

from pair_drive_core.scoring.ego_areas import EgoAreas
from pair_drive_core.scoring.rollouts import Rollouts
from pair_drive_core.scoring.verdict import Verdict, first_step, without_cause


def drivable_area_compliance(rollouts: Rollouts, areas: EgoAreas) -> Verdict:
    """0 where a corner leaves the drivable area at any step, else 1.

    Args:
        rollouts: S scenes, K candidates.
        areas: of the same rollouts.
    """
    step = first_step(areas.non_drivable)
    return without_cause((step < 0).to(rollouts.speed), step)
