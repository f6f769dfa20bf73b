"""Rollouts: the tracker drives the vehicle model along a plan.

A rollout is `track` and `propagate` in turns, 40 times. Speed does not depend on steering, so it is driven first, all
steering laws are made in one go, and only the feedback itself is left for the second turn through the steps: less than
half the operations, which matters where each is a launch on a GPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.scene import PACIFICA, STATE_SIZE, StateIndex, VehicleParameters
from pair_drive_core.scene.validation import require_shape
from pair_drive_core.simulation.kinematic_bicycle import (
    lagged_acceleration,
    lagged_steering_rate,
    move,
    steer,
    yaw_rate,
)
from pair_drive_core.simulation.lqr_tracker import (
    Reference,
    SteeringLaw,
    acceleration_command,
    make_reference,
    steering_law,
)
from pair_drive_core.simulation.proposals import interpolate_plans
from pair_drive_core.simulation.sampling import SIMULATION_STEPS, STEP_S


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
    first = start.to(poses).expand(*poses.shape[:-2], STATE_SIZE)
    speed, applied, law = _drive_longitudinally(reference, first, vehicle.wheel_base_m)
    x, y, heading, steering, rate = _steer_along(reference, first, speed, law, vehicle.wheel_base_m)
    turning = yaw_rate(speed, steering, vehicle.wheel_base_m)
    turning[..., 0] = first[..., StateIndex.ANGULAR_VELOCITY]
    zero = torch.zeros_like(speed)
    states = torch.stack((x, y, heading, speed, zero, applied, zero, steering, rate, turning, zero), dim=-1)
    states[..., 1:, StateIndex.ANGULAR_ACCELERATION] = turning.diff(dim=-1) / STEP_S
    states[..., 0, :] = first
    return states


def _drive_longitudinally(
    reference: Reference, first: Tensor, wheel_base_m: float
) -> tuple[Tensor, Tensor, SteeringLaw]:
    """Speeds and accelerations, which do not depend on the steering, and the steering laws that follow from them.

    Returns:
        Speed (..., 41), applied acceleration (..., 41), and the laws of all steps (..., 40).
    """
    speeds, applied = [first[..., StateIndex.VELOCITY_X]], [first[..., StateIndex.ACCELERATION_X]]
    commands, stops = [], []
    for wanted in reference.speed.unbind(-1):
        command, stopping = acceleration_command(wanted, speeds[-1])
        applied.append(lagged_acceleration(command, applied[-1]))
        speeds.append(speeds[-1] + applied[-1] * STEP_S)
        commands.append(command)
        stops.append(stopping)
    speed = torch.stack(speeds, dim=-1)
    command, stopping = torch.stack(commands, dim=-1), torch.stack(stops, dim=-1)
    law = steering_law(speed[..., :-1], command, stopping, reference.curvature, wheel_base_m)
    return speed, torch.stack(applied, dim=-1), law


def _steer_along(
    reference: Reference, first: Tensor, speed: Tensor, law: SteeringLaw, wheel_base_m: float
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Poses and steering for given speeds.

    Returns:
        x, y, heading, steering angle and steering rate, each (..., 41).
    """
    pose = reference.pose
    along = zip(
        law.unbind(),
        (speed * STEP_S).unbind(-1),
        *(column.unbind(-1) for column in (*pose.unbind(-1), pose[..., 2].cos(), pose[..., 2].sin())),
        strict=False,
    )
    x, y, heading = first[..., 0], first[..., 1], first[..., 2]
    steering, rate = first[..., StateIndex.STEERING_ANGLE], first[..., StateIndex.STEERING_RATE]
    rows = [(x, y, heading, steering, rate)]
    for here, travelled, there_x, there_y, there_heading, cos, sin in along:
        lateral = (y - there_y) * cos - (x - there_x) * sin
        rate = lagged_steering_rate(here.steering_rate(lateral, wrap_angle(heading - there_heading), steering))
        x, y, heading = move(x, y, heading, travelled, steering, wheel_base_m)
        steering = steer(steering, rate)
        rows.append((x, y, heading, steering, rate))
    columns = [torch.stack(column, dim=-1) for column in zip(*rows, strict=True)]
    return columns[0], columns[1], columns[2], columns[3], columns[4]


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
