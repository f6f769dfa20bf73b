"""Drives the vehicle model by steering angle and acceleration instead of along a plan: physics for a follower."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.scene import PACIFICA, STATE_SIZE, StateIndex, VehicleParameters
from pair_drive_core.scene.validation import SceneError, require_shape
from pair_drive_core.simulation.kinematic_bicycle import MAX_STEERING_ANGLE, propagate
from pair_drive_core.simulation.sampling import STEP_S

MAX_STEERING_RATE_RPS = 1.0
"""What the steering of the modelled vehicle can do, whatever is asked of it."""


@dataclass(frozen=True)
class ActuatorCommand:
    """What a vehicle's actuators are asked for.

    Attributes:
        steering_rad: angle of the front wheel, left positive.
        acceleration_mps2: along the heading; below zero brakes, and holds a vehicle that stands.
    """

    steering_rad: float
    acceleration_mps2: float

    def validate(self) -> ActuatorCommand:
        """Check that both are finite.

        Raises:
            SceneError: naming what came.
        """
        if not torch.tensor([self.steering_rad, self.acceleration_mps2]).isfinite().all():
            raise SceneError(f"ActuatorCommand: expected finite numbers, got {self}")
        return self


def obey(state: Tensor, command: ActuatorCommand, vehicle: VehicleParameters = PACIFICA) -> Tensor:
    """The state 0.1 s later, with the lags of the bicycle model; brakes stop a vehicle and never drive it backwards.

    Args:
        state: (11,) now, global frame, columns of `StateIndex`.
        command: what is asked for.
        vehicle: the ego's measures.

    Returns:
        (11,).
    """
    require_shape("obey: state", state, (STATE_SIZE,))
    wanted = min(max(command.steering_rad, -MAX_STEERING_ANGLE), MAX_STEERING_ANGLE)
    rate = (wanted - state[StateIndex.STEERING_ANGLE]) / STEP_S
    rate = rate.clamp(-MAX_STEERING_RATE_RPS, MAX_STEERING_RATE_RPS)
    acceleration = torch.as_tensor(command.acceleration_mps2, dtype=state.dtype)
    moved = propagate(state, acceleration, rate, vehicle.wheel_base_m)
    if moved[StateIndex.VELOCITY_X] >= 0.0:
        return moved
    stopped = moved.clone()
    for column in (StateIndex.VELOCITY_X, StateIndex.ACCELERATION_X, StateIndex.ANGULAR_VELOCITY):
        stopped[column] = 0.0
    stopped[StateIndex.ANGULAR_ACCELERATION] = -state[StateIndex.ANGULAR_VELOCITY] / STEP_S
    return stopped
