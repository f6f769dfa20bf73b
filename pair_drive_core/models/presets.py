"""Configurations in use. The paper's sizes are the defaults of the configurations themselves."""

from __future__ import annotations

from pair_drive_core.models.bev_backbone import BackboneConfig
from pair_drive_core.models.features import FeatureConfig
from pair_drive_core.models.pair_model import PairConfig, ReinforcementConfig
from pair_drive_core.models.resnet import ResNetConfig
from pair_drive_core.models.reward_world_model import RewardModelConfig
from pair_drive_core.models.transfuser import TransFuserConfig
from pair_drive_core.models.tree_sampler import SamplerConfig


def tiny_config(group_size: int = 15) -> PairConfig:
    """A few ten thousand parameters: for trying code, not for driving."""
    encoder = ResNetConfig(8, 3, 2, False, (8, 16), (1, 1), (2, 2))
    backbone = BackboneConfig(
        camera=encoder,
        lidar=encoder,
        camera_anchors=(2, 4),
        lidar_anchors=(4, 4),
        fusion_layers=1,
        fusion_heads=2,
        fusion_expansion=2,
        bev_channels=8,
        token_width=16,
    )
    return PairConfig(
        FeatureConfig(image_height_px=32, image_width_px=64, lidar_size_px=32, area_interpolation=True),
        TransFuserConfig(backbone, decoder_layers=1, decoder_heads=2, decoder_feed_forward=32),
        ReinforcementConfig(
            backbone,
            SamplerConfig(group_size=group_size, width=16, layers=1, heads=2, feed_forward=32),
            RewardModelConfig(width=16, heads=2, hidden=32),
        ),
    )
