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
from pair_drive_core.evaluation.scene_rows import HUMAN_BAD_BELOW

BEGIN, END = "<!-- experiments: written by scripts/experiments.py -->", "<!-- end of experiments -->"
_RESAMPLES = 2000


def read_runs(results: Path) -> list[Mapping[str, Any]]:
    """All runs of a folder, by name."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))]


def experiment_rows(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of a table in Markdown: a row a scheme and policy, means over seeds (and their standard deviation), gains.

    A gain is paired by scene: the mean over seeds of the plan's EPDMS less that of the `il` run of the same policy (of
    the human where PaIR follows the human), with a bootstrap interval (95 %) over scenes.
    """
    total = TOTALS[1]
    lines = [
        f"| scheme | policy | seeds | {' | '.join(TOTALS)} | over its imitation, {total} | human-bad, {total} "
        "| moments x budget | s a run |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for scheme, policy in _kinds(runs):
        mine = _of(runs, scheme, policy)
        gain = "" if scheme in ("il", "given") else _gain(mine, _base(runs, policy))
        seconds = sum(run["seconds"] for run in mine) / len(mine)
        cost = f"{mine[0]['moments']} x {mine[0]['budget']}" if mine[0]["budget"] else ""
        cells = [scheme, policy, str(len(mine)), *(_spread(mine, label) for label in TOTALS), gain, _bad(mine), cost]
        lines.append(f"| {' | '.join([*cells, f'{seconds:.0f}' if cost else ''])} |")
    return lines


def comparison_rows(runs: Sequence[Mapping[str, Any]], scheme: str = "parallel") -> list[str]:
    """One scheme against the others of the same policy and the same seeds, a row each; empty without such runs."""
    lines = [f"| `{scheme}` less | policy | seeds | {TOTALS[0]} | {TOTALS[1]} |", "|---|---|---|---|---|"]
    for other, policy in _kinds(runs):
        mine, theirs = _of(runs, scheme, policy), _of(runs, other, policy)
        seeds = sorted({run["seed"] for run in mine} & {run["seed"] for run in theirs})
        if other in (scheme, "joined", "given") or not seeds:
            continue
        pair = [[run for run in group if run["seed"] in seeds] for group in (mine, theirs)]
        cells = [other, policy, str(len(seeds)), *(_gain(pair[0], pair[1], label) for label in TOTALS)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines if len(lines) > 2 else []


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
    against = comparison_rows(runs)
    if against:
        table += "\n\n" + "\n".join(against)
    write_bytes(page, f"{before}{BEGIN}\n{table}\n{END}{rest.split(END, 1)[1]}".encode())


def _kinds(runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((run["scheme"], run["policy"]) for run in runs))


def _of(runs: Sequence[Mapping[str, Any]], scheme: str, policy: str) -> list[Mapping[str, Any]]:
    return [run for run in runs if (run["scheme"], run["policy"]) == (scheme, policy)]


def _base(runs: Sequence[Mapping[str, Any]], policy: str) -> list[Mapping[str, Any]]:
    """Runs that a policy's gains are counted from."""
    return _of(runs, "given" if policy == "human" else "il", policy)


def _scenes(runs: Sequence[Mapping[str, Any]], label: str) -> Tensor:
    """(seeds, scenes) scores of the plan."""
    return torch.tensor([run["held_out"]["plan"][label]["scenes"] for run in runs])


def _spread(runs: Sequence[Mapping[str, Any]], label: str) -> str:
    means = 100.0 * _scenes(runs, label).mean(1)
    deviation = f" ({float(means.std()):.1f})" if len(means) > 1 else ""
    return f"{float(means.mean()):.1f}{deviation}"


def _bad(runs: Sequence[Mapping[str, Any]]) -> str:
    """Mean over the scenes that the human drives badly."""
    human = torch.tensor(runs[0]["held_out"]["human"][TOTALS[1]]["scenes"])
    bad = human < HUMAN_BAD_BELOW[TOTALS[1]]
    return f"{100.0 * float(_scenes(runs, TOTALS[1])[:, bad].mean()):.1f}" if bool(bad.any()) else ""


def _gain(mine: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]], label: str = TOTALS[1]) -> str:
    if not others:
        return ""
    gain = _scenes(mine, label).mean(0) - _scenes(others, label).mean(0)
    draws = torch.randint(len(gain), (_RESAMPLES, len(gain)), generator=torch.Generator().manual_seed(0))
    low, high = gain[draws].mean(1).quantile(torch.tensor([0.025, 0.975])).tolist()
    return f"{100 * float(gain.mean()):+.1f} [{100 * low:.1f}, {100 * high:.1f}]"
