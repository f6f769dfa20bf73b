"""NC: no collision that is the ego's fault (official `_calculate_no_at_fault_collision`, `get_collision_type`)."""

from __future__ import annotations

import torch
from torch import Tensor

from pair_drive_core.scoring.ego_areas import EgoAreas
from pair_drive_core.scoring.object_contacts import Contacts, bearings, first_contacts, front_edge_touches
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.rollouts import Rollouts
from pair_drive_core.scoring.verdict import Verdict, earliest

EGO_STOPPED_SPEED_MPS = 0.05


def no_at_fault_collision(rollouts: Rollouts, areas: EgoAreas, prepared: PreparedScenes) -> Verdict:
    """1 without, 1/2 with a static object, 0 with an agent.

    Only the first contact with an object counts: where it was not the ego's fault the object is ignored afterwards, and
    where it was, later contacts change nothing.

    Args:
        rollouts: S scenes, K candidates.
        areas: of the same rollouts.
        prepared: the scenes' objects.
    """
    scenes, candidates, steps = rollouts.shape
    contacts = first_contacts(rollouts, prepared, steps, (0,), min_speed_mps=0.0)
    fault = _at_fault(rollouts, areas, prepared, contacts)
    trajectory, row = contacts.trajectory[fault], contacts.object_row[fault]
    penalty = torch.where(prepared.object_is_agent[row], 0.0, 0.5).to(prepared.dtype)
    value = rollouts.speed.new_ones(scenes * candidates).scatter_reduce(0, trajectory, penalty, "amin")
    step, cause = earliest((scenes, candidates), trajectory, contacts.step[fault], row)
    return Verdict(value.reshape(scenes, candidates), step, cause)


def _at_fault(rollouts: Rollouts, areas: EgoAreas, prepared: PreparedScenes, contacts: Contacts) -> Tensor:
    """(C,) bool, by the kind of contact, in the official order of questions."""
    trajectory, step, row = contacts.trajectory, contacts.step, contacts.object_row
    steps = rollouts.shape[2]
    flat = trajectory * steps + step
    state = prepared.object_states[row, step]
    direction = torch.stack((rollouts.cos, rollouts.sin), dim=-1).reshape(-1, 2)[flat]
    front = front_edge_touches(
        state[:, :2] - rollouts.center.reshape(-1, 2)[flat],
        direction,
        (rollouts.half_length_m, rollouts.half_width_m),
        state[:, 2],
        prepared.object_size[row] / 2.0,
    )
    _, behind = bearings(rollouts, prepared, contacts)
    lateral_fault = areas.not_in_own_lane.reshape(-1)[flat]
    active = prepared.object_stopped[row] | (~behind & (front | lateral_fault))
    return (rollouts.speed.reshape(-1)[flat] > EGO_STOPPED_SPEED_MPS) & active
