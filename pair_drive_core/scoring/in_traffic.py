"""EPDMS in traffic that answers to each plan."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS, Scene, SceneError
from pair_drive_core.scene.validation import require_finite, require_shape
from pair_drive_core.scoring.formula import total_score
from pair_drive_core.scoring.human_filter import HumanFilter, forgive
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.pdm_scores import PdmScores
from pair_drive_core.scoring.preparation import prepare_scenes
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.score import score
from pair_drive_core.simulation import simulate
from pair_drive_core.simulation.traffic import TrafficPolicy


def score_in_traffic(
    scene: Scene,
    plans: Tensor,
    policy: TrafficPolicy,
    extended_comfort: Tensor | None = None,
    human_filter: HumanFilter = HumanFilter.FIXED,
) -> PdmScores:
    """Score plans in V2, each against the traffic that its own drive brings about (official `pdm_score`).

    PDM-Closed, against which progress is measured, meets the same traffic as the plan; the demonstration that drives
    the human filter meets the traffic that it brings about itself. With `LogReplayTraffic` this is `score`.

    Args:
        scene: with a PDM-Closed reference. Without a demonstration there is no human filter.
        plans: (K, 8, 3), K >= 1, ego frame, finite.
        policy: the traffic.
        extended_comfort: (K,), enters the total; NaN where there is no previous frame.
        human_filter: by which convention the demonstration's faults are forgiven.

    Returns:
        K scenes of one plan each, float64: every tensor's second axis has length 1.

    Raises:
        SceneError: if the scene lacks what the traffic or the scorer needs, or the plans are malformed.
    """
    comfort = None if extended_comfort is None else extended_comfort.to(torch.float64)[:, None]
    scores, _ = judge_in_traffic(scene, plans, policy, human_filter)
    if comfort is None:
        return scores
    counted = scores.unfiltered if human_filter is HumanFilter.OLD else scores.sub
    return replace(scores, total=total_score(counted, Metric.V2, comfort))


@torch.no_grad()
def judge_in_traffic(
    scene: Scene,
    plans: Tensor,
    policy: TrafficPolicy,
    human_filter: HumanFilter = HumanFilter.FIXED,
    interval_s: float = PLAN_INTERVAL_S,
) -> tuple[PdmScores, PreparedScenes]:
    """Scores as of `score_in_traffic`, and the scenes that they are of, for `explain`.

    Args:
        scene: see `score_in_traffic`.
        plans: see `score_in_traffic`.
        policy: the traffic.
        human_filter: by which convention the demonstration's faults are forgiven.
        interval_s: time between two poses of a plan; the traffic is implemented for the usual one.

    Raises:
        SceneError: see `score_in_traffic`.
    """
    require_shape("score_in_traffic: plans", plans, ("K", PLAN_STEPS, 3))
    if interval_s != PLAN_INTERVAL_S:
        raise SceneError(f"score_in_traffic: expected poses every {PLAN_INTERVAL_S} s, got every {interval_s} s")
    require_finite("score_in_traffic: plans", plans)
    if plans.shape[0] == 0:
        raise SceneError("score_in_traffic: expected at least one plan, got none")
    driven = plans.to(torch.float64)
    if scene.human is not None:
        driven = torch.cat((driven, scene.human.poses.to(torch.float64)[None]))
    alone = prepare_scenes([scene], Metric.V2, torch.float64)
    states = simulate(driven[None], alone.ego, alone.sample_index, alone.sample_weight, scene.vehicle, alone.origin)[0]
    states[..., :2] += alone.origin[0]
    tracks = [policy.simulate(scene, state) for state in states]
    count = plans.shape[0]
    prepared = prepare_scenes([scene] * count, Metric.V2, torch.float64, tracks=tracks[:count])
    scores = score(prepared, driven[:count, None], Metric.V2, human_filter=HumanFilter.OFF)
    human_sub = scores.human_sub
    if scene.human is not None and human_filter is not HumanFilter.OFF:
        own = prepare_scenes([scene], Metric.V2, torch.float64, tracks=tracks[count:])
        human_sub = score(own, driven[None, count:], Metric.V2).human_sub.expand(count, -1)
    sub = torch.where(scores.valid[..., None], forgive(scores.unfiltered, human_sub), 0.0)
    counted = scores.unfiltered if human_filter is HumanFilter.OLD else sub
    return replace(scores, sub=sub, human_sub=human_sub, total=total_score(counted, Metric.V2)), prepared
