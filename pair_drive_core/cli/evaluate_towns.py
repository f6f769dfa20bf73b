"""The part of `pair-drive evaluate` that makes towns by number: any agent, a row a scene, intervals, pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from pair_drive_core.evaluation.scene_rows import HUMAN_BAD_BELOW, TOTALS, Interval, RowTable, read_rows, write_rows
from pair_drive_core.evaluation.town_agents import TownAgent
from pair_drive_core.evaluation.town_scores import TownEvaluation, evaluate_towns
from pair_drive_core.policies.runtime.loading import SHIPPED_CHECKPOINT

SHIPPED = "shipped"
"""What `--checkpoint` says for the package's own."""
BASELINES = (TownAgent.HUMAN, TownAgent.CONSTANT_VELOCITY, TownAgent.PDM_CLOSED)
COMFORT = ("v1 C", "HC", "EC")
"""Columns that say how comfortable plans are; EC only of consecutive ones."""
_FILE_COLUMNS = 200
_ORACLES = ((TownAgent.PAIR, TownAgent.BEST_LEAF), (TownAgent.HUMAN_PAIR, TownAgent.HUMAN_BEST_LEAF))


def parse_layouts(text: str) -> tuple[int, ...]:
    """Numbers of towns from "50000-50019", "7" or "1,5-6".

    Raises:
        ValueError: naming the part that is no range.
    """
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and (not last.isdigit() or int(last) < int(first))):
            raise ValueError(f"--layouts: expected numbers such as 50000-50019 or 1,5-6, got {part!r} in {text!r}")
        numbers.extend(range(int(first), int(last if dash else first) + 1))
    return tuple(numbers)


def parse_agents(names: Sequence[str], learned: bool, consecutive: bool = False) -> tuple[TownAgent, ...]:
    """Agents by name; none gives all, or all that need no checkpoint (or no plan before).

    Raises:
        ValueError: naming the one that is unknown.
    """
    if not names:
        every = tuple(agent for agent in TownAgent if consecutive or agent is not TownAgent.STEADY_PAIR)
        return every if learned else BASELINES
    for name in names:
        if name not in {agent.value for agent in TownAgent}:
            raise ValueError(f"--agent: expected one of {', '.join(a.value for a in TownAgent)}, got {name!r}")
    return tuple(dict.fromkeys(TownAgent(name) for name in names))


def checkpoint_path(text: str | None) -> Path | None:
    """The file that `--checkpoint` means."""
    if text is None:
        return None
    return SHIPPED_CHECKPOINT if text == SHIPPED else Path(text)


def run_towns(evaluation: TownEvaluation, workers: int, rows_path: Path | None) -> RowTable:
    """Evaluate behind a progress bar and write the rows."""
    columns = (TextColumn("towns"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("towns", total=len(evaluation.layouts))
        rows = evaluate_towns(evaluation, workers, lambda done, _: bar.update(task, completed=done))
    if rows_path is not None:
        write_rows(rows_path, rows)
    return RowTable(rows)


def report_of(table: RowTable, baseline: str, against: Path | None) -> dict[str, Any]:
    """Means, intervals, gains over a baseline, human-bad subsets, regrets, and gains over an earlier run.

    Args:
        table: the rows.
        baseline: whom the others are compared with.
        against: rows of another run, compared agent by agent on the scenes of both.

    Raises:
        ValueError: if the baseline has no rows.
    """
    means = {agent: table.means(agent) for agent in table.agents}
    known = {agent: {name: v for name, v in values.items() if not math.isnan(v)} for agent, values in means.items()}
    report: dict[str, Any] = {"means": known}
    report["totals"] = {agent: {name: asdict(table.total(agent, name)) for name in TOTALS} for agent in table.agents}
    others = [agent for agent in table.agents if agent != baseline]
    report["gains"] = {agent: {name: asdict(table.gain(agent, baseline, name)) for name in TOTALS} for agent in others}
    report["comfort"] = {
        agent: {
            name: asdict(table.gain(agent, baseline, name))
            for name in COMFORT
            if name in known[agent] and name in known[baseline]
        }
        for agent in others
    }
    if TownAgent.HUMAN.value in table.agents:
        report["human_bad"] = {
            name: {a: asdict(table.total(a, name, table.human_bad(name))) for a in table.agents} for name in TOTALS
        }
    report["regret"] = {
        agent.value: {name: asdict(table.gain(oracle.value, agent.value, name)) for name in TOTALS}
        for agent, oracle in _ORACLES
        if {agent.value, oracle.value} <= set(table.agents)
    }
    if against is not None:
        before = RowTable(read_rows(against))
        shared = [agent for agent in table.agents if agent in before.agents]
        report["against"] = {
            agent: {name: asdict(table.gain(agent, agent, name, other=before)) for name in TOTALS} for agent in shared
        }
    return report


def print_report(report: dict[str, Any], baseline: str) -> None:
    """Tables, in per cent."""
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=_FILE_COLUMNS)
    means = report["means"]
    columns = [name for name in next(iter(means.values())) if name not in TOTALS]
    scenes = next(iter(report["totals"].values()))[TOTALS[0]]["scenes"]
    table = Table("agent", *TOTALS, *(f"over {baseline}, {name}" for name in TOTALS), *columns)
    table.title = f"{scenes} town scenes, per cent [95 % interval]"
    for agent, values in means.items():
        totals = [_interval(report["totals"][agent][name]) for name in TOTALS]
        gains = [_interval(report["gains"][agent][name], "+") if agent != baseline else "" for name in TOTALS]
        table.add_row(
            agent, *totals, *gains, *(f"{100 * values[name]:.1f}" if name in values else "" for name in columns)
        )
    console.print(table)
    for name, agents in report.get("human_bad", {}).items():
        found = ", ".join(f"{agent} {_interval(value)}" for agent, value in agents.items())
        count = next(iter(agents.values()))["scenes"]
        console.print(f"human {name} below {100 * HUMAN_BAD_BELOW[name]:.0f} ({count} scenes): {found}")
    for agent, values in report["comfort"].items():
        console.print(f"comfort of {agent} over {baseline}: " + _listed(values, "+"))
    for agent, values in report["regret"].items():
        console.print(f"regret of {agent}: " + _listed(values))
    for agent, values in report.get("against", {}).items():
        console.print(f"{agent} over that run: " + _listed(values, "+"))


def _listed(values: Mapping[str, dict[str, float]], sign: str = "") -> str:
    return ", ".join(f"{name} {_interval(value, sign)}" for name, value in values.items())


def _interval(value: dict[str, float], sign: str = "") -> str:
    found = Interval(value["mean"], value["low"], value["high"], int(value["scenes"]))
    return f"{100 * found.mean:{sign}.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"
