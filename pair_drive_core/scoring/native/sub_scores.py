"""The kernel's answers in the form of the torch path's."""

from __future__ import annotations

import torch
from torch import Tensor

from pair_drive_core.scene import STATE_SIZE
from pair_drive_core.scoring.candidates import CandidateKind
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.native.index import EVENT_NAMES, VALUE_NAMES, NativeIndex, RawScores
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.sub_scores import SubScores, concatenate

_STEPS = {
    "NC": "collision_step",
    "DAC": "off_road_step",
    "DDC": "oncoming_step",
    "TLC": "red_light_step",
    "TTC": "ttc_step",
    "LK": "lane_step",
}
_CAUSES = {"NC": "collision_object", "TLC": "red_light_row", "TTC": "ttc_object"}


def native_sub_scores(
    index: NativeIndex, prepared: PreparedScenes, candidates: Tensor, kind: CandidateKind = CandidateKind.PLANS
) -> SubScores:
    """Score candidates with the kernel.

    Args:
        index: of `prepared`.
        prepared: S scenes on the CPU.
        candidates: (S, K, ...) as `kind` says, finite.
        kind: plans, paths to be driven, or driven states.

    Returns:
        What `sub_scores` gives for the same rollouts, in the scenes' type; `valid` is False for rollouts that left the
        world, which are judged as if the vehicle stood still.
    """
    raw = index.score(candidates, kind, states_dtype=prepared.dtype)
    assert raw.states is not None  # asked for above
    return _as_sub_scores(raw, raw.states, prepared.metric)


def native_sub_scores_alone(index: NativeIndex, metric: Metric, plans: Tensor, dtype: torch.dtype) -> SubScores:
    """Score plans without keeping how they were driven: `states` has no steps.

    Args:
        index: of S scenes.
        metric: which the scenes were prepared for.
        plans: (S, K, 8, 3), finite.
        dtype: of the answer.
    """
    none = torch.empty(*plans.shape[:2], 0, STATE_SIZE, dtype=dtype)
    return _as_sub_scores(index.score(plans, CandidateKind.PLANS), none, metric)


def native_baselines(index: NativeIndex, prepared: PreparedScenes) -> SubScores:
    """Sub-scores of PDM-Closed and of the human (in this order), (S, 2, ...); scored once an index.

    Args:
        index: of `prepared`.
        prepared: S scenes on the CPU.
    """
    if index.baselines is None:
        reference = native_sub_scores(index, prepared, prepared.reference[:, None], CandidateKind.PATHS)
        human = native_sub_scores(index, prepared, prepared.human[:, None], CandidateKind.PLANS)
        index.baselines = concatenate([reference, human], dim=1)
    return index.baselines


def _as_sub_scores(raw: RawScores, states: Tensor, metric: Metric) -> SubScores:
    """Put the kernel's columns into the metric's order; one column more stands for "nothing"."""
    names = metric.sub_score_names
    values = torch.nn.functional.pad(raw.values, (0, 1)).to(states.dtype)
    events = torch.nn.functional.pad(raw.events.to(torch.int64), (0, 1), value=-1)
    judged = [VALUE_NAMES.index(name) if name in _STEPS else -1 for name in names]
    steps = [EVENT_NAMES.index(_STEPS[name]) if name in _STEPS else -1 for name in names]
    causes = [EVENT_NAMES.index(_CAUSES[name]) if name in _CAUSES else -1 for name in names]
    multiplying = [VALUE_NAMES.index(name) for name in metric.multiplying_names]
    bits = raw.events[..., EVENT_NAMES.index("comfort_bits"), None]
    return SubScores(
        values=values[..., judged],
        steps=events[..., steps],
        causes=events[..., causes],
        comfort=(bits >> torch.arange(6, dtype=torch.int32)) & 1 != 0,
        multiplier=values[..., multiplying].prod(-1),
        progress_m=values[..., VALUE_NAMES.index("progress")],
        valid=raw.valid,
        states=states,
    )
