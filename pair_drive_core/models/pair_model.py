"""The two branches side by side; nothing is shared between them (paper section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn

from pair_drive_core.models.bev_backbone import BackboneConfig, BevBackbone
from pair_drive_core.models.bounds import AT_LEAST_ZERO, Bound
from pair_drive_core.models.diffusion_drive import DiffusionDriveConfig
from pair_drive_core.models.features import FeatureConfig
from pair_drive_core.models.imitation_policies import ImitationPolicyConfig, build_imitation
from pair_drive_core.models.reward_world_model import RewardModelConfig, build_reward_model
from pair_drive_core.models.transfuser import TransFuserConfig
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
        if self.reward.reader.reads_layers and self.backbone.world_width < 1:
            raise ValueError(
                f"reward.reader {self.reward.reader.value!r} reads imagined layers: expected backbone.world_width > 0, "
                f"got {self.backbone.world_width}"
            )


@dataclass(frozen=True)
class JoinConfig:
    """How the two branches are joined (paper section 3.4).

    Attributes:
        group_size: leaves of the tree, the imitation plan included; None takes the sampler's.
        value_weight: nats that a predicted reward of 1 is worth when the tree is pruned.
        margin: predicted reward that a leaf must have above the imitation plan to replace it; the paper's is 0, a
            training calibrates it on towns of its own.
        human_margin: the same above a trajectory that a human drove, where both branches follow the human instead of a
            policy; None takes `margin`. `pair-drive calibrate` finds both.
        change_cost: predicted reward that a leaf loses for every metre that it lies from the plan before, on average
            over its first 3 s; the plan before is then one of the leaves. 0 leaves the plan before out.
    """

    group_size: int | None = None
    value_weight: float = 10.0
    margin: float = 0.0
    human_margin: float | None = None
    change_cost: float = 0.0

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "group_size": Bound(2, 4096),
        "value_weight": AT_LEAST_ZERO,
        "margin": Bound(0.0, 1.0),
        "human_margin": Bound(0.0, 1.0),
        "change_cost": Bound(0.0, 1.0),
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
    imitation: ImitationPolicyConfig = field(default_factory=TransFuserConfig)
    reinforcement: ReinforcementConfig = field(default_factory=ReinforcementConfig)
    join: JoinConfig = field(default_factory=JoinConfig)

    def __post_init__(self) -> None:
        for name, backbone in (("imitation", self.imitation.backbone), ("reinforcement", self.reinforcement.backbone)):
            if backbone is None:
                continue
            pairs = {
                "with_ground_image": (backbone.with_ground_image, self.features.ground_image),
                "lidar_sweeps": (backbone.lidar_sweeps, 1 + len(self.features.lidar_past_s)),
            }
            if backbone.latent_lidar_px:
                pairs["latent_lidar_px"] = (backbone.latent_lidar_px, self.features.lidar_size_px)
            for key, (got, wanted) in pairs.items():
                if got != wanted:
                    raise ValueError(f"{name}.backbone.{key}: expected {wanted} as in features, got {got}")
        if isinstance(self.imitation, DiffusionDriveConfig):
            extent = (self.features.lidar_range_m, self.features.lidar_ahead_m)
            if (self.imitation.range_m, self.imitation.ahead_m) != extent:
                raise ValueError(
                    f"imitation.range_m, ahead_m: expected {extent} as in features, "
                    f"got {(self.imitation.range_m, self.imitation.ahead_m)}"
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
        self.imitation = build_imitation(config.imitation)
        self.reinforcement = ReinforcementBranch(
            config.reinforcement, config.features.lidar_range_m, config.features.lidar_ahead_m
        )
