"""Planned trajectories."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.scene.validation import SceneError, require_finite, require_shape

PLAN_STEPS = 8
"""Poses of a plan (paper section 3.1, NAVSIM)."""
PLAN_INTERVAL_S = 0.5
"""Time between two poses of a plan."""


@dataclass(frozen=True)
class Trajectory:
    """Future poses of the rear axle at a fixed interval; the first one is one interval after t0.

    Attributes:
        poses: (..., T, 3), x forward, y left, heading, in the ego frame at t0 (origin: rear axle); m, rad.
        interval_s: time between poses.
    """

    poses: Tensor
    interval_s: float = PLAN_INTERVAL_S

    @property
    def horizon_s(self) -> float:
        """Time of the last pose after t0."""
        return self.poses.shape[-2] * self.interval_s

    def validate(self) -> Trajectory:
        """Check shape, finiteness and interval.

        Raises:
            SceneError: naming what is wrong.
        """
        require_shape("Trajectory.poses", self.poses, ("...", "T", 3))
        require_finite("Trajectory.poses", self.poses)
        if not self.interval_s > 0:
            raise SceneError(f"Trajectory.interval_s: expected a positive time, got {self.interval_s}")
        return self

    def with_start(self) -> Tensor:
        """(..., T + 1, 3): the poses with the start pose (the origin) in front."""
        return torch.cat((torch.zeros_like(self.poses[..., :1, :]), self.poses), dim=-2)
