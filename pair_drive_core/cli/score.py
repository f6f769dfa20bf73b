"""`pair-drive score`: plans that any model made, scored as the official scripts do."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated

import typer

from pair_drive_core.cli.scene_options import (
    metric_cache_source,
    print_report,
    require_stages,
    scene_progress,
    scene_source,
    torch_device,
)
from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.navsim.submissions import read_submission
from pair_drive_core.datasets.parallel import Backend
from pair_drive_core.datasets.plan_files import Plans, read_plan_files
from pair_drive_core.evaluation.benchmark import BenchmarkReport
from pair_drive_core.evaluation.official_table import official_csv
from pair_drive_core.evaluation.planner_scores import PlannerScores
from pair_drive_core.evaluation.score_runs import Contest, ScoreJob, score_source
from pair_drive_core.evaluation.score_settings import ScoreSettings, Traffic
from pair_drive_core.scoring import HumanFilter, Metric
from pair_drive_core.scoring.score import Normalisation
from pair_drive_core.town.data.splits import TownSplit

_MOST_LISTED = 5


def score(
    plans: Annotated[
        Path | None,
        typer.Argument(help="Submission .pkl of the devkit; .npz, .npy, .safetensors, .parquet, or a folder of them."),
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Or plans of this learned planner of ours.")] = None,
    device: Annotated[str, typer.Option(help="torch device of the learned planner.")] = "cpu",
    interval: Annotated[float | None, typer.Option(help="Seconds between poses where the file does not say.")] = None,
    town: Annotated[TownSplit | None, typer.Option(help="Scenes: towns of this split, made on the way.")] = None,
    scenes: Annotated[int, typer.Option(min=1, help="How many town scenes.")] = 152,
    cache: Annotated[Path | None, typer.Option(help="Scenes: a scene cache.")] = None,
    metric_cache: Annotated[
        Path | None, typer.Option(help="Scenes: the devkit's metric caches, v1.1's for v1, main's for v2.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Scenes: a NAVSIM data set folder, with --split.")] = None,
    split: Annotated[Path | None, typer.Option(help="Its benchmark, train_test_split/<name>.yaml.")] = None,
    maps: Annotated[
        Path | None, typer.Option(help="Map folder; default: DATA/maps. With --metric-cache: for traffic idm.")
    ] = None,
    synthetic_scenes: Annotated[Path | None, typer.Option(help="Folder of second-stage scenes.")] = None,
    one_stage: Annotated[bool, typer.Option("--one-stage", help="The first stage of a two-stage split alone.")] = False,
    metric: Annotated[Metric, typer.Option(help="v1: PDMS, v2: EPDMS.")] = Metric.V2,
    traffic: Annotated[
        Traffic | None, typer.Option(help="v2: log, cv or idm; default: log, in two stages idm (both official).")
    ] = None,
    human_filter: Annotated[
        HumanFilter, typer.Option(help="v2: fixed since 2025-09-29, old before.")
    ] = HumanFilter.FIXED,
    batch_progress: Annotated[
        bool, typer.Option("--batch-progress", help="Measure progress against the best of all K plans of a scene.")
    ] = False,
    csv: Annotated[Path | None, typer.Option(help="Write the official table to this file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write everything as JSON to this file.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say for each scene why points were lost.")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out and list unreadable scenes.")] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 takes all cores.")] = 1,
    backend: Annotated[Backend, typer.Option(help="Where parts are scored.")] = Backend.PROCESSES,
) -> None:
    """Score plans of any model: PDMS or EPDMS, one stage or two, as the official scripts do, without them."""
    if (plans is None) == (checkpoint is None):
        raise ValueError("expected plans of one model: a file or folder of plans, or --checkpoint FILE")
    if metric_cache is None:
        source, benchmark = scene_source(town, scenes, cache, data, split, maps, synthetic_scenes, None, metric)
    else:
        others = (town, cache, data, synthetic_scenes)
        source, benchmark = metric_cache_source(metric_cache, metric, split, maps, one_stage, others)
    torch_device(device)
    given = None if plans is None else _read(plans, interval)
    followers = any(holder is not None for holder in (synthetic_scenes, cache, metric_cache))
    groups = benchmark.groups if benchmark and require_stages(benchmark, one_stage, followers) else ()
    default = Traffic.IDM if groups else Traffic.LOG
    normalisation: Normalisation = "batch" if batch_progress else "single"
    settings = ScoreSettings(metric, human_filter, normalisation, traffic or default, groups).validate()
    if metric_cache is not None and maps is None and settings.traffic is Traffic.IDM:
        raise ValueError("traffic idm drives on lanes, which metric caches do not hold: give the maps with --maps DIR")
    contest = Contest(False, checkpoint, device, given, plans.stem if plans is not None else "plans")
    started = time.perf_counter()
    with scene_progress(source.expected()) as show:
        job = ScoreJob(source, contest, settings, skip_bad, explain)
        report = score_source(job, workers or os.cpu_count() or 1, backend, show)
    seconds = time.perf_counter() - started
    unknown = _unknown(report, given or {})
    _require_scores(report, given, unknown, plans)
    judged = report.planners
    if csv is not None:
        for planner in judged:
            path = (
                csv if len(judged) == 1 else csv.with_name(f"{csv.stem}_{planner.name.replace(' ', '_')}{csv.suffix}")
            )
            write_bytes(path, official_csv(planner).encode())
    if out is not None:
        write_bytes(out, json.dumps({**report.to_json(), "unknown": unknown}, indent=2).encode())
    print_report(report, seconds)
    if unknown:
        typer.echo(
            f"{len(unknown)} plans are for scenes that are not in this benchmark, first {unknown[:_MOST_LISTED]}"
        )
    if explain:
        for planner in judged:
            _explain(planner)


def _read(path: Path, interval_s: float | None) -> Plans:
    if path.suffix == ".pkl":
        return read_submission(path).plans
    return read_plan_files(path, interval_s)


def _unknown(report: BenchmarkReport, given: Plans) -> list[str]:
    scenes = {row.token for planner in report.planners for row in planner.rows}
    scenes |= {entry.token for entry in report.skipped}
    return sorted(token for token in given if token not in scenes)


def _require_scores(report: BenchmarkReport, given: Plans | None, unknown: list[str], path: Path | None) -> None:
    """Check that anything was scored at all.

    Raises:
        DatasetError: saying why not.
    """
    if given is not None and len(unknown) == len(given):
        raise DatasetError(
            path or "plans",
            f"none of its {len(given)} plans is for one of the {report.scenes} scenes (plans for {unknown[:3]}, scenes "
            f"{[row.token for row in report.planners[0].rows[:3]]}); is it a submission for another split?",
        )
    for planner in report.planners:
        problems = [row for row in planner.unscored if row.problem != "no plan for this scene"]
        if problems and len(planner.unscored) == len(planner.rows):
            raise DatasetError(
                path or "plans",
                f"no plan can be scored; {len(problems)} scenes, first {problems[0].token}: {problems[0].problem}",
            )


def _explain(planner: PlannerScores) -> None:
    typer.echo(f"why {planner.name} lost points:")
    for row in planner.rows:
        if row.problem is not None:
            typer.echo(f"  {row.token}: no score: {row.problem}")
        elif row.causes:
            typer.echo(f"  {row.token}: {row.values[-1]:.4f}")
            for cause in row.causes:
                typer.echo(f"    {cause}")
