"""What a network's plan must be to be believed, and what is planned where it is not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS


@dataclass(frozen=True)
class PlausibilityConfig:
    """Bounds of a believable plan; far outside anything a road vehicle does.

    Attributes:
        max_speed_mps: between two poses.
        max_speed_change_mps2: between two steps, and from the present speed to the first step.
        fallback_deceleration_mps2: of the plan that replaces an unbelievable one.
    """

    max_speed_mps: float = 50.0
    max_speed_change_mps2: float = 20.0
    fallback_deceleration_mps2: float = 2.5


def is_plausible(poses: Tensor, speed_mps: float, config: PlausibilityConfig) -> bool:
    """Whether a plan is finite and neither its speed nor its changes of speed are absurd.

    Args:
        poses: (8, 3), ego frame at t0; m, rad.
        speed_mps: present speed.
        config: bounds.
    """
    if not bool(torch.isfinite(poses).all()):
        return False
    points = torch.cat((poses.new_zeros(1, 2), poses[:, :2]))
    speed = points.diff(dim=0).norm(dim=-1) / PLAN_INTERVAL_S
    change = torch.cat((speed.new_tensor([speed_mps]), speed)).diff().abs() / PLAN_INTERVAL_S
    return bool(speed.max() <= config.max_speed_mps and change.max() <= config.max_speed_change_mps2)


def straight_stop(speed_mps: float, config: PlausibilityConfig) -> Tensor:
    """(8, 3): straight on, slowing down evenly to a stop; the fallback of the learned planners."""
    time = torch.arange(1, PLAN_STEPS + 1) * PLAN_INTERVAL_S
    speed = max(speed_mps, 0.0)
    time = time.clamp(max=speed / config.fallback_deceleration_mps2)
    poses = torch.zeros(PLAN_STEPS, 3)
    poses[:, 0] = speed * time - 0.5 * config.fallback_deceleration_mps2 * time**2
    return poses
