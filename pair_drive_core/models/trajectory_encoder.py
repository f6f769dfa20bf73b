"""Trajectories as tokens (paper section 3.3: (T + 1) x 128 from a trajectory encoder)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pair_drive_core.models.bev_sampling import footprint_points, sample_bev
from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS

_POSE_FEATURES = 6
_FOOTPRINT = 5


class TrajectoryEncoder(nn.Module):
    """One token a pose, the start pose included: where it is, how fast, and what F_BEV says under its footprint."""

    def __init__(self, width: int, bev_channels: int, range_m: float, ahead_m: float = 0.0) -> None:
        super().__init__()
        self.range_m, self.ahead_m = range_m, ahead_m
        self.project = nn.Linear(_POSE_FEATURES + _FOOTPRINT * bev_channels, width)
        self.mix = nn.Linear(width, width)
        self.time = nn.Parameter(0.02 * torch.randn(PLAN_STEPS + 1, width))

    def forward(self, bev_map: Tensor, poses: Tensor) -> Tensor:
        """Encode K trajectories a moment.

        Args:
            bev_map: (B, C, h, w).
            poses: (B, K, 8, 3), ego frame at t0; m, rad.

        Returns:
            (B, K, 9, width).
        """
        poses = functional.pad(poses, (0, 0, 1, 0))
        xy, heading = poses[..., :2], poses[..., 2]
        speed = (xy[..., 1:, :] - xy[..., :-1, :]).norm(dim=-1) / PLAN_INTERVAL_S
        step, gain = functional.pad(speed, (1, 0)), functional.pad(speed[..., 1:] - speed[..., :-1], (2, 0))
        motion = torch.stack((heading.cos(), heading.sin(), step / 10.0, gain), dim=-1)
        points = footprint_points(poses).flatten(2, 3)
        under = sample_bev(bev_map, points, self.range_m, self.ahead_m).reshape(*poses.shape[:3], -1)
        raw = torch.cat((xy / self.range_m, motion, under), dim=-1)
        token: Tensor = self.mix(torch.relu(self.project(raw))) + self.time
        return token
