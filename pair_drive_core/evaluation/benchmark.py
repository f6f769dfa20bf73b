"""Runs planners over scenes and scores what they plan, in one stage or two, as the official scripts do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from pair_drive_core.datasets.cache.jobs import is_of_map
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.plan_files import TimedPlans
from pair_drive_core.evaluation.benchmark_scenes import BenchmarkScene, SkippedBenchmarkScene
from pair_drive_core.evaluation.contestants import (
    CONSTANT_VELOCITY,
    HUMAN,
    IMITATION,
    PAIR,
    PDM_CLOSED,
    Answer,
    Baselines,
    Contestant,
    GivenPlans,
    PlannerContestant,
)
from pair_drive_core.evaluation.planner_scores import FrameRow, PlannerScores, ScoreTable
from pair_drive_core.evaluation.score_settings import ScoreSettings
from pair_drive_core.planning import Planner, pdm_references
from pair_drive_core.scene import SceneError
from pair_drive_core.scoring import Metric, PdmScores, explain, prepare_scenes, score
from pair_drive_core.scoring.in_traffic import judge_in_traffic
from pair_drive_core.scoring.prepared import PreparedScenes

__all__ = [
    "CONSTANT_VELOCITY",
    "HUMAN",
    "IMITATION",
    "PAIR",
    "PDM_CLOSED",
    "BenchmarkReport",
    "FrameRow",
    "PlannerScores",
    "run_benchmark",
    "score_scenes",
]
_SCENES_AT_ONCE = 64
_NOWHERE = "the plan holds NaN, infinity or poses out of this world"


@dataclass(frozen=True)
class BenchmarkReport:
    """How all planners did.

    Attributes:
        settings: the conventions.
        scenes: how many.
        planners: in the order in which they were asked.
        skipped: scenes that could not be read and were left out on request.
        oddities: how many scenes were odd and scored as the official code does, by kind.
        blind: plans that were made from an empty sweep, as there was no point cloud.
    """

    settings: ScoreSettings
    scenes: int
    planners: tuple[PlannerScores, ...]
    skipped: tuple[SkippedBenchmarkScene, ...] = ()
    oddities: Mapping[str, int] = field(default_factory=dict)
    blind: int = 0

    @property
    def metric(self) -> Metric:
        """PDMS or EPDMS."""
        return self.settings.metric

    @property
    def total_name(self) -> str:
        """Name of the total."""
        return "PDMS" if self.metric is Metric.V1 else "EPDMS"

    def to_json(self) -> dict[str, Any]:
        """Everything, for a file; numbers that are not known are null."""
        return {
            "metric": self.metric.value,
            "conventions": str(self.settings),
            "scenes": self.scenes,
            "planners": [planner.to_json() for planner in self.planners],
            "skipped": [{"token": entry.token, "problem": entry.problem} for entry in self.skipped],
            "odd": dict(self.oddities),
            "without_lidar": self.blind,
        }


class Scorer:
    """Scores scenes batch by batch; holds rows and what is needed to compare neighbours, nothing of the scenes."""

    def __init__(
        self,
        settings: ScoreSettings,
        contestants: Sequence[Contestant],
        with_causes: bool = False,
        skipped: list[SkippedBenchmarkScene] | None = None,
    ) -> None:
        """Begin with nothing scored.

        Args:
            settings: the conventions.
            contestants: who is scored.
            with_causes: whether each row says in words why points were lost.
            skipped: takes scenes that cannot be read; None stops at the first.
        """
        self.settings = settings.validate()
        self.tables: dict[str, ScoreTable] = {}
        self.scenes = 0
        self.oddities: dict[str, int] = {}
        self._contestants, self._with_causes, self.skipped = contestants, with_causes, skipped

    def add(self, batch: list[BenchmarkScene]) -> None:
        """Score a batch.

        Raises:
            SceneError: if a scene lacks what a contestant or the scorer needs.
            DatasetError: naming a sensor file that is torn, unless such scenes are skipped.
            FileNotFoundError: naming a sensor file that is not there, unless such scenes are skipped.
        """
        known, ground = self._referenced(batch)
        entries, references, answers, places = [], [], [], []
        for place, (entry, reference) in enumerate(known):
            try:
                answer: dict[str, Answer] = {}
                for contestant in self._contestants:
                    answer |= contestant.plans(entry, reference)
            except (DatasetError, FileNotFoundError) as error:
                if self.skipped is None or is_of_map(error):
                    raise
                self.skipped.append(SkippedBenchmarkScene(entry.scene.token, str(error)))
                continue
            places.append(place)
            entries.append(entry)
            references.append(reference)
            answers.append(answer)
            given = [c.oddities(entry) for c in self._contestants if isinstance(c, GivenPlans)]
            for text in (*entry.oddities, *(text for texts in given for text in texts)):
                self.oddities[text] = self.oddities.get(text, 0) + 1
        if not entries:
            return
        names = list(answers[0])
        for name in names:
            self.tables.setdefault(name, ScoreTable(name, self.settings))
        if self.settings.traffic.policy() is None:
            if ground is None:
                ground = self._prepared(entries)
            elif len(places) < len(known):
                ground = ground.select(places)
            self._score_replayed(entries, ground.with_reference(torch.stack(references)), names, answers)
        else:
            self._score_in_traffic(entries, references, names, answers)
        self.scenes += len(entries)

    def _referenced(
        self, batch: list[BenchmarkScene]
    ) -> tuple[list[tuple[BenchmarkScene, Tensor]], PreparedScenes | None]:
        """Scenes with PDM-Closed's poses: their own where they bring them, as official metric caches do.

        Returns:
            Scenes and poses; and the scenes prepared for replayed traffic, None where they are not.
        """
        bare = [i for i, entry in enumerate(batch) if entry.scene.reference is None]
        scenes = [batch[i].scene for i in bare]
        try:
            ground = self._prepared(batch) if self.settings.traffic.policy() is None else None
            part = ground if ground is None or len(bare) == len(batch) else ground.select(bare)
            planned: Iterator[Tensor] = iter(
                pdm_references(scenes, self.settings.metric, prepared=part) if scenes else ()
            )
            own = (entry.scene.reference for entry in batch)
            return [(e, next(planned) if given is None else given) for e, given in zip(batch, own, strict=True)], ground
        except SceneError:
            if self.skipped is None:
                raise
        alone = ((e, self._reference(e) if e.scene.reference is None else e.scene.reference) for e in batch)
        return [(entry, reference) for entry, reference in alone if reference is not None], None

    def _prepared(self, batch: list[BenchmarkScene]) -> PreparedScenes:
        return prepare_scenes([entry.scene for entry in batch], self.settings.metric, torch.float64)

    def _reference(self, entry: BenchmarkScene) -> Tensor | None:
        try:
            return pdm_references([entry.scene], self.settings.metric)[0]
        except SceneError as error:
            assert self.skipped is not None
            self.skipped.append(SkippedBenchmarkScene(entry.scene.token, str(error)))
            return None

    def _score_replayed(
        self,
        entries: list[BenchmarkScene],
        prepared: PreparedScenes,
        names: list[str],
        answers: list[dict[str, Answer]],
    ) -> None:
        settings = self.settings
        scored: dict[tuple[int, int], tuple[Tensor, PdmScores]] = {}
        for interval_s, poses in _by_sampling(names, answers):
            judged = score(
                prepared,
                poses,
                settings.metric,
                normalisation=settings.normalisation,
                human_filter=settings.human_filter,
                interval_s=interval_s,
            )
            for i, answer in enumerate(answers):
                for k, name in enumerate(names):
                    plan = answer[name]
                    if isinstance(plan, TimedPlans) and _sampling(plan) == (poses.shape[2], interval_s):
                        scored[i, k] = poses[i, k], judged
        for i, entry in enumerate(entries):
            for k, name in enumerate(names):
                problem = answers[i][name]
                if isinstance(problem, str):
                    self.tables[name].add_problem(entry, problem)
                else:
                    self._add(entry, name, *scored[i, k], prepared, (i, k))

    def _score_in_traffic(
        self,
        entries: list[BenchmarkScene],
        references: list[Tensor],
        names: list[str],
        answers: list[dict[str, Answer]],
    ) -> None:
        policy = self.settings.traffic.policy()
        assert policy is not None
        for entry, reference, answer in zip(entries, references, answers, strict=True):
            scene = replace(entry.scene, reference=reference)
            for name in names:
                plan = answer[name]
                if isinstance(plan, str):
                    self.tables[name].add_problem(entry, plan)
                    continue
                poses = torch.from_numpy(plan.poses)
                try:
                    judged, prepared = judge_in_traffic(
                        scene, poses, policy, self.settings.human_filter, plan.interval_s
                    )
                except SceneError as error:
                    self.tables[name].add_problem(entry, str(error))
                    continue
                self._add(entry, name, poses[0], judged, prepared, (0, 0))

    def _add(
        self,
        entry: BenchmarkScene,
        name: str,
        poses: Tensor,
        judged: PdmScores,
        prepared: PreparedScenes,
        place: tuple[int, int],
    ) -> None:
        if not bool(judged.valid[place]):
            self.tables[name].add_problem(entry, _NOWHERE)
            return
        causes: tuple[str, ...] = ()
        if self._with_causes:
            causes = tuple(str(cause) for cause in explain(judged, prepared, *place))
        self.tables[name].add(entry, poses, judged, place, causes)

    def report(self) -> BenchmarkReport:
        """The table of all that was scored.

        Raises:
            SceneError: if nothing was, or two stages do not fit together.
        """
        if self.scenes == 0:
            first = f"; the first that was left out: {self.skipped[0].problem}" if self.skipped else ""
            raise SceneError(f"benchmark: expected at least one scene, got none{first}")
        planners = tuple(table.result() for table in self.tables.values())
        blind = sum(c.blind.count for c in self._contestants if isinstance(c, PlannerContestant))
        return BenchmarkReport(
            self.settings, self.scenes, planners, tuple(self.skipped or ()), dict(self.oddities), blind
        )


def score_scenes(
    scenes: Iterable[BenchmarkScene],
    contestants: Sequence[Contestant],
    settings: ScoreSettings | None = None,
    progress: Callable[[int], None] | None = None,
    skipped: list[SkippedBenchmarkScene] | None = None,
    with_causes: bool = False,
) -> BenchmarkReport:
    """Score contestants in scenes.

    Args:
        scenes: those of one log together; first stage before second stage where there are two.
        contestants: who is scored.
        settings: the conventions; official EPDMS in one stage by default.
        progress: called with the number of scenes done.
        skipped: takes scenes whose files cannot be read; None stops at the first.
        with_causes: whether each row says in words why points were lost.

    Raises:
        SceneError: if there are no scenes, or one lacks what a contestant needs.
    """
    scorer = Scorer(settings or ScoreSettings(), contestants, with_causes, skipped)
    for batch in _batches(scenes):
        scorer.add(batch)
        if progress is not None:
            progress(scorer.scenes)
    return scorer.report()


def run_benchmark(
    scenes: Iterable[BenchmarkScene],
    metric: Metric = Metric.V2,
    learned: Planner | None = None,
    progress: Callable[[int], None] | None = None,
    *,
    planners: Sequence[Planner] = (),
    settings: ScoreSettings | None = None,
    skipped: list[SkippedBenchmarkScene] | None = None,
    with_causes: bool = False,
) -> BenchmarkReport:
    """Let the human, constant velocity, PDM-Closed, the branches of a learned planner and any other planners drive.

    Args:
        scenes: each with a demonstration; with sensors, if a planner is given.
        metric: version of the metric; `settings` says more.
        learned: judged as `imitation` (its reference) and `pair` (its choice).
        progress: called with the number of scenes done.
        planners: judged under their names.
        settings: all conventions; replaces `metric`.
        skipped: see `score_scenes`.
        with_causes: see `score_scenes`.

    Raises:
        SceneError: if there are no scenes, or one lacks a demonstration or sensors.
    """
    contestants: list[Contestant] = [Baselines()]
    if learned is not None:
        contestants.append(PlannerContestant(learned, PAIR))
    contestants += [PlannerContestant(planner, with_imitation=False) for planner in planners]
    return score_scenes(scenes, contestants, settings or ScoreSettings(metric), progress, skipped, with_causes)


def _batches(scenes: Iterable[BenchmarkScene]) -> Iterator[list[BenchmarkScene]]:
    remaining = iter(scenes)
    while batch := list(islice(remaining, _SCENES_AT_ONCE)):
        yield batch


def _sampling(plan: TimedPlans) -> tuple[int, float]:
    return plan.poses.shape[1], plan.interval_s


def _by_sampling(names: list[str], answers: list[dict[str, Answer]]) -> Iterator[tuple[float, Tensor]]:
    """(S, K, P, 3) for each sampling that occurs; NaN where a plan has another one or is missing."""
    plans = [plan for answer in answers for plan in answer.values() if isinstance(plan, TimedPlans)]
    for count, interval_s in sorted({_sampling(plan) for plan in plans}):
        poses = torch.full((len(answers), len(names), count, 3), torch.nan, dtype=torch.float64)
        for i, answer in enumerate(answers):
            for k, name in enumerate(names):
                plan = answer[name]
                if isinstance(plan, TimedPlans) and _sampling(plan) == (count, interval_s):
                    poses[i, k] = torch.from_numpy(plan.poses[0])
        yield interval_s, poses
