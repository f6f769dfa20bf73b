"""Drives the vehicle model along the newest of a sequence of plans, one step at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pair_drive_core.scene import PACIFICA, STATE_SIZE, VehicleParameters
from pair_drive_core.scene.sensors import FloatArray
from pair_drive_core.scene.validation import SceneError, require_finite, require_shape
from pair_drive_core.simulation.kinematic_bicycle import propagate
from pair_drive_core.simulation.lqr_tracker import make_reference, track
from pair_drive_core.simulation.sampling import SIMULATION_STEPS, STEP_S


@dataclass(frozen=True)
class TimedPlan:
    """Poses with the times at which the vehicle shall be there.

    Attributes:
        start_us: t0 of the plan.
        time_s: (P,), after t0, strictly increasing.
        poses: (P, 3), rear axle, global frame; m, rad.
    """

    start_us: int
    time_s: FloatArray
    poses: FloatArray

    def validate(self) -> TimedPlan:
        """Check shapes and the order of time.

        Raises:
            SceneError: naming what is wrong.
        """
        require_shape("TimedPlan.poses", torch.as_tensor(self.poses), (self.time_s.size, 3))
        require_finite("TimedPlan.poses", torch.as_tensor(self.poses))
        if self.time_s.size < 2 or (np.diff(self.time_s) <= 0).any():
            raise SceneError(f"TimedPlan.time_s: expected 2 or more increasing times, got {self.time_s.tolist()}")
        return self

    def at(self, time_us: int, steps: int = SIMULATION_STEPS) -> FloatArray:
        """(steps, 3) poses every 0.1 s from a moment on; before the first and after the last pose it stands still."""
        time_s = (time_us - self.start_us) * 1e-6 + STEP_S * np.arange(steps)
        columns = [self.poses[:, 0], self.poses[:, 1], np.unwrap(self.poses[:, 2])]
        return np.stack([np.interp(time_s, self.time_s, column) for column in columns], axis=-1)


def follow(plan: TimedPlan, time_us: int, state: Tensor, vehicle: VehicleParameters = PACIFICA) -> Tensor:
    """The state 0.1 s later, of a vehicle that tracks a plan with the simulator's LQR tracker and bicycle model.

    The plan is indexed by the time since its own t0, so a plan that arrives late is joined where it should be by now.

    Args:
        plan: what to follow.
        time_us: now.
        state: (11,) now, global frame, columns of `StateIndex`.
        vehicle: the ego's measures.

    Returns:
        (11,).
    """
    require_shape("follow: state", state, (STATE_SIZE,))
    reference = make_reference(torch.from_numpy(plan.at(time_us)))
    acceleration, steering_rate = track(reference, 0, state, vehicle.wheel_base_m)
    return propagate(state, acceleration, steering_rate, vehicle.wheel_base_m)
