"""The two branches side by side; nothing is shared between them (paper section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn

from pair_drive_core.models.bev_backbone import BackboneConfig, BevBackbone
from pair_drive_core.models.bounds import AT_LEAST_ZERO, Bound
from pair_drive_core.models.features import FeatureConfig
from pair_drive_core.models.reward_world_model import RewardModelConfig, RewardReader, build_reward_model
from pair_drive_core.models.transfuser import TransFuser, TransFuserConfig
from pair_drive_core.models.tree_sampler import SamplerConfig, TreeSampler


@dataclass(frozen=True)
class ReinforcementConfig:
    """The reinforcement branch.

    Attributes:
        backbone: its own encoders and fusion.
        sampler: the tree sampler.
        reward: the reward world model on the same F_BEV.
    """

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    reward: RewardModelConfig = field(default_factory=RewardModelConfig)

    def __post_init__(self) -> None:
        if self.reward.reader is RewardReader.LAYERS and self.backbone.world_width < 1:
            raise ValueError(
                f"reward.reader 'layers' reads imagined layers: expected backbone.world_width > 0, got "
                f"{self.backbone.world_width}"
            )


@dataclass(frozen=True)
class JoinConfig:
    """How the two branches are joined (paper section 3.4).

    Attributes:
        group_size: leaves of the tree, the imitation plan included; None takes the sampler's.
        value_weight: nats that a predicted reward of 1 is worth when the tree is pruned.
        margin: predicted reward that a leaf must have above the imitation plan to replace it; the paper's is 0, a
            training calibrates it on towns of its own.
    """

    group_size: int | None = None
    value_weight: float = 10.0
    margin: float = 0.0

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "group_size": Bound(2, 4096),
        "value_weight": AT_LEAST_ZERO,
        "margin": Bound(0.0, 1.0),
    }


@dataclass(frozen=True)
class PairConfig:
    """Everything that determines the shapes of a checkpoint; the defaults are the paper's sizes.

    Attributes:
        features: network inputs.
        imitation: the imitation branch.
        reinforcement: the reinforcement branch.
        join: how their plans become one.
    """

    features: FeatureConfig = field(default_factory=FeatureConfig)
    imitation: TransFuserConfig = field(default_factory=TransFuserConfig)
    reinforcement: ReinforcementConfig = field(default_factory=ReinforcementConfig)
    join: JoinConfig = field(default_factory=JoinConfig)

    def __post_init__(self) -> None:
        wanted = self.features.ground_image
        for name, branch in (("imitation", self.imitation), ("reinforcement", self.reinforcement)):
            got = branch.backbone.with_ground_image
            if got != wanted:
                raise ValueError(f"{name}.backbone.with_ground_image: expected {wanted} as in features, got {got}")
            sweeps = 1 + len(self.features.lidar_past_s)
            if branch.backbone.lidar_sweeps != sweeps:
                raise ValueError(
                    f"{name}.backbone.lidar_sweeps: expected {sweeps} as in features, "
                    f"got {branch.backbone.lidar_sweeps}"
                )


class ReinforcementBranch(nn.Module):
    """Backbone, tree sampler and reward world model."""

    def __init__(self, config: ReinforcementConfig, range_m: float, ahead_m: float = 0.0) -> None:
        super().__init__()
        width, channels = config.backbone.token_width, config.backbone.bev_channels
        self.backbone = BevBackbone(config.backbone)
        self.sampler = TreeSampler(config.sampler, width, channels, range_m, ahead_m)
        self.reward = build_reward_model(config.reward, width, channels, range_m, ahead_m)


class PairModel(nn.Module):
    """Imitation branch and reinforcement branch."""

    def __init__(self, config: PairConfig) -> None:
        super().__init__()
        self.config = config
        self.imitation = TransFuser(config.imitation)
        self.reinforcement = ReinforcementBranch(
            config.reinforcement, config.features.lidar_range_m, config.features.lidar_ahead_m
        )
