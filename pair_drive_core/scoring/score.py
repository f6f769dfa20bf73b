"""Scores of many candidates in many scenes: one call, no gradients, deterministic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS, Scene, SceneError
from pair_drive_core.scene.validation import require_dtype, require_finite, require_shape
from pair_drive_core.scoring.backends import Backend, chunk_size, native_index, sub_scores_of
from pair_drive_core.scoring.candidates import CandidateKind
from pair_drive_core.scoring.formula import total_score
from pair_drive_core.scoring.human_filter import HumanFilter, forgive
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.native.index import NativeIndex
from pair_drive_core.scoring.native.sub_scores import native_baselines, native_sub_scores
from pair_drive_core.scoring.pdm_scores import PdmScores
from pair_drive_core.scoring.preparation import prepare_scenes
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.progress import ego_progress
from pair_drive_core.scoring.rollouts import MAX_COORDINATE_M
from pair_drive_core.scoring.sub_scores import SubScores, concatenate
from pair_drive_core.simulation import interpolate_plans, plan_sampling

Normalisation = Literal["single", "batch"]


@torch.no_grad()
def score(
    scenes: Sequence[Scene] | PreparedScenes,
    trajectories: Tensor,
    metric: Metric = Metric.V2,
    *,
    normalisation: Normalisation = "single",
    human_filter: HumanFilter = HumanFilter.FIXED,
    reference: Tensor | None = None,
    extended_comfort: Tensor | None = None,
    interval_s: float = PLAN_INTERVAL_S,
    chunk: int | None = None,
    backend: Backend = "auto",
) -> PdmScores:
    """Simulate and score plans.

    A plan with a NaN, an infinite or an absurdly large number is invalid: all its sub-scores and its total are 0, and
    it changes nothing for the others. Everything else, standing still and reversing included, is driven and scored.

    Args:
        scenes: S scenes, or what `prepare_scenes` made of them (saves preparing them again).
        trajectories: (S, K, 8, 3), plans in each scene's ego frame at t0, float32 or float64, on the device to be used.
            Scenes are prepared in this type; a prepared batch must have it already.
        metric: V1 is PDMS, V2 is EPDMS.
        normalisation: what progress is measured against: "single" compares each plan with PDM-Closed only, as one
            official call a plan does; "batch" with PDM-Closed and all plans of the scene, as one official call for all.
        human_filter: V2 only; scenes without a demonstration are never filtered.
        reference: (S, 41, 3), PDM-Closed's poses at 10 Hz, global, float64; replaces the scenes' own.
        extended_comfort: (S, K), V2 only, enters the total; NaN where there is no previous frame.
        interval_s: time between two poses of a plan.
        chunk: rollouts that torch scores at a time, bounds the memory.
        backend: "auto" is the native kernel on the CPU where it is built, else torch; `PdmScores.backend` says which.

    Raises:
        SceneError: if shapes or types do not fit, a scene has no PDM-Closed reference, or the backend cannot be used.
    """
    require_shape("score: trajectories", trajectories, ("S", "K", "P", 3))
    require_dtype("score: trajectories", trajectories, torch.float32, torch.float64)
    prepared = _prepared(scenes, trajectories, metric)
    if reference is not None:
        require_shape("score: reference", reference, (len(prepared), prepared.sample_index.shape[1], 3))
        require_finite("score: reference", reference)
        prepared = prepared.with_reference(reference)
    missing = [t for t, has in zip(prepared.tokens, prepared.has_reference.tolist(), strict=True) if not has]
    if missing:
        raise SceneError(
            f"score: expected a PDM-Closed reference in every scene (Scene.reference or `reference`), "
            f"missing in {', '.join(missing[:3])}{' and others' if len(missing) > 3 else ''}"
        )
    if extended_comfort is not None:
        require_shape("score: extended_comfort", extended_comfort, tuple(trajectories.shape[:2]))
    index = native_index(prepared, backend)
    valid = (trajectories.isfinite() & (trajectories.abs() <= MAX_COORDINATE_M)).all(-1).all(-1)
    plans = torch.where(valid[..., None, None], trajectories, torch.zeros_like(trajectories))
    if index is not None:
        candidates, baselines = _native_candidates(index, prepared, plans, interval_s)
    else:
        parts = [
            _torch_candidates(part, plans[first : first + len(part)], human_filter, interval_s, chunk)
            for first, part in _scene_chunks(prepared, chunk_size(chunk, prepared.device))
        ]
        candidates = concatenate([part[0] for part in parts], dim=0)
        baselines = concatenate([part[1] for part in parts], dim=0)
    valid = valid & candidates.valid
    judged = Judged(prepared.metric, candidates, baselines, prepared.has_human, valid)
    scores = aggregate(judged, normalisation, human_filter, extended_comfort)
    return scores if index is None else replace(scores, backend="native")


def _prepared(scenes: Sequence[Scene] | PreparedScenes, trajectories: Tensor, metric: Metric) -> PreparedScenes:
    """The prepared scenes, checked against the trajectories."""
    if not isinstance(scenes, PreparedScenes):
        scenes = prepare_scenes(scenes, metric, trajectories.dtype, trajectories.device)
    if scenes.metric is not metric:
        raise SceneError(f"score: expected scenes prepared for {metric.value}, got {scenes.metric.value}")
    if len(scenes) != trajectories.shape[0]:
        raise SceneError(f"score: expected trajectories for {len(scenes)} scenes, got {trajectories.shape[0]}")
    if scenes.dtype != trajectories.dtype or scenes.device != trajectories.device:
        raise SceneError(
            f"score: expected trajectories like the prepared scenes ({scenes.dtype} on {scenes.device}), "
            f"got {trajectories.dtype} on {trajectories.device}"
        )
    return scenes


def _scene_chunks(prepared: PreparedScenes, chunk: int) -> list[tuple[int, PreparedScenes]]:
    """Groups of at most `chunk` scenes, so that a chunk holds at least one candidate of each."""
    if len(prepared) <= chunk:
        return [(0, prepared)]
    starts = range(0, len(prepared), chunk)
    return [(first, prepared.select(range(first, min(first + chunk, len(prepared))))) for first in starts]


def _native_candidates(
    index: NativeIndex, prepared: PreparedScenes, plans: Tensor, interval_s: float
) -> tuple[SubScores, SubScores]:
    """The kernel's sub-scores of the candidates, and those of reference and human (in this order)."""
    if _is_usual(plans, interval_s):
        candidates = native_sub_scores(index, prepared, plans, CandidateKind.PLANS)
    else:
        candidates = native_sub_scores(index, prepared, _interpolate(prepared, plans, interval_s), CandidateKind.PATHS)
    return candidates, native_baselines(index, prepared)


def _torch_candidates(
    prepared: PreparedScenes, plans: Tensor, human_filter: HumanFilter, interval_s: float, chunk: int | None
) -> tuple[SubScores, SubScores]:
    """Torch's sub-scores of the candidates, and those of reference and human (in this order), in one go."""
    baselines = prepared.reference[:, None]
    if _uses_human(prepared.metric, human_filter):
        human = _interpolate(prepared, prepared.human[:, None], PLAN_INTERVAL_S)
        baselines = torch.cat((baselines, human), dim=1)
    everything = torch.cat((_interpolate(prepared, plans, interval_s), baselines), dim=1)
    done = sub_scores_of(prepared, everything, CandidateKind.PATHS, "torch", chunk)
    count = plans.shape[1]
    return done.narrow(0, count), done.narrow(count, baselines.shape[1])


def _is_usual(plans: Tensor, interval_s: float) -> bool:
    """Whether the plans are sampled as the prepared scenes expect."""
    return plans.shape[2] == PLAN_STEPS and interval_s == PLAN_INTERVAL_S


def _interpolate(prepared: PreparedScenes, plans: Tensor, interval_s: float) -> Tensor:
    """(S, K, 41, 3): plans at 10 Hz."""
    index, weight = prepared.sample_index, prepared.sample_weight
    if not _is_usual(plans, interval_s):
        if plans.shape[2] < 1 or not interval_s > 0:
            raise SceneError(f"score: expected poses at a positive interval, got {plans.shape[2]} every {interval_s} s")
        arrays = plan_sampling(prepared.time_us.cpu().numpy(), plans.shape[2], interval_s)
        index, weight = (torch.from_numpy(array).to(plans.device) for array in arrays)
    return interpolate_plans(plans, prepared.ego[:, :3], index, weight, prepared.origin)


def _uses_human(metric: Metric, human_filter: HumanFilter) -> bool:
    return metric is Metric.V2 and human_filter is not HumanFilter.OFF


@dataclass(frozen=True, eq=False)
class Judged:
    """Sub-scores of K candidates in S scenes, and of what they are compared with.

    Attributes:
        metric: which version of the metric.
        candidates: (S, K, ...).
        baselines: (S, 1 or 2, ...), PDM-Closed and, where the human filter is used, the human.
        has_human: (S,) bool.
        valid: (S, K) bool, which candidates are of this world.
    """

    metric: Metric
    candidates: SubScores
    baselines: SubScores
    has_human: Tensor
    valid: Tensor


def aggregate(
    judged: Judged,
    normalisation: Normalisation,
    human_filter: HumanFilter,
    extended_comfort: Tensor | None = None,
) -> PdmScores:
    """Fill in EP, filter, and make totals; the backend reads "torch".

    Args:
        judged: what was judged.
        normalisation: see `score`.
        human_filter: see `score`.
        extended_comfort: see `score`.

    Raises:
        SceneError: if the normalisation is none.
    """
    metric, candidates, baselines, valid = judged.metric, judged.candidates, judged.baselines, judged.valid
    multiplier = candidates.multiplier * valid
    best = (baselines.progress_m * baselines.multiplier)[:, :1]
    reference_progress = best[:, 0]
    own = candidates.progress_m * multiplier
    if normalisation == "batch":
        best = torch.cat((best, own), dim=1).amax(1, keepdim=True)
    elif normalisation == "single":
        best = torch.maximum(best, own)
    else:
        raise SceneError(f"score: expected normalisation 'single' or 'batch', got {normalisation!r}")
    progress = ego_progress(candidates.progress_m, multiplier, best, metric)
    unfiltered = torch.where(valid[..., None], candidates.columns(progress), 0.0)
    scenes, _, columns = unfiltered.shape
    sub, human_sub = unfiltered, unfiltered.new_ones(scenes, columns)
    if _uses_human(metric, human_filter):
        ones = torch.ones_like(baselines.progress_m)
        human = replace(baselines, comfort=torch.ones_like(baselines.comfort)).columns(ones)[:, 1]
        human_sub = torch.where(judged.has_human[:, None], human, torch.ones_like(human))
        sub = torch.where(valid[..., None], forgive(unfiltered, human_sub), 0.0)
    counted = unfiltered if human_filter is HumanFilter.OLD else sub
    return PdmScores(
        metric=metric,
        sub=sub,
        total=total_score(counted, metric, extended_comfort),
        unfiltered=unfiltered,
        human_sub=human_sub,
        step=candidates.steps,
        cause=candidates.causes,
        comfort=candidates.comfort,
        progress_m=candidates.progress_m,
        reference_progress_m=reference_progress,
        valid=valid,
        states=candidates.states,
        backend="torch",
    )
