"""Runs planners over scenes and scores what they plan: one table, one-stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from pair_drive_core.evaluation.benchmark_scenes import BenchmarkScene
from pair_drive_core.geometry import compose_se2, relative_se2, transform_points
from pair_drive_core.planning import ConstantVelocityPlanner, pdm_references
from pair_drive_core.policies.parallel import ParallelPlanner
from pair_drive_core.scene import SceneError
from pair_drive_core.scoring import Metric, PdmScores, score
from pair_drive_core.scoring.aggregation import AGGREGATE_NAMES, ScoredFrames, aggregate_one_stage

HUMAN, CONSTANT_VELOCITY, PDM_CLOSED, IMITATION, PAIR = "human", "constant velocity", "PDM-Closed", "imitation", "pair"
_SCENES_AT_ONCE = 64
_STRIDE = 5
"""Steps of the reference between two poses of a plan."""


@dataclass(frozen=True)
class PlannerScores:
    """How one planner did.

    Attributes:
        name: of the planner.
        means: by column: the sub-scores, EC (v2, over the scenes that have a frame before) and the total.
        totals: by scene token.
    """

    name: str
    means: Mapping[str, float]
    totals: Mapping[str, float]


@dataclass(frozen=True)
class BenchmarkReport:
    """How all planners did.

    Attributes:
        metric: PDMS or EPDMS.
        scenes: how many.
        planners: in the order in which they were asked.
    """

    metric: Metric
    scenes: int
    planners: tuple[PlannerScores, ...]

    @property
    def total_name(self) -> str:
        """Name of the total."""
        return "PDMS" if self.metric is Metric.V1 else "EPDMS"

    def to_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        rows = [{"planner": p.name, "means": dict(p.means), "totals": dict(p.totals)} for p in self.planners]
        return {"metric": self.metric.value, "scenes": self.scenes, "planners": rows}


def run_benchmark(
    scenes: Iterable[BenchmarkScene],
    metric: Metric = Metric.V2,
    learned: ParallelPlanner | None = None,
    progress: Callable[[int], None] | None = None,
) -> BenchmarkReport:
    """Let the human, constant velocity, PDM-Closed and the branches of a learned planner drive.

    Args:
        scenes: each with a demonstration; with sensors, if a learned planner is given.
        metric: version of the metric.
        learned: judged as `imitation` (its reference) and `pair` (its choice).
        progress: called with the number of scenes done.

    Raises:
        SceneError: if there are no scenes, or one lacks a demonstration or sensors.
    """
    tables: dict[str, _Table] = {}
    done = 0
    for batch in _batches(scenes):
        references = pdm_references([entry.scene for entry in batch], metric)
        plans = _plans(batch, references, learned)
        poses = torch.stack(list(plans.values()), dim=1)
        judged = score([entry.scene for entry in batch], poses, metric, reference=references)
        for k, name in enumerate(plans):
            tables.setdefault(name, _Table(name)).add(batch, poses[:, k], judged, k)
        done += len(batch)
        if progress is not None:
            progress(done)
    if done == 0:
        raise SceneError("benchmark: expected at least one scene, got none")
    return BenchmarkReport(metric, done, tuple(table.result(metric) for table in tables.values()))


def _batches(scenes: Iterable[BenchmarkScene]) -> Iterator[list[BenchmarkScene]]:
    remaining = iter(scenes)
    while batch := list(islice(remaining, _SCENES_AT_ONCE)):
        yield batch


def _plans(batch: list[BenchmarkScene], references: Tensor, learned: ParallelPlanner | None) -> dict[str, Tensor]:
    """(S, 8, 3) by planner."""
    rows: dict[str, list[Tensor]] = {}
    straight = ConstantVelocityPlanner()
    for entry, reference in zip(batch, references, strict=True):
        if entry.scene.human is None:
            raise SceneError(f"scene {entry.scene.token}: the benchmark needs a demonstration, it has none")
        rows.setdefault(HUMAN, []).append(entry.scene.human.poses)
        rows.setdefault(CONSTANT_VELOCITY, []).append(straight.plan_scene(entry.scene).poses)
        rows.setdefault(PDM_CLOSED, []).append(relative_se2(entry.scene.ego.pose, reference[_STRIDE::_STRIDE]))
        if learned is not None:
            if entry.sense is None:
                raise SceneError(f"scene {entry.scene.token}: a learned planner needs sensors, the source has none")
            plan = learned.plan(entry.sense())
            assert plan.candidates is not None
            rows.setdefault(IMITATION, []).append(plan.candidates.poses[plan.candidates.imitation_index])
            rows.setdefault(PAIR, []).append(plan.poses)
    return {name: torch.stack([poses.double() for poses in column]) for name, column in rows.items()}


class _Table:
    """Collects one planner's scenes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tokens: list[str] = []
        self._logs: list[str] = []
        self._parts: dict[str, list[Tensor]] = {}

    def add(self, batch: list[BenchmarkScene], poses: Tensor, judged: PdmScores, column: int) -> None:
        """Add a batch.

        Args:
            batch: S scenes.
            poses: (S, 8, 3), the plans.
            judged: their scores.
            column: which candidate this planner is.
        """
        ego = torch.stack([entry.scene.ego.pose for entry in batch])
        states = judged.states[:, column].double()
        placed = torch.cat((compose_se2(ego[:, None], states[..., :3]), states[..., 3:]), dim=-1)
        time_s = torch.tensor([entry.scene.time_us * 1e-6 for entry in batch], dtype=torch.float64)
        self._tokens += [entry.scene.token for entry in batch]
        self._logs += [entry.log_name for entry in batch]
        for name, part in (
            ("sub", judged.sub[:, column].double()),
            ("total", judged.total[:, column].double()),
            ("states", placed),
            ("time_s", time_s),
            ("endpoint", transform_points(ego, poses[:, -1, :2])),
            ("start", ego[:, :2]),
        ):
            self._parts.setdefault(name, []).append(part)

    def result(self, metric: Metric) -> PlannerScores:
        """Means over all scenes; EPDMS with extended comfort as the official one-stage script."""
        parts = {name: torch.cat(pieces) for name, pieces in self._parts.items()}
        if metric is Metric.V1:
            means = dict(zip(metric.sub_score_names, parts["sub"].mean(0).tolist(), strict=True))
            totals = parts["total"]
            return self._scores({**means, "PDMS": float(totals.mean())}, totals)
        columns = {name: parts[name] for name in ("time_s", "sub", "states", "endpoint", "start")}
        result = aggregate_one_stage(ScoredFrames(tuple(self._tokens), tuple(self._logs), **columns))
        means = dict(zip(AGGREGATE_NAMES, result.mean.tolist(), strict=True))
        return self._scores(means, result.frames.columns[:, -1])

    def _scores(self, means: Mapping[str, float], totals: Tensor) -> PlannerScores:
        return PlannerScores(self._name, means, dict(zip(self._tokens, totals.tolist(), strict=True)))
