"""The shadow report: what the owner of a recording reads, one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.evaluation.bag_evaluation import BagReport
from pair_drive_core.evaluation.bag_intake import SkippedMessage
from pair_drive_core.evaluation.bag_shadow import guard_events
from pair_drive_core.evaluation.shadow_pictures import DrivenSight, course_picture, moment_picture

PAGE, NUMBERS = "index.html", "report.json"


def write_shadow_report(folder: Path, report: BagReport, moments: Sequence[DrivenSight]) -> Path:
    """Write the page, and all numbers as JSON beside it.

    Args:
        folder: where to.
        report: of the replay.
        moments: with pictures, the first of the recording in front.

    Returns:
        The page.
    """
    write_bytes(folder / NUMBERS, json.dumps(report.to_json(), indent=1).encode())
    write_bytes(folder / PAGE, shadow_page(report, moments).encode())
    return folder / PAGE


def shadow_page(report: BagReport, moments: Sequence[DrivenSight]) -> str:
    """The page as text, pictures included."""
    environment = Environment(
        loader=PackageLoader("pair_drive_core.evaluation"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = _number
    by_time = {plan.time_us: plan for plan in report.shadow}
    start_us = report.shadow[0].time_us
    pictures = [
        {"plan": by_time[moment.sight.agent_input.now.time_us], "data": _embedded(moment_picture(moment))}
        for moment in moments
    ]
    return environment.get_template("shadow_report.html.j2").render(
        report=report,
        course=_embedded(course_picture(report.shadow)),
        moments=pictures,
        start_us=start_us,
        events=guard_events(report.shadow),
        comfortable=sum(not plan.uncomfortable for plan in report.shadow),
        change=_median([plan.change_m for plan in report.shadow]),
        score=_median([plan.score for plan in report.shadow]),
        confidence=_median([plan.confidence for plan in report.shadow]),
        skipped_counts=Counter(str(entry["topic"]) for entry in report.skipped),
        skipped=[str(SkippedMessage(**entry)) for entry in report.skipped],
    )


def _embedded(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _median(values: Sequence[float]) -> float:
    known = sorted(value for value in values if math.isfinite(value))
    return known[len(known) // 2] if known else math.nan
