"""Where rewards come from: anything that scores trajectories of known scenes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Rewards:
    """Simulated scores of K trajectories of B scenes.

    Attributes:
        total: (B, K) in [0, 1], the metric (PDMS or EPDMS).
        sub_scores: (B, K, S) in [0, 1], in the order of the reward world model's heads.
    """

    total: Tensor
    sub_scores: Tensor


class RewardSource(Protocol):
    """Scores trajectories by simulation."""

    def __call__(self, scenes: Tensor, trajectories: Tensor) -> Rewards:
        """Score.

        Args:
            scenes: (B,) int64, places of the scenes in the data set.
            trajectories: (B, K, 8, 3), ego frame at t0; m, rad.
        """
        ...
