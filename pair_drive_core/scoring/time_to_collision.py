"""TTC: no contact within a second at constant velocity (official `_calculate_ttc`)."""

from __future__ import annotations

from pair_drive_core.scoring.ego_areas import EgoAreas
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.object_contacts import bearings, first_contacts
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.rollouts import Rollouts
from pair_drive_core.scoring.verdict import Verdict, earliest

LOOK_AHEAD_STEPS = (0, 3, 6, 9)
"""Projections over 1 s, every 0.3 s."""
STOPPED_SPEED_MPS = 5e-3
_START_STEPS = {Metric.V1: 41, Metric.V2: 32}
"""V2 has objects for 4 s only, so projections start at most 0.9 s before the end."""


def time_to_collision(rollouts: Rollouts, areas: EgoAreas, prepared: PreparedScenes) -> Verdict:
    """0 where a projected contact is one that the ego would be responsible for, else 1.

    For each object only the first projected contact counts, in the order of start steps and then of projections: where
    the ego is not responsible for it, the object is ignored afterwards. The projection goes forward along the heading
    also when the vehicle reverses. Steps slower than 0.005 m/s are left out.

    Args:
        rollouts: S scenes, K candidates.
        areas: of the same rollouts.
        prepared: the scenes' objects.
    """
    scenes, candidates, steps = rollouts.shape
    contacts = first_contacts(
        rollouts, prepared, _START_STEPS[prepared.metric], LOOK_AHEAD_STEPS, min_speed_mps=STOPPED_SPEED_MPS
    )
    ahead, behind = bearings(rollouts, prepared, contacts)
    place = contacts.trajectory * steps + contacts.step
    aside = (areas.not_in_own_lane | areas.axle_in_intersection).reshape(-1)[place]
    responsible = ahead | (aside & ~behind)
    step, cause = earliest(
        (scenes, candidates),
        contacts.trajectory[responsible],
        contacts.step[responsible],
        contacts.object_row[responsible],
    )
    return Verdict((step < 0).to(prepared.dtype), step, cause)
