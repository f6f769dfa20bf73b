"""PDM-Closed's emergency brake: stop rather than hit something soon at low speed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS, EgoState


@dataclass(frozen=True)
class EmergencyBrake:
    """When and how PDM-Closed brakes (official `PDMEmergencyBrake`).

    NAVSIM keeps the class but its metric cache never calls it, so the metric's reference never brakes; PDM-Closed as a
    planner of its own does (Dauner et al. 2023, appendix).

    Attributes:
        time_to_collision_s: brake if the best proposal is at fault in a collision not later than this.
        max_speed_mps: brake only up to this speed.
        min_acceleration_mps2: hardest braking that is asked for.
        max_acceleration_mps2: hardest push against rolling back.
    """

    time_to_collision_s: float = 2.0
    max_speed_mps: float = 5.0
    min_acceleration_mps2: float = -4.05
    max_acceleration_mps2: float = 2.40

    def applies(self, ego: EgoState, collision_s: float | None) -> bool:
        """Whether to brake.

        Args:
            ego: state at t0.
            collision_s: when the best proposal collides by its own fault; None if it does not.
        """
        slow = float(ego.velocity.norm()) <= self.max_speed_mps
        return slow and collision_s is not None and collision_s <= self.time_to_collision_s

    def poses(self, ego: EgoState) -> Tensor:
        """(8, 3): a plan in the ego frame that makes a tracker stop.

        It is not a plan to be driven to its end: to make the tracker brake at the limit it lies behind the vehicle
        where the vehicle is still rolling.
        """
        speed, acceleration = float(ego.velocity[0]), float(ego.acceleration[0])
        if speed > 0.2:
            wanted = 1.1 * (speed + self._limited(-10.0 * speed))
        else:
            wanted = self._limited(-4.0 * speed - acceleration)
        out = torch.zeros(PLAN_STEPS, 3, dtype=torch.float64)
        out[:, 0] = wanted * PLAN_INTERVAL_S * torch.arange(1, PLAN_STEPS + 1, dtype=torch.float64)
        return out

    def _limited(self, acceleration: float) -> float:
        return max(min(acceleration, self.max_acceleration_mps2), self.min_acceleration_mps2)
