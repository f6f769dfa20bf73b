"""What the planner node knows of its own health, and what it reports of it; no node."""

from __future__ import annotations

from dataclasses import dataclass, field

from pair_drive_core.driving.findings import Finding, Level
from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.driving.latency import Latencies
from pair_drive_core.driving.sensor_feed import SensorFeed
from pair_drive_core.driving.synchronizer import ACCELERATION, COMMAND, LIDAR, ODOMETRY
from pair_drive_core.planning.plan import PlanSource

_US_PER_S = 1_000_000


@dataclass
class PlannerHealth:
    """Counters and the newest outcome.

    Attributes:
        activated_us: node time of the activation; None while inactive.
        plans: published plans by source.
        stale: sets that were too old when they were complete.
        last_t0_us: t0 of the newest plan.
        last_age_s: its age when it was published.
        last_reason: why it is a fallback; empty if it is none.
        last_failed: whether the planner raised an error.
        compute: time spent on planning.
        total: time from the last message of a set to the publication.
    """

    activated_us: int | None = None
    plans: dict[PlanSource, int] = field(default_factory=lambda: dict.fromkeys(PlanSource, 0))
    stale: int = 0
    last_t0_us: int | None = None
    last_age_s: float = 0.0
    last_reason: str = ""
    last_failed: bool = False
    compute: Latencies = field(default_factory=Latencies)
    total: Latencies = field(default_factory=Latencies)

    def record(self, result: GuardedPlan, t0_us: int, age_s: float, total_s: float) -> None:
        """Remember a published plan."""
        self.plans[result.plan.source] += 1
        self.last_t0_us, self.last_age_s = t0_us, age_s
        self.last_reason, self.last_failed = result.reason, result.failed
        self.compute.add(result.compute_s)
        self.total.add(total_s)


def input_findings(
    feed: SensorFeed, health: PlannerHealth, now_us: int, stale_after_s: float, startup_s: float
) -> list[Finding]:
    """One finding an input stream.

    Args:
        feed: the inputs.
        health: for the time of activation.
        now_us: node time (which stands still while a simulator pauses, and so do the ages).
        stale_after_s: greatest age.
        startup_s: how long an input may be missing after activation.
    """
    config = feed.synchronizer.config
    streams = [*config.cameras, *([LIDAR] if config.with_lidar else []), ODOMETRY, COMMAND]
    starting = health.activated_us is None or now_us - health.activated_us < startup_s * _US_PER_S
    findings = []
    for stream in streams:
        limit_s = config.command_age_s if stream == COMMAND else stale_after_s
        findings.append(_stream_finding(stream, feed.synchronizer.newest_us(stream), now_us, limit_s, starting))
    findings.append(_acceleration_finding(feed, now_us, stale_after_s))
    missing = feed.cameras_without_calibration
    if missing:
        level = Level.WARN if starting else Level.ERROR
        findings.append(Finding("camera_info", level, f"waiting for camera_info of {', '.join(missing)}"))
    loose = feed.frames_without_transform
    if loose:
        level = Level.WARN if starting else Level.ERROR
        findings.append(Finding("transforms", level, f"waiting for transforms to {', '.join(loose)}"))
    findings.extend(
        Finding(f"messages on {topic}", Level.ERROR, reason, {"unusable": feed.report.unusable[topic]})
        for topic, reason in tuple(feed.report.last_error.items())
    )
    return findings


def _stream_finding(stream: str, newest_us: int | None, now_us: int, limit_s: float, starting: bool) -> Finding:
    """State of one input."""
    if newest_us is None:
        level = Level.WARN if starting else Level.ERROR
        return Finding(f"input {stream}", level, "nothing received")
    age_s = (now_us - newest_us) / _US_PER_S
    if age_s > limit_s:
        return Finding(f"input {stream}", Level.ERROR, f"stale: {age_s:.2f} s old, limit {limit_s} s", {"age_s": age_s})
    if age_s < -limit_s:
        reason = f"stamped {-age_s:.2f} s in the future: clocks differ, or use_sim_time is set without /clock"
        return Finding(f"input {stream}", Level.ERROR, reason, {"age_s": age_s})
    return Finding(f"input {stream}", Level.OK, "fresh", {"age_s": age_s})


def _acceleration_finding(feed: SensorFeed, now_us: int, limit_s: float) -> Finding:
    """State of the one input that may be missing; once it has come, its loss is a degradation."""
    newest_us = feed.synchronizer.newest_us(ACCELERATION)
    values: dict[str, object] = {"sets without": feed.synchronizer.report.without_acceleration}
    if newest_us is None:
        reason, level = "not measured: taken from the change of the velocity", Level.OK
    elif now_us - newest_us > limit_s * _US_PER_S:
        reason = f"stale: {(now_us - newest_us) / _US_PER_S:.2f} s old; taken from the change of the velocity"
        level = Level.WARN
    else:
        reason, level = "fresh", Level.OK
    return Finding(f"input {ACCELERATION}", level, reason, values)


def synchronizer_finding(feed: SensorFeed, health: PlannerHealth, replaced: int) -> Finding:
    """Counters of what did not become a plan."""
    report = feed.synchronizer.report
    values: dict[str, object] = {"complete": report.complete, "time_jumps": report.time_jumps}
    values |= {f"dropped: {reason}": count for reason, count in tuple(report.dropped.items())}
    values |= {f"refused: {stream}": count for stream, count in tuple(report.refused.items())}
    values |= {"dropped: planner busy": replaced, "dropped: stale": health.stale}
    dropped = sum(tuple(report.dropped.values())) + replaced + health.stale
    return Finding("synchronizer", Level.OK, f"{report.complete} complete, {dropped} dropped", values)


def planner_finding(health: PlannerHealth, name: str, skew_s: dict[str, float]) -> Finding:
    """Outcome of the newest plan, with latencies."""
    compute, total = health.compute.summary(), health.total.summary()
    values: dict[str, object] = {f"plans: {source.value}": count for source, count in health.plans.items()}
    values |= {
        "compute_p50_ms": compute.p50_ms,
        "compute_p99_ms": compute.p99_ms,
        "latency_p50_ms": total.p50_ms,
        "latency_p99_ms": total.p99_ms,
        "plan_age_s": health.last_age_s,
    }
    values |= {f"skew_s: {reading}": skew for reading, skew in skew_s.items()}
    if health.last_t0_us is None:
        return Finding("planner", Level.WARN, f"{name}: no plan yet", values)
    if health.last_failed:
        return Finding("planner", Level.ERROR, f"{name} failed, fallback: {health.last_reason}", values)
    if health.last_reason:
        return Finding("planner", Level.WARN, f"{name}: plan refused, fallback: {health.last_reason}", values)
    return Finding("planner", Level.OK, name, values)
