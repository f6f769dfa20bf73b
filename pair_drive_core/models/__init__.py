"""Networks: sensor features, TransFuser, the tree of trajectories, the reward world model, checkpoints."""

from pair_drive_core.models.bev_backbone import BackboneConfig, BevBackbone, BevFeatures
from pair_drive_core.models.checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from pair_drive_core.models.configuration import ConfigurationError, config_from_mapping, config_to_mapping
from pair_drive_core.models.features import FeatureConfig, Features, build_features
from pair_drive_core.models.pair_model import (
    JoinConfig,
    PairConfig,
    PairModel,
    ReinforcementBranch,
    ReinforcementConfig,
)
from pair_drive_core.models.path_offsets import OffsetBounds, OffsetConfig, apply_offsets
from pair_drive_core.models.resnet import ResNetConfig
from pair_drive_core.models.reward_world_model import (
    PredictedReward,
    RewardFormula,
    RewardModelConfig,
    RewardReader,
    RewardWorldModel,
    compose_reward,
    head_names,
)
from pair_drive_core.models.transfuser import TransFuser, TransFuserConfig
from pair_drive_core.models.tree import EdgeDistribution, TrajectoryTree
from pair_drive_core.models.tree_sampler import Growth, SamplerConfig, TreeSampler

__all__ = [
    "BackboneConfig",
    "BevBackbone",
    "BevFeatures",
    "Checkpoint",
    "CheckpointError",
    "ConfigurationError",
    "EdgeDistribution",
    "FeatureConfig",
    "Features",
    "Growth",
    "JoinConfig",
    "OffsetBounds",
    "OffsetConfig",
    "PairConfig",
    "PairModel",
    "PredictedReward",
    "ReinforcementBranch",
    "ReinforcementConfig",
    "ResNetConfig",
    "RewardFormula",
    "RewardModelConfig",
    "RewardReader",
    "RewardWorldModel",
    "SamplerConfig",
    "TrajectoryTree",
    "TransFuser",
    "TransFuserConfig",
    "TreeSampler",
    "apply_offsets",
    "build_features",
    "compose_reward",
    "config_from_mapping",
    "config_to_mapping",
    "head_names",
    "load_checkpoint",
    "save_checkpoint",
]
