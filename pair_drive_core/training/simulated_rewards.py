"""Rewards from the metric itself: every trajectory is simulated and scored (paper section 3.3, online simulation)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pair_drive_core.models.reward_world_model import RewardFormula, compose_reward, head_names
from pair_drive_core.planning.pdm_closed import pdm_references
from pair_drive_core.scene import Scene
from pair_drive_core.scoring import HumanFilter, Metric, prepare_scenes, score
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.reward_source import Rewards

METRICS: Mapping[RewardFormula, Metric] = {RewardFormula.PDMS: Metric.V1, RewardFormula.EPDMS: Metric.V2}
"""Which official scorer gives the sub-scores of a formula."""
_PART = 64
"""Scenes prepared at a time."""


class SimulatedRewards:
    """Scores trajectories of known scenes against PDM-Closed's progress; see `RewardSource`.

    The human filter of EPDMS is off: a reward says what a trajectory does, not what its demonstrator got away with.
    """

    def __init__(self, scenes: Sequence[Scene], formula: RewardFormula, progress: Progress = silent) -> None:
        """Plan the metric's reference in every scene that has none, and prepare the scenes for scoring."""
        self.formula = formula
        self.metric = METRICS[formula]
        referenced: list[Scene] = []
        for first in range(0, len(scenes), _PART):
            part = scenes[first : first + _PART]
            bare = [scene for scene in part if scene.reference is None]
            planned: Iterator[Tensor] = iter(pdm_references(bare, self.metric) if bare else [])
            referenced.extend(s if s.reference is not None else replace(s, reference=next(planned)) for s in part)
            progress("references", len(referenced), len(scenes), {})
        self._prepared = prepare_scenes(referenced, self.metric)
        names = self.metric.sub_score_names
        self._columns = [names.index(name) for name in head_names(formula)]

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self._prepared)

    def __call__(self, scenes: Tensor, trajectories: Tensor) -> Rewards:
        """Score (B, K, 8, 3) trajectories of the scenes at B places."""
        batch = self._prepared.select(scenes.tolist())
        scores = score(batch, trajectories.detach().float(), self.metric, human_filter=HumanFilter.OFF)
        sub_scores = scores.unfiltered[..., self._columns].to(torch.float32)
        return Rewards(compose_reward(sub_scores, self.formula), sub_scores)
