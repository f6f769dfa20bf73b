"""Rollouts: the tracker drives the vehicle model along a plan."""

from __future__ import annotations

import torch
from torch import Tensor

from pair_drive_core.scene import PACIFICA, STATE_SIZE, VehicleParameters
from pair_drive_core.scene.validation import require_shape
from pair_drive_core.simulation.kinematic_bicycle import propagate
from pair_drive_core.simulation.lqr_tracker import make_reference, track
from pair_drive_core.simulation.proposals import interpolate_plans
from pair_drive_core.simulation.sampling import SIMULATION_STEPS


@torch.no_grad()
def simulate_poses(poses: Tensor, start: Tensor, vehicle: VehicleParameters = PACIFICA) -> Tensor:
    """Drive along 10 Hz reference poses for 4 s (official `PDMSimulator.simulate_proposals`).

    Args:
        poses: (..., 41, 3), reference poses of the rear axle; m, rad.
        start: (..., 11), state at t0 in the same frame, columns of `StateIndex`; leading axes broadcast.
        vehicle: the ego's measures.

    Returns:
        (..., 41, 11), the first state is `start`.

    Raises:
        SceneError: if a shape is wrong.
    """
    require_shape("simulate_poses: poses", poses, ("...", SIMULATION_STEPS, 3))
    require_shape("simulate_poses: start", start, ("...", STATE_SIZE))
    reference = make_reference(poses)
    state = start.to(poses).expand(*poses.shape[:-2], STATE_SIZE)
    states = [state]
    for step in range(SIMULATION_STEPS - 1):
        acceleration, steering_rate = track(reference, step, state, vehicle.wheel_base_m)
        state = propagate(state, acceleration, steering_rate, vehicle.wheel_base_m)
        states.append(state)
    return torch.stack(states, dim=-2)


@torch.no_grad()
def simulate(
    plans: Tensor,
    start: Tensor,
    sample_index: Tensor,
    sample_weight: Tensor,
    vehicle: VehicleParameters = PACIFICA,
    origin: Tensor | None = None,
) -> Tensor:
    """Drive along plans: interpolate to 10 Hz, then track for 4 s.

    Args:
        plans: (S, K, P, 3), poses in the ego frame at t0, without the start pose; m, rad.
        start: (S, 11), state at t0 in the scene's local frame.
        sample_index: (S, 41) int64, from `plan_sampling`.
        sample_weight: (S, 41), from `plan_sampling`.
        vehicle: the ego's measures.
        origin: (S, 2) float64, global position of the local frame's origin; makes float64 rollouts round as the
            official ones do (see `interpolate_plans`).

    Returns:
        (S, K, 41, 11), in the local frame.

    Raises:
        SceneError: if a shape is wrong.
    """
    require_shape("simulate: plans", plans, ("S", "K", "P", 3))
    require_shape("simulate: start", start, (plans.shape[0], STATE_SIZE))
    poses = interpolate_plans(plans, start[:, :3].to(plans), sample_index, sample_weight, origin)
    return simulate_poses(poses, start[:, None, :], vehicle)
