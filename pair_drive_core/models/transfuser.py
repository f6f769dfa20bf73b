"""The imitation branch: TransFuser with a single trajectory query (paper section 3.2).

The official TransFuser on NAVSIM, which the paper takes, has 30 queries for boxes of other vehicles beside it, and
learns them (METHOD section 6). There are none here: the auxiliary task is the BEV map alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pair_drive_core.models.bev_backbone import BackboneConfig, BevBackbone, BevFeatures
from pair_drive_core.models.features import Features
from pair_drive_core.models.imitation_policy import DemonstrationLoss, ImitationPolicy, imitation_loss
from pair_drive_core.scene import PLAN_STEPS


@dataclass(frozen=True)
class TransFuserConfig:
    """Sizes of the imitation branch; the defaults are the paper's, but for the boxes that are left out.

    Attributes:
        backbone: encoders and fusion.
        decoder_layers: transformer decoder layers.
        decoder_heads: their attention heads.
        decoder_feed_forward: their feed-forward width.
        position_scale_m: what an output of 1 means; keeps the regression near unit scale.
        kind: which policy this is.
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    decoder_layers: int = 3
    decoder_heads: int = 8
    decoder_feed_forward: int = 1024
    position_scale_m: float = 10.0
    kind: str = "transfuser"


class TransFuser(ImitationPolicy):
    """Sensors to one trajectory."""

    backbone: BevBackbone

    def __init__(self, config: TransFuserConfig) -> None:
        super().__init__()
        width = config.backbone.token_width
        self.backbone = BevBackbone(config.backbone)
        self.query = nn.Parameter(0.02 * torch.randn(1, 1, width))
        layer = nn.TransformerDecoderLayer(
            width, config.decoder_heads, config.decoder_feed_forward, 0.0, batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, config.decoder_layers, nn.LayerNorm(width))
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PLAN_STEPS * 3))
        self.position_scale_m = config.position_scale_m

    def forward(self, features: Features) -> Tensor:
        """Plan for B moments; see `ImitationPolicy`."""
        return self.decode(self.backbone(features, imagine=False))

    def learn(
        self, features: Features, human: Tensor, heading_weight: float, generator: torch.Generator
    ) -> DemonstrationLoss:
        """L1 to the human's poses (paper section 3.2)."""
        bev = self.backbone(features, imagine=False)
        distance = imitation_loss(self.decode(bev), human, heading_weight)
        return DemonstrationLoss(distance, distance.detach(), bev)

    def decode(self, bev: BevFeatures) -> Tensor:
        """(B, 8, 3) from F_BEV; see `forward`."""
        query = self.query.expand(bev.tokens.shape[0], -1, -1)
        raw = self.head(self.decoder(query, bev.tokens)).unflatten(-1, (PLAN_STEPS, 3)).squeeze(1)
        return torch.cat((raw[..., :2] * self.position_scale_m, torch.tanh(raw[..., 2:]) * math.pi), dim=-1)
