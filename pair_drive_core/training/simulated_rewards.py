"""Rewards from the metric itself: every trajectory is simulated and scored (paper section 3.3, online simulation)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import Tensor

from pair_drive_core.models.reward_world_model import RewardFormula, head_names
from pair_drive_core.planning.pdm_closed import pdm_references
from pair_drive_core.scene import Scene
from pair_drive_core.scoring import HumanFilter, prepare_scenes, score
from pair_drive_core.scoring.indexed import IndexedScenes, score_indexed
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.reward_source import Rewards

_PART = 64
"""Scenes prepared at a time."""


class SimulatedRewards:
    """Scores trajectories of known scenes against PDM-Closed's progress; see `RewardSource`.

    The total is the scorer's own: PDMS, or EPDMS without EC (`RewardFormula.label`). The human filter of EPDMS is off:
    a reward says what a trajectory does, not what its demonstrator got away with. Scenes are prepared and indexed once.
    """

    def __init__(self, scenes: Sequence[Scene], formula: RewardFormula, progress: Progress = silent) -> None:
        """Plan the metric's reference in every scene that has none, and prepare the scenes for scoring."""
        self.formula = formula
        self.metric = formula.metric
        referenced: list[Scene] = []
        for first in range(0, len(scenes), _PART):
            part = scenes[first : first + _PART]
            bare = [scene for scene in part if scene.reference is None]
            planned: Iterator[Tensor] = iter(pdm_references(bare, self.metric) if bare else [])
            referenced.extend(s if s.reference is not None else replace(s, reference=next(planned)) for s in part)
            progress("references", len(referenced), len(scenes), {})
        prepared = prepare_scenes(referenced, self.metric)
        self._indexed = IndexedScenes.build(prepared)
        # The kernel's index holds all that it needs; without a kernel torch scores the prepared scenes.
        self._prepared = prepared if self._indexed is None else None
        self._count = len(prepared)
        names = self.metric.sub_score_names
        self._columns = [names.index(name) for name in head_names(formula)]

    def __len__(self) -> int:
        """Number of scenes."""
        return self._count

    def __call__(self, scenes: Tensor, trajectories: Tensor) -> Rewards:
        """Score (B, K, 8, 3) trajectories of the scenes at B places."""
        places, plans = scenes.tolist(), trajectories.detach().float()
        if self._indexed is not None:
            scores = score_indexed(self._indexed.select(places), plans.cpu(), human_filter=HumanFilter.OFF)
        else:
            assert self._prepared is not None
            scores = score(self._prepared.select(places), plans, self.metric, human_filter=HumanFilter.OFF)
        return Rewards(scores.total.float(), scores.unfiltered[..., self._columns].float())
