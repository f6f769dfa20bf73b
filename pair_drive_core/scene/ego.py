"""The ego vehicle's motion state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import torch
from torch import Tensor

from pair_drive_core.scene.validation import SceneError, require_dtype, require_finite, require_shape


class StateIndex(IntEnum):
    """Columns of a simulated state vector (rear axle; velocity and acceleration in the ego frame)."""

    X = 0
    Y = 1
    HEADING = 2
    VELOCITY_X = 3
    VELOCITY_Y = 4
    ACCELERATION_X = 5
    ACCELERATION_Y = 6
    STEERING_ANGLE = 7
    STEERING_RATE = 8
    ANGULAR_VELOCITY = 9
    ANGULAR_ACCELERATION = 10


STATE_SIZE = len(StateIndex)


@dataclass(frozen=True)
class EgoState:
    """State of the ego vehicle at one moment, batched over any leading axes.

    Attributes:
        pose: (..., 3), rear axle x, y, heading in the global frame; m, rad.
        velocity: (..., 2), x forward, y left, ego frame, m/s.
        acceleration: (..., 2), ego frame, m/s^2.
        steering_angle: (...), front wheel, rad, left positive.
        steering_rate: (...), rad/s.
        yaw_rate: (...), rad/s.
        yaw_acceleration: (...), rad/s^2.
    """

    pose: Tensor
    velocity: Tensor
    acceleration: Tensor
    steering_angle: Tensor
    steering_rate: Tensor
    yaw_rate: Tensor
    yaw_acceleration: Tensor

    @staticmethod
    def at(pose: Tensor, velocity: Tensor, acceleration: Tensor) -> EgoState:
        """A state whose steering and yaw terms are zero, as the official NAVSIM loader gives them.

        Args:
            pose: (..., 3).
            velocity: (..., 2).
            acceleration: (..., 2).
        """
        zero = torch.zeros_like(pose[..., 0])
        return EgoState(pose, velocity, acceleration, zero, zero, zero, zero)

    def validate(self) -> EgoState:
        """Check shapes and finiteness.

        Raises:
            SceneError: naming the field at fault.
        """
        lead = self.pose.shape[:-1]
        require_shape("EgoState.pose", self.pose, (*lead, 3))
        require_shape("EgoState.velocity", self.velocity, (*lead, 2))
        require_shape("EgoState.acceleration", self.acceleration, (*lead, 2))
        for name in ("steering_angle", "steering_rate", "yaw_rate", "yaw_acceleration"):
            require_shape(f"EgoState.{name}", getattr(self, name), lead)
        try:
            require_finite("EgoState", self.to_vector())
        except SceneError:
            for name in self.__dataclass_fields__:
                require_finite(f"EgoState.{name}", getattr(self, name))
            raise
        return self

    def to_vector(self) -> Tensor:
        """(..., 11) in the column order of `StateIndex`."""
        scalars = (self.steering_angle, self.steering_rate, self.yaw_rate, self.yaw_acceleration)
        return torch.cat((self.pose, self.velocity, self.acceleration, torch.stack(scalars, dim=-1)), dim=-1)


@dataclass(frozen=True)
class EgoHistory:
    """Past ego states, oldest first; the last row is t0.

    Attributes:
        time_us: (H,) int64, us, strictly increasing.
        pose: (H, 3), global, rear axle; m, rad.
        velocity: (H, 2), ego frame of that moment, m/s.
        acceleration: (H, 2), ego frame of that moment, m/s^2.
    """

    time_us: Tensor
    pose: Tensor
    velocity: Tensor
    acceleration: Tensor

    def validate(self) -> EgoHistory:
        """Check shapes, finiteness and the order of time.

        Raises:
            SceneError: naming the field at fault.
        """
        require_shape("EgoHistory.time_us", self.time_us, ("H",))
        require_dtype("EgoHistory.time_us", self.time_us, torch.int64)
        count = self.time_us.shape[0]
        for name, size in (("pose", 3), ("velocity", 2), ("acceleration", 2)):
            require_shape(f"EgoHistory.{name}", getattr(self, name), (count, size))
            require_finite(f"EgoHistory.{name}", getattr(self, name))
        times = self.time_us.tolist()
        if any(after <= before for before, after in pairwise(times)):
            raise SceneError(f"EgoHistory.time_us: expected strictly increasing times, got {times}")
        return self
