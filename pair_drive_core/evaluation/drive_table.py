"""Reports of drives through towns as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pair_drive_core.evaluation.plan_jumps import AHEAD_S

_AT_S = 2.0
"""How far ahead the jumps between plans are told."""
HEADER = (
    "town",
    "at-fault collisions",
    "other collisions",
    "off road s",
    "red lights",
    "progress m",
    "of the human's %",
    "standing s",
    "comfortable %",
    "guard events",
    "plan jump p95 m",
    "plan jump max m",
    "plans missed",
)
_SUM, _MEAN, _MAX = (True, False), (False, False), (False, True)
_SUMMARY = (_SUM, _SUM, _SUM, _SUM, _MEAN, _MEAN, _MEAN, _MEAN, _SUM, _MEAN, _MAX, _SUM)
"""How each column but the first is summed up over towns."""


def drive_rows(reports: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """One row a drive, then sums of counts and times, the greatest jump, and means of the rest.

    Args:
        reports: as the town simulator node writes them, with `human_progress_m` beside.
    """
    rows = [_row(str(report["layout_seed"]), _numbers(report)) for report in reports]
    if len(reports) > 1:
        columns = np.array([_numbers(report) for report in reports]).T
        summary = [
            float(column.sum() if summed else column.max() if largest else column.mean())
            for column, (summed, largest) in zip(columns, _SUMMARY, strict=True)
        ]
        rows.append(_row("all", summary))
    return rows


def _numbers(report: Mapping[str, Any]) -> list[float]:
    """The columns of `HEADER` but the first."""
    drive, jumps = report["drive"], report["plan_jumps"]
    at = AHEAD_S.index(_AT_S)
    human = report.get("human_progress_m") or float("nan")
    return [
        drive["at_fault_collisions"],
        drive["other_collisions"],
        drive["off_road_s"],
        drive["red_lights"],
        drive["progress_m"],
        100.0 * drive["progress_m"] / human,
        drive["standing_s"],
        100.0 * drive["comfortable_share"],
        sum(report["guard_events"].values()),
        jumps["p95_m"][at],
        jumps["max_m"][at],
        report["plans_missed"],
    ]


def _row(name: str, numbers: Sequence[float]) -> tuple[str, ...]:
    formats = ("d", "d", ".1f", "d", ".0f", ".0f", ".1f", ".0f", "d", ".2f", ".2f", "d")
    return (name, *(_text(value, form) for value, form in zip(numbers, formats, strict=True)))


def _text(value: float, form: str) -> str:
    if value != value:
        return "-"
    return format(round(value), form) if form == "d" else format(value, form)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """The table in Markdown."""
    lines = [HEADER, ["---"] * len(HEADER), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
