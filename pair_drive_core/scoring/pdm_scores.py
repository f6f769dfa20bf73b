"""What the scorer answers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pair_drive_core.scoring.metric import Metric


@dataclass(frozen=True)
class PdmScores:
    """Scores of K candidates in S scenes, n sub-scores each.

    Attributes:
        metric: which version of the metric.
        sub: (S, K, n), sub-scores in [0, 1], columns `names`; in V2 after the human filter. Zero for invalid plans.
        total: (S, K), PDMS or EPDMS in [0, 1].
        unfiltered: (S, K, n), sub-scores before the human filter.
        human_sub: (S, n), the demonstration's own sub-scores that drive the filter; 1 where there is no filter.
        step: (S, K, n) int64, 10 Hz step of each sub-score's first infraction, -1 where there is none or no time.
        cause: (S, K, n) int64, index within the scene of the object (NC, TTC) or red connector (TLC) behind it, or -1.
        comfort: (S, K, 6) bool, the bounds of `COMFORT_NAMES` that hold (C in V1, HC in V2).
        progress_m: (S, K), progress along the route's centre line.
        reference_progress_m: (S,), PDM-Closed's progress times its multiplier, what EP is measured against.
        valid: (S, K) bool, whether the plan was finite and of this world; invalid plans score 0.
        states: (S, K, 41, 11), simulated states in the scene's local frame.
        backend: "native" or "torch", who computed the sub-scores.
    """

    metric: Metric
    sub: Tensor
    total: Tensor
    unfiltered: Tensor
    human_sub: Tensor
    step: Tensor
    cause: Tensor
    comfort: Tensor
    progress_m: Tensor
    reference_progress_m: Tensor
    valid: Tensor
    states: Tensor
    backend: str

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the sub-scores."""
        return self.metric.sub_score_names

    def column(self, name: str) -> Tensor:
        """(S, K): one sub-score.

        Raises:
            KeyError: if the metric has no such sub-score.
        """
        if name not in self.names:
            raise KeyError(f"sub-score {name}: expected one of {', '.join(self.names)}")
        return self.sub[..., self.names.index(name)]
