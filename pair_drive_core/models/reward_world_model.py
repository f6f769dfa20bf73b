"""The reward world model: (F_BEV, command, trajectory) to sub-scores, reward and confidence (paper section 3.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor, nn

from pair_drive_core.models.bev_backbone import STATUS_SCALE, BevFeatures
from pair_drive_core.models.features import STATUS_SIZE
from pair_drive_core.models.trajectory_encoder import TrajectoryEncoder
from pair_drive_core.models.world_reading import READING_SIZE, SUMMARY_SIZE, WorldReading
from pair_drive_core.scene import PLAN_STEPS
from pair_drive_core.scoring.formula import counted_names, total_score
from pair_drive_core.scoring.metric import Metric


class RewardFormula(str, Enum):
    """Which published metric the predicted sub-scores make up (NAVSIM section 3)."""

    PDMS = "pdms"
    EPDMS = "epdms"
    """EPDMS without EC: two-frame comfort needs the plan before, which a reward for single plans has not."""

    @property
    def label(self) -> str:
        """What the reward is, for reports."""
        return "PDMS" if self is RewardFormula.PDMS else "EPDMS without EC"

    @property
    def metric(self) -> Metric:
        """Which official scorer gives its sub-scores."""
        return Metric.V1 if self is RewardFormula.PDMS else Metric.V2


def head_names(formula: RewardFormula) -> tuple[str, ...]:
    """Names of the sub-scores of a formula, in the order of the model's heads."""
    return counted_names(formula.metric)


def compose_reward(sub_scores: Tensor, formula: RewardFormula) -> Tensor:
    """The metric's own formula, EC left out (see `RewardFormula`).

    Args:
        sub_scores: (..., S) in [0, 1], in the order of `head_names`.
        formula: which metric.

    Returns:
        (...) in [0, 1].
    """
    return total_score(sub_scores, formula.metric, names=head_names(formula))


def confidence_from(logits: Tensor) -> Tensor:
    """One minus the mean entropy of the heads, in bits.

    Args:
        logits: (..., S).

    Returns:
        (...) in [0, 1]: 1 where every head is certain.
    """
    p = torch.sigmoid(logits)
    log_p, log_q = nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)
    entropy = -(p * log_p + (1.0 - p) * log_q) / math.log(2.0)
    return 1.0 - entropy.mean(-1)


class RewardReader(str, Enum):
    """How a trajectory is read."""

    TOKENS = "tokens"
    """Features under five points of the footprint, attention to the BEV tokens."""
    LAYERS = "layers"
    """Imagined layers under the footprint, at the time of each pose."""
    BOTH = "both"
    """Imagined layers and, for what they do not say, features and tokens."""

    @property
    def reads_layers(self) -> bool:
        """Whether the backbone must imagine layers."""
        return self is not RewardReader.TOKENS


@dataclass(frozen=True)
class RewardModelConfig:
    """Sizes of the reward world model.

    Attributes:
        formula: the metric that it predicts.
        reader: how it reads trajectories.
        width: token width; of layers, numbers that each pose is summed up in.
        heads: attention heads of the look at F_BEV (`TOKENS`, `BOTH`).
        hidden: width of the trunk in front of the heads.
        substeps: readings a pose (`LAYERS`, `BOTH`).
    """

    formula: RewardFormula = RewardFormula.PDMS
    reader: RewardReader = RewardReader.TOKENS
    width: int = 128
    heads: int = 4
    hidden: int = 256
    substeps: int = 1


@dataclass(frozen=True)
class PredictedReward:
    """What the model thinks of K trajectories of B moments.

    Attributes:
        sub_scores: (B, K, S) in [0, 1].
        reward: (B, K) in [0, 1].
        confidence: (B, K) in [0, 1].
    """

    sub_scores: Tensor
    reward: Tensor
    confidence: Tensor


class RewardWorldModel(nn.Module):
    """Imagines a trajectory's score without simulating it."""

    def __init__(self, formula: RewardFormula) -> None:
        super().__init__()
        self.formula = formula
        self.names = head_names(formula)

    def forward(self, bev: BevFeatures, poses: Tensor) -> Tensor:
        """Logits of the sub-scores.

        Args:
            bev: F_BEV of B moments; its status carries command and speed.
            poses: (B, K, 8, 3), ego frame at t0; m, rad.

        Returns:
            (B, K, S), in the order of `names`.
        """
        raise NotImplementedError

    def predict(self, bev: BevFeatures, poses: Tensor) -> PredictedReward:
        """Sub-scores, reward and confidence of (B, K, 8, 3) trajectories."""
        logits = self(bev, poses)
        sub_scores = torch.sigmoid(logits)
        return PredictedReward(sub_scores, compose_reward(sub_scores, self.formula), confidence_from(logits))


def attended_tokens(
    encoder: TrajectoryEncoder, norm: nn.LayerNorm, look: nn.MultiheadAttention, bev: BevFeatures, poses: Tensor
) -> Tensor:
    """(B, K, 9, width): trajectories, (B, K, 8, 3), as tokens that have looked at those of F_BEV."""
    tokens: Tensor = encoder(bev.bev_map, poses)
    query = norm(tokens).flatten(1, 2)
    seen: Tensor = look(query, bev.tokens, bev.tokens, need_weights=False)[0]
    return tokens + seen.reshape_as(tokens)


class TokenRewardModel(RewardWorldModel):
    """Reads F_BEV with attention (`RewardReader.TOKENS`)."""

    def __init__(
        self, config: RewardModelConfig, memory_width: int, bev_channels: int, range_m: float, ahead_m: float = 0.0
    ) -> None:
        super().__init__(config.formula)
        self.encoder = TrajectoryEncoder(config.width, bev_channels, range_m, ahead_m)
        self.norm = nn.LayerNorm(config.width)
        self.look = nn.MultiheadAttention(
            config.width, config.heads, batch_first=True, kdim=memory_width, vdim=memory_width
        )
        self.trunk = nn.Sequential(
            nn.LayerNorm(config.width * (PLAN_STEPS + 1)),
            nn.Linear(config.width * (PLAN_STEPS + 1), config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
        )
        self.sub_score_heads = nn.Linear(config.hidden, len(self.names))

    def forward(self, bev: BevFeatures, poses: Tensor) -> Tensor:
        """(B, K, S) logits; see `RewardWorldModel`."""
        tokens = attended_tokens(self.encoder, self.norm, self.look, bev, poses)
        logits: Tensor = self.sub_score_heads(self.trunk(tokens.flatten(2)))
        return logits


class LayerRewardModel(RewardWorldModel):
    """Reads the imagined layers under the vehicle, pose by pose (`RewardReader.LAYERS`)."""

    status_scale: Tensor

    def __init__(self, config: RewardModelConfig, range_m: float, ahead_m: float = 0.0, feature_size: int = 0) -> None:
        """`feature_size`: numbers a trajectory that somebody else reads and hands to `judge`."""
        super().__init__(config.formula)
        self.reading = WorldReading(range_m, ahead_m, config.substeps)
        self.pose = nn.Sequential(
            nn.Linear(READING_SIZE, config.width), nn.ReLU(), nn.Linear(config.width, config.width), nn.ReLU()
        )
        known = self.reading.steps * config.width + feature_size + SUMMARY_SIZE + STATUS_SIZE + 1
        self.trunk = nn.Sequential(
            nn.Linear(known, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.hidden), nn.ReLU()
        )
        self.sub_score_heads = nn.Linear(config.hidden, len(self.names))
        self.register_buffer("status_scale", torch.tensor(STATUS_SCALE), persistent=False)

    def forward(self, bev: BevFeatures, poses: Tensor) -> Tensor:
        """(B, K, S) logits; see `RewardWorldModel`.

        Raises:
            ValueError: if no layers were imagined.
        """
        return self.judge(bev, poses, ())

    def judge(self, bev: BevFeatures, poses: Tensor, features: tuple[Tensor, ...]) -> Tensor:
        """(B, K, S) logits from the layers and further numbers of each trajectory, each (B, K, F)."""
        if bev.layers is None or bev.best_progress is None:
            raise ValueError("the reward model reads imagined layers: expected some in F_BEV, got none")
        readings, summary = self.reading(bev.layers, poses)
        known = torch.cat((bev.status * self.status_scale, bev.best_progress.unsqueeze(1)), dim=1)
        everywhere = known.unsqueeze(1).expand(-1, poses.shape[1], -1)
        summed_up = self.pose(readings).flatten(2)
        everything = torch.cat((summed_up, *features, summary, everywhere), dim=-1)
        logits: Tensor = self.sub_score_heads(self.trunk(everything))
        return logits


class LayerAndTokenRewardModel(LayerRewardModel):
    """Reads the imagined layers and, beside them, what `TokenRewardModel` looks at (`RewardReader.BOTH`)."""

    def __init__(
        self, config: RewardModelConfig, memory_width: int, bev_channels: int, range_m: float, ahead_m: float = 0.0
    ) -> None:
        super().__init__(config, range_m, ahead_m, config.width * (PLAN_STEPS + 1))
        self.encoder = TrajectoryEncoder(config.width, bev_channels, range_m, ahead_m)
        self.norm = nn.LayerNorm(config.width)
        self.look = nn.MultiheadAttention(
            config.width, config.heads, batch_first=True, kdim=memory_width, vdim=memory_width
        )

    def forward(self, bev: BevFeatures, poses: Tensor) -> Tensor:
        """(B, K, S) logits; see `RewardWorldModel`.

        Raises:
            ValueError: if no layers were imagined.
        """
        tokens = attended_tokens(self.encoder, self.norm, self.look, bev, poses)
        return self.judge(bev, poses, (tokens.flatten(2),))


def build_reward_model(
    config: RewardModelConfig, memory_width: int, bev_channels: int, range_m: float, ahead_m: float
) -> RewardWorldModel:
    """The reward world model of a configuration."""
    if config.reader is RewardReader.LAYERS:
        return LayerRewardModel(config, range_m, ahead_m)
    if config.reader is RewardReader.BOTH:
        return LayerAndTokenRewardModel(config, memory_width, bev_channels, range_m, ahead_m)
    return TokenRewardModel(config, memory_width, bev_channels, range_m, ahead_m)
