"""`pair-drive evaluate`: planners on a benchmark, scored; or their plans as a submission."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated

import typer

from pair_drive_core.cli.evaluate_towns import checkpoint_path, parse_agents, parse_layouts, report_of, run_towns
from pair_drive_core.cli.evaluate_towns import print_report as print_town_report
from pair_drive_core.cli.scene_options import (
    SOURCES,
    print_report,
    require_stages,
    scene_progress,
    scene_source,
    torch_device,
)
from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.datasets.navsim.submissions import AUTHOR_KEYS, write_submission
from pair_drive_core.datasets.parallel import Backend
from pair_drive_core.evaluation.benchmark_scenes import SkippedBenchmarkScene
from pair_drive_core.evaluation.scene_sources import NavsimSource
from pair_drive_core.evaluation.score_runs import Contest, ScoreJob, plan_submission, score_source
from pair_drive_core.evaluation.score_settings import ScoreSettings, Traffic
from pair_drive_core.evaluation.town_agents import TownAgent
from pair_drive_core.evaluation.town_scores import TownEvaluation
from pair_drive_core.scoring import HumanFilter, Metric
from pair_drive_core.town.data.splits import TownSplit


def evaluate(
    town: Annotated[TownSplit | None, typer.Option(help="Towns of this split, made on the way.")] = None,
    scenes: Annotated[int, typer.Option(min=1, help="How many town scenes.")] = 152,
    cache: Annotated[Path | None, typer.Option(help="Scene cache (no sensors).")] = None,
    data: Annotated[Path | None, typer.Option(help="NAVSIM data set folder.")] = None,
    split: Annotated[Path | None, typer.Option(help="Its benchmark, train_test_split/<name>.yaml.")] = None,
    maps: Annotated[Path | None, typer.Option(help="Map folder; default: DATA/maps.")] = None,
    synthetic_scenes: Annotated[Path | None, typer.Option(help="Folder of second-stage scenes.")] = None,
    synthetic_sensors: Annotated[Path | None, typer.Option(help="Folder of their sensor files.")] = None,
    one_stage: Annotated[bool, typer.Option("--one-stage", help="The first stage of a two-stage split alone.")] = False,
    layouts: Annotated[str | None, typer.Option(help="Towns by number, e.g. 50000-50019, also outside splits.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of --layouts: traffic, daylight and choice of moments.")] = 0,
    agent: Annotated[list[str] | None, typer.Option(help="Of --layouts, repeatable; default: all.")] = None,
    baseline: Annotated[str, typer.Option(help="Of --layouts: agent that gains are counted from.")] = "",
    rows: Annotated[Path | None, typer.Option(help="Of --layouts: write a CSV row a scene and agent.")] = None,
    against: Annotated[Path | None, typer.Option(help="Of --layouts: rows of a run to compare with.")] = None,
    checkpoint: Annotated[str | None, typer.Option(help="Learned planner: FILE or 'shipped'; none: baselines.")] = None,
    imitation: Annotated[
        str | None,
        typer.Option(help="Of --layouts: FILE whose imitation branch replaces --checkpoint's."),
    ] = None,
    consecutive: Annotated[
        bool, typer.Option("--consecutive", help="Of --layouts: plan 0.5 s earlier too, for EC; twice the sensing.")
    ] = False,
    device: Annotated[str, typer.Option(help="torch device of the learned planner.")] = "cpu",
    metric: Annotated[Metric, typer.Option(help="v1: PDMS, v2: EPDMS.")] = Metric.V2,
    traffic: Annotated[
        Traffic | None, typer.Option(help="v2: log, cv or idm; default: log, in two stages idm (both official).")
    ] = None,
    human_filter: Annotated[
        HumanFilter | None, typer.Option(help="v2: fixed, old or off; default: fixed, for --layouts off.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the report as JSON to this file.")] = None,
    submission: Annotated[
        Path | None,
        typer.Option(help="Only plan, and write the leaderboard's pickle (constant velocity without FILE)."),
    ] = None,
    team: Annotated[str, typer.Option(help="Team name in the submission.")] = "",
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out and list unreadable scenes.")] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 takes all cores.")] = 1,
    backend: Annotated[Backend, typer.Option(help="Where parts are scored.")] = Backend.PROCESSES,
) -> None:
    """Score the human, constant velocity, PDM-Closed and a learned planner on a benchmark, in one stage or two."""
    file = checkpoint_path(checkpoint)
    if layouts is not None:
        if any(value is not None for value in (town, cache, data, split)):
            raise ValueError(f"expected one source of scenes: {SOURCES}, or --layouts A-B; got --layouts and another")
        agents = parse_agents(agent or [], file is not None, consecutive)
        forgiving = human_filter is HumanFilter.FIXED
        wanted = TownEvaluation(
            parse_layouts(layouts),
            scenes,
            seed,
            agents,
            file,
            forgiving,
            imitation=checkpoint_path(imitation),
            consecutive=consecutive,
        )
        compared = baseline or (TownAgent.IMITATION if TownAgent.IMITATION in agents else agents[0]).value
        found = report_of(run_towns(wanted, workers or os.cpu_count() or 1, rows), compared, against)
        print_town_report(found, compared)
        if out is not None:
            write_bytes(out, json.dumps(found, indent=2).encode())
        return
    sensors = synthetic_sensors
    source, benchmark = scene_source(town, scenes, cache, data, split, maps, synthetic_scenes, sensors, metric)
    torch_device(device)
    if submission is not None:
        if not isinstance(source, NavsimSource):
            raise ValueError("--submission: expected a NAVSIM data set (--data DIR with --split FILE)")
        require_stages(benchmark, one_stage, synthetic_scenes is not None)
        _submit(source, file, device, team, submission, skip_bad)
        return
    followers = synthetic_scenes is not None or cache is not None
    groups = benchmark.groups if benchmark and require_stages(benchmark, one_stage, followers) else ()
    default = Traffic.IDM if groups else Traffic.LOG
    settings = ScoreSettings(metric, human_filter or HumanFilter.FIXED, "single", traffic or default, groups).validate()
    started = time.perf_counter()
    job = ScoreJob(source, Contest(checkpoint=file, device=device), settings, skip_bad)
    with scene_progress(source.expected()) as show:
        report = score_source(job, workers or os.cpu_count() or 1, backend, show)
    if out is not None:
        write_bytes(out, json.dumps(report.to_json(), indent=2).encode())
    print_report(report, time.perf_counter() - started)


def _submit(source: NavsimSource, checkpoint: Path | None, device: str, team: str, path: Path, skip_bad: bool) -> None:
    skipped: list[SkippedBenchmarkScene] = []
    about = {AUTHOR_KEYS[0]: team}
    with scene_progress(source.expected()) as show:
        made, blind = plan_submission(source, checkpoint, device, about, skipped if skip_bad else None, show)
    write_submission(made, path)
    second = "" if made.second is None else f", {len(made.second)} in the second stage"
    typer.echo(f"{path}: {len(made.first)} plans{second}")
    if blind:
        typer.echo(f"{blind} plans were made without a LiDAR point cloud, from an empty sweep")
    if skipped:
        typer.echo(f"skipped {len(skipped)}; the leaderboard gives them no score:")
        for entry in skipped:
            typer.echo(f"  {entry.token}: {entry.problem}")
