"""The table of all runs, written into a page by a program: nobody copies a figure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.evaluation.experiments import TOTALS

BEGIN, END = "<!-- experiments: written by scripts/experiments.py -->", "<!-- end of experiments -->"
_RESAMPLES = 2000


def read_runs(results: Path) -> list[Mapping[str, Any]]:
    """All runs of a folder, by name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]


def experiment_rows(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of a table in Markdown: a row a scheme and policy, means over seeds, gains over the imitation runs.

    A gain is paired by scene: the mean over seeds of the plan's score less that of the `il` run of the same policy,
    with a bootstrap interval (95 %) over scenes.
    """
    kinds = list(dict.fromkeys((run["scheme"], run["policy"]) for run in runs))
    lines = [
        f"| scheme | policy | seeds | {' | '.join(TOTALS)} | over `il`, {TOTALS[1]} | moments x budget | s a run |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for scheme, policy in kinds:
        mine = _of(runs, scheme, policy)
        means = [100.0 * float(_scenes(mine, label).mean()) for label in TOTALS]
        gain = _gain(mine, _of(runs, "il", policy)) if scheme != "il" else ""
        seconds = sum(run["seconds"] for run in mine) / len(mine)
        cost = f"{mine[0]['moments']} x {mine[0]['budget']}"
        cells = [scheme, policy, str(len(mine)), *(f"{mean:.1f}" for mean in means), gain, cost, f"{seconds:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def write_table(page: Path, runs: Sequence[Mapping[str, Any]]) -> None:
    """Replace what stands between the marks of a page.

    Raises:
        ValueError: if the page has no such marks.
    """
    text = page.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page}: expected the lines {BEGIN!r} and {END!r}, got a page without them")
    before, rest = text.split(BEGIN, 1)
    table = "\n".join(experiment_rows(runs))
    write_bytes(page, f"{before}{BEGIN}\n{table}\n{END}{rest.split(END, 1)[1]}".encode())


def _of(runs: Sequence[Mapping[str, Any]], scheme: str, policy: str) -> list[Mapping[str, Any]]:
    return [run for run in runs if (run["scheme"], run["policy"]) == (scheme, policy)]


def _scenes(runs: Sequence[Mapping[str, Any]], label: str) -> Tensor:
    """(seeds, scenes) scores of the plan."""
    return torch.tensor([run["held_out"]["plan"][label]["scenes"] for run in runs])


def _gain(mine: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> str:
    if not others:
        return ""
    gain = _scenes(mine, TOTALS[1]).mean(0) - _scenes(others, TOTALS[1]).mean(0)
    draws = torch.randint(len(gain), (_RESAMPLES, len(gain)), generator=torch.Generator().manual_seed(0))
    low, high = gain[draws].mean(1).quantile(torch.tensor([0.025, 0.975])).tolist()
    return f"{100 * float(gain.mean()):+.1f} [{100 * low:.1f}, {100 * high:.1f}]"
