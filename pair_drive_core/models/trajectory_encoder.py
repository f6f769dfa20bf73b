"""Trajectories as tokens (paper section 3.3: (T + 1) x 128 from a trajectory encoder)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
        poses = torch.cat((torch.zeros_like(poses[..., :1, :]), poses), dim=-2)
        step = torch.zeros_like(poses[..., 0])
        step[..., 1:] = (poses[..., 1:, :2] - poses[..., :-1, :2]).norm(dim=-1) / PLAN_INTERVAL_S
        gain = torch.zeros_like(step)
        gain[..., 2:] = step[..., 2:] - step[..., 1:-1]
        motion = torch.stack((step / 10.0, gain), dim=-1)
        turn = torch.stack((poses[..., 2].cos(), poses[..., 2].sin()), dim=-1)
        points = footprint_points(poses).flatten(2, 3)
        under = sample_bev(bev_map, points, self.range_m, self.ahead_m).reshape(*poses.shape[:3], -1)
        raw = torch.cat((poses[..., :2] / self.range_m, turn, motion, under), dim=-1)
        token: Tensor = self.mix(torch.relu(self.project(raw))) + self.time
        return token
