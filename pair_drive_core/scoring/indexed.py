"""Scenes as the kernel's index alone: scored again and again, in any combination, nothing prepared anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from pair_drive_core.scene import PLAN_STEPS, SceneError
from pair_drive_core.scene.validation import require_shape
from pair_drive_core.scoring.human_filter import HumanFilter
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.native.index import NativeIndex, index_scenes
from pair_drive_core.scoring.native.sub_scores import native_baselines, native_sub_scores_alone
from pair_drive_core.scoring.pdm_scores import PdmScores
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.rollouts import MAX_COORDINATE_M
from pair_drive_core.scoring.score import Judged, Normalisation, aggregate
from pair_drive_core.scoring.sub_scores import SubScores, concatenate


@dataclass(frozen=True, eq=False)
class IndexedScenes:
    """S scenes as the kernel's index, with the sub-scores of PDM-Closed and of the human; some 0.2 MB a scene.

    The tensors that they were made from are not kept. Selecting and joining copies pointers only.

    Attributes:
        metric: which version of the metric.
        tokens: S names.
        index: of the S scenes.
        baselines: (S, 2, ...), of PDM-Closed and the human; without states.
        has_human: (S,) bool.
    """

    metric: Metric
    tokens: tuple[str, ...]
    index: NativeIndex
    baselines: SubScores
    has_human: Tensor

    @staticmethod
    def build(prepared: PreparedScenes) -> IndexedScenes | None:
        """Index scenes.

        Args:
            prepared: scenes on the CPU; float64 loses nothing.

        Returns:
            None where there is no compiled kernel.

        Raises:
            SceneError: if a scene has no PDM-Closed reference.
        """
        if not bool(prepared.has_reference.all()):
            raise SceneError("IndexedScenes: expected a PDM-Closed reference in every scene")
        index = index_scenes(prepared)
        if index is None:
            return None
        baselines = native_baselines(index, prepared)
        index.baselines = None
        # Copies, so that the prepared scenes can go.
        kept = {item.name: getattr(baselines, item.name).clone() for item in fields(baselines) if item.name != "states"}
        without = SubScores(**kept, states=baselines.states[..., :0, :].clone())
        return IndexedScenes(prepared.metric, prepared.tokens, index, without, prepared.has_human.clone())

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.tokens)

    def select(self, places: Sequence[int]) -> IndexedScenes:
        """Some of the scenes, in the given order; repeats are allowed.

        Raises:
            IndexError: if a place is out of range.
        """
        chosen = [range(len(self))[place] for place in places]
        rows = torch.tensor(chosen, dtype=torch.int64)
        index = NativeIndex.joined([(self.index, place) for place in chosen])
        picked = SubScores(*(getattr(self.baselines, item.name)[rows] for item in fields(self.baselines)))
        return IndexedScenes(self.metric, tuple(self.tokens[i] for i in chosen), index, picked, self.has_human[rows])

    @staticmethod
    def joined(parts: Sequence[IndexedScenes]) -> IndexedScenes:
        """Scenes of several, one after the other; at least one, all of one metric."""
        rows = [(part.index, place) for part in parts for place in range(len(part))]
        return IndexedScenes(
            parts[0].metric,
            tuple(token for part in parts for token in part.tokens),
            NativeIndex.joined(rows),
            concatenate([part.baselines for part in parts], dim=0),
            torch.cat([part.has_human for part in parts]),
        )


@torch.no_grad()
def score_indexed(
    scenes: IndexedScenes,
    trajectories: Tensor,
    normalisation: Normalisation = "single",
    human_filter: HumanFilter = HumanFilter.FIXED,
) -> PdmScores:
    """What `score` answers, without the driven states.

    Args:
        scenes: S scenes.
        trajectories: (S, K, 8, 3), ego frame at t0; m, rad; on the CPU.
        normalisation: see `score`.
        human_filter: see `score`.

    Raises:
        SceneError: if the shape does not fit.
    """
    require_shape("score_indexed: trajectories", trajectories, (len(scenes), "K", PLAN_STEPS, 3))
    valid = (trajectories.isfinite() & (trajectories.abs() <= MAX_COORDINATE_M)).all(-1).all(-1)
    plans = torch.where(valid[..., None, None], trajectories, torch.zeros_like(trajectories))
    candidates = native_sub_scores_alone(scenes.index, scenes.metric, plans, scenes.baselines.values.dtype)
    judged = Judged(scenes.metric, candidates, scenes.baselines, scenes.has_human, valid & candidates.valid)
    return replace(aggregate(judged, normalisation, human_filter), backend="native")
