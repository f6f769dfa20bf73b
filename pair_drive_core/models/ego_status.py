"""The ego-status policy: command, velocity and acceleration to one trajectory, blind to everything else.

What it scores is what a benchmark gives away without perception (Li et al. 2024, "Is ego status all you need").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pair_drive_core.models.bev_backbone import STATUS_SCALE
from pair_drive_core.models.features import STATUS_SIZE, Features
from pair_drive_core.models.imitation_policy import DemonstrationLoss, ImitationPolicy, imitation_loss
from pair_drive_core.scene import PLAN_STEPS


@dataclass(frozen=True)
class EgoStatusConfig:
    """Sizes; the defaults are NAVSIM's baseline.

    Attributes:
        kind: which policy this is.
        hidden: width of the hidden layers.
        layers: hidden layers.
        position_scale_m: what an output of 1 means.
    """

    kind: str = "ego_status"
    hidden: int = 512
    layers: int = 3
    position_scale_m: float = 10.0

    @property
    def backbone(self) -> None:
        """There is none."""


class EgoStatusPolicy(ImitationPolicy):
    """A plain network on the status."""

    status_scale: Tensor

    def __init__(self, config: EgoStatusConfig) -> None:
        super().__init__()
        self.backbone = None
        widths = (STATUS_SIZE, *(config.hidden,) * config.layers)
        hidden: list[nn.Module] = []
        for i in range(config.layers):
            hidden += [nn.Linear(widths[i], widths[i + 1]), nn.ReLU()]
        self.network = nn.Sequential(*hidden, nn.Linear(widths[-1], PLAN_STEPS * 3))
        self.position_scale_m = config.position_scale_m
        self.register_buffer("status_scale", torch.tensor(STATUS_SCALE), persistent=False)

    def forward(self, features: Features) -> Tensor:
        """Plan for B moments; see `ImitationPolicy`."""
        raw = self.network(features.status * self.status_scale).unflatten(-1, (PLAN_STEPS, 3))
        return torch.cat((raw[..., :2] * self.position_scale_m, torch.tanh(raw[..., 2:]) * math.pi), dim=-1)

    def learn(
        self, features: Features, human: Tensor, heading_weight: float, generator: torch.Generator
    ) -> DemonstrationLoss:
        """L1 to the human's poses."""
        distance = imitation_loss(self(features), human, heading_weight)
        return DemonstrationLoss(distance, distance.detach())
