"""Scores a source of scenes in one process, in several, or on a ray cluster; and collects submissions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.navsim.submissions import Submission
from pair_drive_core.datasets.parallel import Backend, results_of
from pair_drive_core.datasets.plan_files import Plans, TimedPlans
from pair_drive_core.evaluation.benchmark import BenchmarkReport, Scorer
from pair_drive_core.evaluation.benchmark_scenes import SkippedBenchmarkScene
from pair_drive_core.evaluation.contestants import (
    PAIR,
    Baselines,
    Contestant,
    GivenPlans,
    PlannerContestant,
    timed,
)
from pair_drive_core.evaluation.empty_sweeps import EmptySweeps
from pair_drive_core.evaluation.planner_scores import ScoreTable
from pair_drive_core.evaluation.scene_sources import NavsimSource, SceneSource, skip_into
from pair_drive_core.evaluation.score_settings import ScoreSettings
from pair_drive_core.planning import ConstantVelocityPlanner, Planner
from pair_drive_core.policies.runtime.loading import load_planner
from pair_drive_core.scene import SceneError

_SCENES_AT_ONCE = 64
_PARTS_A_WORKER = 4


@dataclass(frozen=True, eq=False)
class Contest:
    """Who is scored, as a description that travels to other processes.

    Attributes:
        baselines: whether the human, constant velocity and PDM-Closed are.
        checkpoint: a learned planner; None for none.
        device: where it runs.
        plans: plans that were made elsewhere; None for none.
        name: of those plans.
    """

    baselines: bool = True
    checkpoint: Path | None = None
    device: str = "cpu"
    plans: Plans | None = None
    name: str = "submission"

    def contestants(self) -> list[Contestant]:
        """Load what is described.

        Raises:
            FileNotFoundError: if there is no such checkpoint.
            ValueError: if it does not fit.
        """
        out: list[Contestant] = [Baselines()] if self.baselines else []
        if self.checkpoint is not None:
            out.append(PlannerContestant(load_planner(self.checkpoint, self.device), PAIR))
        if self.plans is not None:
            out.append(GivenPlans(self.name, self.plans))
        return out


@dataclass(frozen=True, eq=False)
class ScoreJob:
    """A part of a source to be scored; see `score_source`.

    Attributes:
        source: the scenes.
        contest: who is scored.
        settings: the conventions.
        skip_bad: whether scenes that cannot be read are left out and listed.
        with_causes: whether each row says in words why points were lost.
        number: of the part.
    """

    source: SceneSource
    contest: Contest
    settings: ScoreSettings
    skip_bad: bool = False
    with_causes: bool = False
    number: int = 0


@dataclass(frozen=True, eq=False)
class ScoredPart:
    """What came out of a part.

    Attributes:
        tables: by contestant.
        scenes: how many were scored.
        tokens: of the scenes.
        oddities: scenes by what is odd about them.
        skipped: what could not be read.
        blind: plans made without a point cloud.
        number: of the part.
    """

    tables: dict[str, ScoreTable]
    scenes: int
    tokens: tuple[str, ...]
    oddities: dict[str, int]
    skipped: tuple[SkippedBenchmarkScene, ...]
    blind: int
    number: int


def run_score_job(job: ScoreJob, progress: Callable[[int], None] | None = None) -> ScoredPart:
    """Score a part; importable by name, for other processes.

    Raises:
        SceneError: if a scene lacks what a contestant needs.
        DatasetError: naming the first file at fault, unless bad ones are skipped.
    """
    skipped: list[SkippedBenchmarkScene] = []
    contestants = job.contest.contestants()
    scorer = Scorer(job.settings, contestants, job.with_causes, skipped if job.skip_bad else None)
    scenes = job.source.scenes(skip_into(skipped) if job.skip_bad else None)
    tokens: list[str] = []
    while batch := list(islice(scenes, _SCENES_AT_ONCE)):
        scorer.add(batch)
        tokens += [entry.scene.token for entry in batch]
        if progress is not None:
            progress(len(tokens))
    for table in scorer.tables.values():
        table.close()
    blind = sum(c.blind.count for c in contestants if isinstance(c, PlannerContestant))
    return ScoredPart(scorer.tables, scorer.scenes, tuple(tokens), scorer.oddities, tuple(skipped), blind, job.number)


def score_source(
    job: ScoreJob,
    workers: int = 1,
    backend: Backend = Backend.PROCESSES,
    progress: Callable[[int], None] | None = None,
) -> BenchmarkReport:
    """Score all scenes of a source; memory does not grow with their size, only by a row a scene.

    Args:
        job: what to score, and how.
        workers: processes; 1 scores everything here.
        backend: where parts are scored.
        progress: called with the number of scenes done.

    Raises:
        SceneError: if there are no scenes, or one lacks what a contestant needs.
        DatasetError: naming the first file at fault, or scenes that were asked for and are nowhere, unless bad ones are
            skipped.
    """
    alone = workers <= 1 and backend is Backend.PROCESSES
    if alone:
        parts = [run_score_job(job, progress)]
    else:
        sources = job.source.parts(workers * _PARTS_A_WORKER)
        jobs = [replace(job, source=source, number=n) for n, source in enumerate(sources)]
        parts = []
        for part in results_of(run_score_job, jobs, workers, backend):
            parts.append(part)
            if progress is not None:
                progress(sum(len(part.tokens) for part in parts))
        # Parts come as they are done; the table shall not depend on that.
        parts.sort(key=lambda part: part.number)
    return _joined(job, parts)


def _joined(job: ScoreJob, parts: list[ScoredPart]) -> BenchmarkReport:
    skipped = [entry for part in parts for entry in part.skipped]
    found = {token for part in parts for token in part.tokens}
    missing = job.source.missing(found | {entry.token for entry in skipped})
    if missing:
        problem = f"{len(missing)} scenes that the split names are nowhere, first {missing[:3]}"
        if not job.skip_bad:
            raise DatasetError("split", problem)
        skipped += [SkippedBenchmarkScene(token, "the split names it, and it is nowhere") for token in missing]
    tables: dict[str, ScoreTable] = {}
    oddities: dict[str, int] = {}
    for part in parts:
        for name, table in part.tables.items():
            tables.setdefault(name, ScoreTable(name, job.settings)).extend(table)
        for text, count in part.oddities.items():
            oddities[text] = oddities.get(text, 0) + count
    scenes = sum(part.scenes for part in parts)
    if scenes == 0:
        first = f"; the first that was left out: {skipped[0].problem}" if skipped else ""
        raise SceneError(f"expected at least one scene to score, got none{first}")
    planners = tuple(table.result() for table in tables.values())
    blind = sum(part.blind for part in parts)
    return BenchmarkReport(job.settings, scenes, planners, tuple(skipped), oddities, blind)


def plan_submission(
    source: NavsimSource,
    checkpoint: Path | None,
    device: str,
    about: dict[str, str],
    skipped: list[SkippedBenchmarkScene] | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[Submission, int]:
    """Plan in all scenes of a benchmark, of which nothing but sensors and ego states need be there.

    Args:
        source: the scenes; with a second stage if it has the folder of one.
        checkpoint: the planner; None takes constant velocity.
        device: where it runs.
        about: who submits, by `AUTHOR_KEYS`.
        skipped: takes scenes that cannot be read; None stops at the first.
        progress: called with the number of plans.

    Returns:
        The submission, and how many plans were made from an empty sweep.

    Raises:
        DatasetError: naming the first file at fault, or scenes that are nowhere, unless bad ones are skipped.
    """
    planner: Planner = ConstantVelocityPlanner() if checkpoint is None else load_planner(checkpoint, device)
    blind = EmptySweeps()
    stages: tuple[dict[str, TimedPlans], dict[str, TimedPlans]] = ({}, {})
    for entry in source.inputs(None if skipped is None else skip_into(skipped), with_sensors=checkpoint is not None):
        try:
            plan = planner.plan(blind.filled(entry.sense()) if checkpoint is not None else entry.sense())
        except (DatasetError, FileNotFoundError) as error:
            if skipped is None:
                raise
            skipped.append(SkippedBenchmarkScene(entry.token, str(error)))
            continue
        stages[int(entry.second_stage)][entry.token] = timed(plan.poses, plan.interval_s)
        if progress is not None:
            progress(len(stages[0]) + len(stages[1]))
    named = {entry.token for entry in skipped or ()}
    missing = source.missing({*stages[0], *stages[1], *named})
    if missing and skipped is None:
        raise DatasetError("split", f"{len(missing)} scenes that the split names are nowhere, first {missing[:3]}")
    if skipped is not None:
        skipped += [SkippedBenchmarkScene(token, "the split names it, and it is nowhere") for token in missing]
    return Submission(stages[0], stages[1] if source.synthetic_scenes is not None else None, about), blind.count
