"""What a planner answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from torch import Tensor

from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS, SceneError
from pair_drive_core.scene.validation import require_finite, require_shape


class PlanSource(str, Enum):
    """Which part of the planner the chosen trajectory came from."""

    IMITATION = "imitation"
    REINFORCEMENT = "reinforcement"
    FALLBACK = "fallback"


class Intention(IntEnum):
    """Driving intentions of the tree sampler (paper section 3.3; METHOD section 4)."""

    KEEP = 0
    LEFT = 1
    RIGHT = 2
    ACCELERATE = 3
    DECELERATE = 4


@dataclass(frozen=True)
class CandidateTrajectories:
    """The leaves of the tree of trajectories.

    Attributes:
        poses: (G, 8, 3), ego frame at t0; m, rad.
        intentions: (G, E) int64, the `Intention` taken at each of the E expansions of the tree.
        log_prob: (G,), the sampler's log-probability of each leaf; 0 for the reference itself.
        reward: (G,), predicted PDM score in [0, 1].
        confidence: (G,), in [0, 1].
        sub_scores: (G, S), predicted sub-scores in [0, 1].
        sub_score_names: S names.
        imitation_index: which leaf is the imitation branch's plan.
    """

    poses: Tensor
    intentions: Tensor
    log_prob: Tensor
    reward: Tensor
    confidence: Tensor
    sub_scores: Tensor
    sub_score_names: tuple[str, ...]
    imitation_index: int

    def validate(self) -> CandidateTrajectories:
        """Check that all fields speak of the same leaves.

        Raises:
            SceneError: naming the field at fault.
        """
        count = self.poses.shape[0]
        require_shape("CandidateTrajectories.poses", self.poses, (count, PLAN_STEPS, 3))
        require_shape("CandidateTrajectories.intentions", self.intentions, (count, "E"))
        require_shape("CandidateTrajectories.sub_scores", self.sub_scores, (count, len(self.sub_score_names)))
        for name in ("log_prob", "reward", "confidence"):
            require_shape(f"CandidateTrajectories.{name}", getattr(self, name), (count,))
        for name in ("poses", "log_prob", "reward", "confidence", "sub_scores"):
            require_finite(f"CandidateTrajectories.{name}", getattr(self, name))
        if not 0 <= self.imitation_index < count:
            raise SceneError(
                f"CandidateTrajectories.imitation_index: expected below {count}, got {self.imitation_index}"
            )
        return self


@dataclass(frozen=True)
class Plan:
    """A planned trajectory and where it came from.

    Attributes:
        poses: (8, 3), ego frame at t0, 2 Hz; m, rad.
        source: which branch it came from.
        score: predicted PDM score in [0, 1]; NaN where the planner predicts none.
        confidence: in [0, 1]; NaN where the planner predicts none.
        candidates: all leaves; None for planners without a tree.
        interval_s: time between poses.
    """

    poses: Tensor
    source: PlanSource
    score: float
    confidence: float
    candidates: CandidateTrajectories | None = None
    interval_s: float = PLAN_INTERVAL_S
