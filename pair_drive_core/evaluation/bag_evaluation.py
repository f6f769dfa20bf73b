"""`pair-drive bag-eval`: plans made from a recording, scored against the ground truth in it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pair_drive_core.driving.latency import LatencySummary
from pair_drive_core.driving.planner_settings import PlannerSettings
from pair_drive_core.evaluation.bag_reader import BagError, open_bag
from pair_drive_core.evaluation.bag_replay import Replay, ReplayedPlan, ReplayOptions, ReplayWatcher, replay
from pair_drive_core.evaluation.bag_shadow import Agreement, ShadowPlan, agreements, shadow_plans
from pair_drive_core.planning.pdm_closed import pdm_references
from pair_drive_core.planning.plan import PlanSource
from pair_drive_core.scene import Scene
from pair_drive_core.scoring import Metric, PdmScores, score

_NUMBER = re.compile(r"\s-?\d")
POSE_TOLERANCE_M = 0.5
"""Recorded odometry and ground truth of the same moment must agree this well."""


@dataclass(frozen=True)
class ScoredRow:
    """Mean scores of one kind of plan over the scenes that have it.

    Attributes:
        name: whose plans.
        scenes: how many.
        sub_scores: mean of each sub-score, by name, in [0, 1].
        total: mean PDM score.
    """

    name: str
    scenes: int
    sub_scores: dict[str, float]
    total: float


@dataclass(frozen=True)
class BagReport:
    """What `bag-eval` found.

    Attributes:
        bag: path of the recording.
        planner: name of the planner.
        metric: v1 (PDMS) or v2 (EPDMS).
        rows: planned first, then what it is compared with; empty where the recording holds no ground truth.
        scene_totals: PDM score of what was planned by t0 in us.
        plans: plans made now, by source.
        guard_events: what the guard did and why ("slowed: something in the way"), with counts.
        replay_latency: decoding, features and networks, now.
        live_plans: plans in the recording.
        live_guarded: how many of them the guard replaced or slowed.
        live_compute: their compute times.
        live_age: their ages at publication, by the node's clock.
        frames: frames of the reference camera.
        dropped: frames for which no plan was made now.
        live_dropped: frames without a recorded plan; None where nothing was planned live.
        drop_reasons: why frames have no plan, and readings that came out of order.
        skipped: messages that could not be used: topic, index, stamp, reason.
        notes: what is unusual about the recording, one line each.
        duration_s: length of the recording, by the odometry.
        wall_s: time that reading, decoding and planning took.
        agreement: plans against the path really driven.
        shadow: every plan.
    """

    bag: str
    planner: str
    metric: str
    rows: list[ScoredRow]
    scene_totals: dict[int, float]
    plans: dict[str, int]
    guard_events: dict[str, int]
    replay_latency: LatencySummary
    live_plans: int
    live_guarded: int
    live_compute: LatencySummary
    live_age: LatencySummary
    frames: int
    dropped: int
    live_dropped: int | None
    drop_reasons: dict[str, int] = field(default_factory=dict)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    duration_s: float = 0.0
    wall_s: float = 0.0
    agreement: list[Agreement] = field(default_factory=list)
    shadow: list[ShadowPlan] = field(default_factory=list)

    @property
    def real_time_factor(self) -> float:
        """Seconds of the recording that a second of work is enough for."""
        return self.duration_s / self.wall_s if self.wall_s > 0.0 else math.nan

    def to_json(self) -> dict[str, Any]:
        """Plain values; numbers that are not there are null."""
        plain: dict[str, Any] = _without_nan(asdict(self))
        return plain


def evaluate_bag(
    path: Path,
    settings: PlannerSettings,
    metric: Metric = Metric.V1,
    remaps: Mapping[str, str] | None = None,
    watcher: ReplayWatcher | None = None,
    options: ReplayOptions | None = None,
) -> tuple[BagReport, Replay]:
    """Run the planner on a recording and score its plans.

    Args:
        path: the recording.
        settings: of planner and synchroniser.
        metric: which scorer.
        remaps: absolute topic names of the recording by the planner's own relative ones; beside those of `options`.
        watcher: see `replay`.
        options: how the recording is read.

    Raises:
        BagError: for a recording that cannot be read or lacks what is needed.
        ValueError: for settings or a checkpoint that do not fit.
    """
    # The recording first: it is cheap to open, and wrong paths are the commonest mistake.
    with open_bag(path) as bag:
        planner = settings.guarded_planner()
        options = options or ReplayOptions()
        options = replace(options, remaps={**options.remaps, **(remaps or {})})
        outcome = replay(bag, settings, planner, options, watcher)
    events: Counter[str] = Counter()
    sources = dict.fromkeys((source.value for source in PlanSource), 0)
    for planned in outcome.plans.values():
        sources[planned.result.plan.source.value] += 1
        if planned.result.intervention.value:
            events[f"{planned.result.intervention.value}: {kind_of_reason(planned.result.reason)}"] += 1
    rows, totals = score_replay(path, outcome, metric)
    shadow = shadow_plans(outcome.plans, outcome.path)
    report = BagReport(
        bag=str(path),
        planner=planner.name,
        metric=metric.value,
        rows=rows,
        scene_totals=totals,
        plans=sources,
        guard_events=dict(events),
        replay_latency=outcome.latency.summary(),
        live_plans=outcome.live.count,
        live_guarded=outcome.live.guarded,
        live_compute=outcome.live.compute.summary(),
        live_age=outcome.live.age.summary(),
        frames=len(outcome.frame_stamps_us),
        dropped=len(outcome.frame_stamps_us - set(outcome.plans)),
        live_dropped=outcome.live_missed if outcome.live.count else None,
        drop_reasons=dict(outcome.dropped),
        skipped=[asdict(entry) for entry in outcome.skipped],
        notes=list(outcome.notes),
        duration_s=outcome.duration_s,
        wall_s=outcome.wall_s,
        agreement=agreements(shadow),
        shadow=shadow,
    )
    return report, outcome


def kind_of_reason(reason: str) -> str:
    """Why the guard stepped in, without numbers, so that equal reasons can be counted: "speed, curvature"."""
    parts = [_NUMBER.split(part, maxsplit=1)[0].strip(" :") for part in reason.split("; ")]
    return ", ".join(part for part in parts if part) or reason


def score_replay(path: Path, outcome: Replay, metric: Metric) -> tuple[list[ScoredRow], dict[int, float]]:
    """Scores of what was planned, of the imitation branch alone, of the tree's best leaf and of the human.

    Args:
        path: of the recording, for messages.
        outcome: plans and scenes.
        metric: which scorer.

    Returns:
        Mean rows, and the score of what was planned by t0; empty where there is no ground truth for any plan.
    """
    times = sorted(set(outcome.scenes) & set(outcome.plans))
    if not times:
        return [], {}
    pairs = [(outcome.scenes[time_us], outcome.plans[time_us]) for time_us in times]
    for scene, planned in pairs:
        _require_same_pose(path, scene, planned)
    references = pdm_references([scene for scene, _ in pairs], metric)
    scenes = [replace(scene, reference=reference) for (scene, _), reference in zip(pairs, references, strict=True)]
    leaves = [_leaves(planned) for _, planned in pairs]
    width = max(leaf.shape[0] for leaf in leaves)
    stacked = torch.stack([_padded(scene, leaf, width) for scene, leaf in zip(scenes, leaves, strict=True)])
    scores = score(scenes, stacked, metric)
    every = torch.arange(len(scenes))
    planned_index = torch.ones(len(scenes), dtype=torch.int64)
    rows = [_row("planned", scores, every, planned_index)]
    with_tree = torch.tensor([planned.result.plan.candidates is not None for _, planned in pairs])
    if bool(with_tree.any()):
        imitation = torch.full_like(planned_index, 2)
        rows.append(_row("imitation", scores, every[with_tree], imitation[with_tree]))
        best = scores.total[:, 1:].argmax(1) + 1
        rows.append(_row("best leaf", scores, every[with_tree], best[with_tree]))
    with_human = torch.tensor([scene.human is not None for scene in scenes])
    if bool(with_human.any()):
        rows.append(_row("driven", scores, every[with_human], torch.zeros_like(planned_index)[with_human]))
    totals = {time_us: float(scores.total[i, 1]) for i, time_us in enumerate(times)}
    return rows, totals


def _leaves(planned: ReplayedPlan) -> Tensor:
    """(1 + G, 8, 3) float64: the plan, the imitation branch's plan, then all leaves; the plan alone without a tree."""
    plan = planned.result.plan
    if plan.candidates is None:
        return plan.poses.to(torch.float64).unsqueeze(0)
    poses = plan.candidates.poses.to(torch.float64)
    imitation = poses[plan.candidates.imitation_index].unsqueeze(0)
    return torch.cat((plan.poses.to(torch.float64).unsqueeze(0), imitation, poses))


def _padded(scene: Scene, leaves: Tensor, width: int) -> Tensor:
    """(1 + width, 8, 3): what was driven (the plan where that is not known), then the leaves, the first repeated."""
    driven = leaves[0] if scene.human is None else scene.human.poses.to(leaves)
    return torch.cat((driven.unsqueeze(0), leaves, leaves[:1].expand(width - leaves.shape[0], -1, -1)))


def _row(name: str, scores: PdmScores, scenes: Tensor, candidates: Tensor) -> ScoredRow:
    """Means over some scenes of one candidate each."""
    sub = scores.sub[scenes, candidates].mean(0)
    total = float(scores.total[scenes, candidates].mean())
    return ScoredRow(name, len(scenes), dict(zip(scores.names, map(float, sub), strict=True)), total)


def _require_same_pose(path: Path, scene: Scene, planned: ReplayedPlan) -> None:
    """Odometry and ground truth must speak of the same vehicle in the same frame."""
    truth = scene.ego.pose.tolist()
    pose = planned.status.pose.tolist()
    distance = math.hypot(truth[0] - pose[0], truth[1] - pose[1])
    if distance > POSE_TOLERANCE_M:
        raise BagError(
            path,
            f"ground truth at {scene.time_us} us: expected the ego within {POSE_TOLERANCE_M} m of the odometry "
            f"({pose[0]:.2f}, {pose[1]:.2f}), got ({truth[0]:.2f}, {truth[1]:.2f})",
        )


def _without_nan(value: Any) -> Any:  # noqa: ANN401 - plain JSON values
    """JSON knows no NaN."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    return value
