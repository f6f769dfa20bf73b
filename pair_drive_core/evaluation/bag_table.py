"""The one table of `pair-drive bag-eval`."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pair_drive_core.driving.latency import LatencySummary
from pair_drive_core.evaluation.bag_evaluation import BagReport

_TOTAL_NAMES = {"v1": "PDMS", "v2": "EPDMS"}


def bag_table(report: BagReport) -> Group:
    """Scores in per cent, with latencies and drops in short lines below them."""
    return Group(Text(f"{report.bag}: {report.planner}"), _scores(report), Text(_caption(report)))


def _scores(report: BagReport) -> Table:
    names = list(report.rows[0].sub_scores) if report.rows else []
    table = Table()
    for name in ("plans", "scenes", *names, _TOTAL_NAMES[report.metric]):
        table.add_column(name, justify="left" if name == "plans" else "right")
    for row in report.rows:
        cells = [f"{100.0 * row.sub_scores[name]:.1f}" for name in names]
        table.add_row(row.name, str(row.scenes), *cells, f"{100.0 * row.total:.1f}")
    if not report.rows:
        table.add_row("planned", "0", "no ground truth in the recording")
    return table


def _caption(report: BagReport) -> str:
    made = ", ".join(f"{count} {source}" for source, count in report.plans.items())
    lines = [
        f"plans: {sum(report.plans.values())} of {report.frames} frames, dropped {report.dropped}",
        f"sources: {made}",
        f"latency now: {_latency(report.replay_latency)}",
    ]
    if report.live_dropped is not None:
        lines.append(
            f"live: {report.live_plans} plans ({report.live_fallbacks} fallback), dropped {report.live_dropped}"
        )
        lines.append(f"latency live: {_latency(report.live_compute)}")
        lines.append(f"age of the plans: {_latency(report.live_age)}")
    lines.extend(f"dropped: {reason} x{count}" for reason, count in report.drop_reasons.items())
    lines.extend(f"fallback: {reason} x{count}" for reason, count in list(report.fallback_reasons.items())[:5])
    return "\n".join(lines)


def _latency(summary: LatencySummary) -> str:
    if summary.count == 0:
        return "none"
    return f"p50 {summary.p50_ms:.1f} ms, p99 {summary.p99_ms:.1f} ms"
