"""What `pair-drive bag-eval` prints."""

from __future__ import annotations

from collections import Counter

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pair_drive_core.driving.latency import LatencySummary
from pair_drive_core.evaluation.bag_evaluation import BagReport
from pair_drive_core.evaluation.bag_intake import SkippedMessage

_TOTAL_NAMES = {"v1": "PDMS", "v2": "EPDMS"}


def bag_table(report: BagReport) -> Group:
    """Scores in per cent, or the agreement with the driver, with latencies and drops in short lines below them."""
    table = _scores(report) if report.rows else _agreement(report)
    return Group(Text(f"{report.bag}: {report.planner}"), table, Text(_caption(report)))


def _scores(report: BagReport) -> Table:
    names = list(report.rows[0].sub_scores) if report.rows else []
    table = Table()
    for name in ("plans", "scenes", *names, _TOTAL_NAMES[report.metric]):
        table.add_column(name, justify="left" if name == "plans" else "right")
    for row in report.rows:
        cells = [f"{100.0 * row.sub_scores[name]:.1f}" for name in names]
        table.add_row(row.name, str(row.scenes), *cells, f"{100.0 * row.total:.1f}")
    return table


def _agreement(report: BagReport) -> Table:
    table = Table(caption="no ground truth in the recording: planned against driven, medians")
    for name in ("after", "plans", "along [m]", "across [m]", "distance [m]", "distance p90 [m]"):
        table.add_column(name, justify="right")
    for row in report.agreement:
        values = (row.along_m, row.across_m, row.distance_m, row.distance_p90_m)
        cells = [f"{value:.2f}" if row.plans else "-" for value in values]
        table.add_row(f"{row.horizon_s:.0f} s", str(row.plans), *cells)
    return table


def _caption(report: BagReport) -> str:
    made = ", ".join(f"{count} {source}" for source, count in report.plans.items())
    lines = [
        f"plans: {sum(report.plans.values())} of {report.frames} frames, dropped {report.dropped}",
        f"sources: {made}",
        f"latency now: {_latency(report.replay_latency)}; {report.real_time_factor:.1f} x real time in all",
    ]
    if report.live_dropped is not None:
        lines.append(
            f"live: {report.live_plans} plans ({report.live_guarded} changed by the guard), "
            f"dropped {report.live_dropped}"
        )
        lines.append(f"latency live: {_latency(report.live_compute)}")
        lines.append(f"age of the plans: {_latency(report.live_age)}")
    lines.extend(f"dropped: {reason} x{count}" for reason, count in report.drop_reasons.items())
    events = sorted(report.guard_events.items(), key=lambda event: -event[1])
    lines.extend(f"guard: {event} x{count}" for event, count in events[:5])
    lines.extend(_skipped(report))
    lines.extend(f"note: {note}" for note in report.notes)
    return "\n".join(lines)


def _skipped(report: BagReport) -> list[str]:
    """Messages that could not be used: how many of each topic, and the first of each in full."""
    counts = Counter(str(entry["topic"]) for entry in report.skipped)
    first = {str(entry["topic"]): SkippedMessage(**entry) for entry in reversed(report.skipped)}
    return [f"skipped {count} of {topic}; first: {first[topic]}" for topic, count in counts.items()]


def _latency(summary: LatencySummary) -> str:
    if summary.count == 0:
        return "none"
    return f"p50 {summary.p50_ms:.1f} ms, p99 {summary.p99_ms:.1f} ms"
