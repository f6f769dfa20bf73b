"""What the planner node knows of its own health, and what it reports of it; no node."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from pair_drive_core.driving.ego_track import US_PER_S
from pair_drive_core.driving.findings import Finding, Level
from pair_drive_core.driving.guarded_planner import GuardedPlan, Intervention
from pair_drive_core.driving.latency import Latencies
from pair_drive_core.driving.mount_check import MountFinding
from pair_drive_core.driving.sensor_feed import SensorFeed
from pair_drive_core.driving.synchronizer import ACCELERATION, COMMAND, LIDAR, ODOMETRY
from pair_drive_core.planning.plan import PlanSource
from pair_drive_core.policies.runtime.backends import BackendState

_TOLD_S = 1.0
"""How long something that has happened in a moment is told."""


@dataclass(frozen=True)
class HealthLimits:
    """When the planner calls something an error; the node's parameters of the same names.

    Attributes:
        stale_after_s: greatest age of an input.
        startup_s: how long inputs and the first plan may be missing after activation.
        plan_age_limit_s: greatest age of the newest plan.
        hang_after_s: how long the work on one set may take, in wall-clock time.
    """

    stale_after_s: float = 0.25
    startup_s: float = 3.0
    plan_age_limit_s: float = 0.5
    hang_after_s: float = 2.0


@dataclass
class PlannerHealth:
    """Counters and the newest outcome. The planner is judged by what comes out: sets asked, plans given, their age.

    Attributes:
        activated_us: node time of the activation; None while inactive.
        asked: sets that were handed to the inference thread.
        plans: published plans by source.
        discarded: sets that were complete and did not become a published plan, by reason.
        errors: how often the work on a set raised an error outside of the planner's own guard.
        last_error: the newest such error; empty when a later set has become a plan.
        last_t0_us: t0 of the newest plan.
        last_age_s: its age when it was published.
        last_reason: why it is a fallback; empty if it is none.
        last_failed: whether the planner raised an error.
        last_intervention: what the guard made of it.
        interventions: how often the guard did what.
        last_contact_s: time until the vehicle touches what is in its way, at its present speed.
        jumps_m: of the last plans beside those before them.
        compute: time spent on planning.
        total: time from the last message of a set to the publication.
    """

    activated_us: int | None = None
    asked: int = 0
    plans: dict[PlanSource, int] = field(default_factory=lambda: dict.fromkeys(PlanSource, 0))
    discarded: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    last_error: str = ""
    last_t0_us: int | None = None
    last_age_s: float = 0.0
    last_reason: str = ""
    last_failed: bool = False
    last_intervention: Intervention = Intervention.NONE
    interventions: Counter[Intervention] = field(default_factory=Counter)
    last_contact_s: float = math.inf
    jumps_m: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    compute: Latencies = field(default_factory=Latencies)
    total: Latencies = field(default_factory=Latencies)

    def activate(self, now_us: int) -> None:
        """Planning starts, or starts anew after time has jumped: nothing can have come out yet."""
        self.activated_us, self.last_t0_us, self.last_error = now_us, None, ""

    def record(self, result: GuardedPlan, t0_us: int, age_s: float, total_s: float) -> None:
        """Remember a published plan."""
        self.plans[result.plan.source] += 1
        self.last_t0_us, self.last_age_s = t0_us, age_s
        self.last_reason, self.last_failed = result.reason, result.failed
        self.last_intervention = result.intervention
        self.interventions[result.intervention] += 1
        self.last_contact_s = result.contact_s
        if math.isfinite(result.jump_m):
            self.jumps_m.append(result.jump_m)
        self.last_error = ""
        self.compute.add(result.compute_s)
        self.total.add(total_s)

    def record_error(self, reason: str) -> None:
        """Remember that the work on a set raised an error."""
        self.errors += 1
        self.last_error = reason


@dataclass(frozen=True)
class WorkerState:
    """State of the thread that plans.

    Attributes:
        alive: whether it runs.
        busy_s: how long it has been working on the present set, s of wall-clock time.
        replaced: sets that a newer one has replaced while they waited.
    """

    alive: bool
    busy_s: float
    replaced: int


def output_finding(
    health: PlannerHealth, worker: WorkerState, now_us: int, age_limit_s: float, hang_s: float, startup_s: float
) -> Finding:
    """Whether plans come out, whatever the inputs and the planner say of themselves.

    Args:
        health: counters.
        worker: the thread that plans.
        now_us: node time.
        age_limit_s: greatest age of the newest plan.
        hang_s: how long the work on one set may take, in wall-clock time.
        startup_s: how long the first plan may take after activation.
    """
    given = sum(health.plans.values())
    values: dict[str, object] = {"asked": health.asked, "given": given, "errors": health.errors}
    values |= {f"discarded: {reason}": count for reason, count in tuple(health.discarded.items())}
    values |= {"thread_alive": worker.alive, "busy_s": worker.busy_s}
    told = partial(Finding, "output", values=values)
    if not worker.alive:
        return told(Level.ERROR, "the inference thread has ended: nothing is planned until the node is activated anew")
    if worker.busy_s > hang_s:
        return told(Level.ERROR, f"the inference thread hangs: {worker.busy_s:.1f} s on one set, limit {hang_s} s")
    if health.last_error:
        return told(Level.ERROR, f"the newest set gave no plan: {health.last_error}")
    if health.last_t0_us is None:
        waited_s = 0.0 if health.activated_us is None else (now_us - health.activated_us) / US_PER_S
        return told(Level.WARN if waited_s < startup_s else Level.ERROR, f"no plan yet, {health.asked} sets asked for")
    age_s = (now_us - health.last_t0_us) / US_PER_S
    values["age_s"] = age_s
    if age_s > age_limit_s:
        return told(
            Level.ERROR,
            f"the newest plan is {age_s:.2f} s old, limit {age_limit_s} s ({health.asked} sets asked, {given} given)",
        )
    return told(Level.OK, "plans come")


def required_streams(feed: SensorFeed) -> list[str]:
    """Streams without which nothing is planned."""
    config = feed.synchronizer.config
    return [*config.cameras, *([LIDAR] if config.with_lidar else []), ODOMETRY, COMMAND]


def stale_streams(feed: SensorFeed, now_us: int, stale_after_s: float) -> frozenset[str]:
    """Those required streams that have come and whose newest reading is too old; quick to tell."""
    newest = {stream: feed.synchronizer.newest_us(stream) for stream in required_streams(feed)}
    limit_us = {stream: round(stale_after_s * US_PER_S) for stream in newest}
    limit_us[COMMAND] = round(feed.synchronizer.config.command_age_s * US_PER_S)
    return frozenset(s for s, time_us in newest.items() if time_us is not None and now_us - time_us > limit_us[s])


def input_findings(
    feed: SensorFeed,
    health: PlannerHealth,
    now_us: int,
    stale_after_s: float,
    startup_s: float,
    topics: Mapping[str, str],
) -> list[Finding]:
    """One finding an input stream.

    Args:
        feed: the inputs.
        health: for the time of activation.
        now_us: node time (which stands still while a simulator pauses, and so do the ages).
        stale_after_s: greatest age.
        startup_s: how long an input may be missing after activation.
        topics: what each stream is read from, as it is called on the wire.
    """
    starting = health.activated_us is None or now_us - health.activated_us < startup_s * US_PER_S
    findings = []
    for stream in required_streams(feed):
        limit_s = feed.synchronizer.config.command_age_s if stream == COMMAND else stale_after_s
        finding = _stream_finding(stream, feed.synchronizer.newest_us(stream), now_us, limit_s, starting)
        findings.append(replace(finding, values={**finding.values, "topic": topics.get(stream, "")}))
    findings.append(_acceleration_finding(feed, now_us, stale_after_s))
    check = feed.odometry_check
    if check.last_jump_us is not None and now_us - check.last_jump_us < _TOLD_S * US_PER_S:
        reason = f"the pose jumped by {check.last_jump_m:.2f} m; everything before is forgotten"
        findings.append(Finding("odometry", Level.ERROR, reason, {"jumps": check.jumps}))
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
    age_s = (now_us - newest_us) / US_PER_S
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
    elif now_us - newest_us > limit_s * US_PER_S:
        reason = f"stale: {(now_us - newest_us) / US_PER_S:.2f} s old; taken from the change of the velocity"
        level = Level.WARN
    else:
        reason, level = "fresh", Level.OK
    return Finding(f"input {ACCELERATION}", level, reason, values)


def mounts_finding(found: Sequence[MountFinding]) -> Finding:
    """Whether the sensors sit where the mounts say, as far as they have shown it."""
    if not found:
        return Finding("mounts", Level.OK, "nothing speaks against them")
    level = Level.ERROR if any(finding.certain for finding in found) else Level.WARN
    return Finding("mounts", level, "; ".join(finding.text for finding in found))


def synchronizer_finding(feed: SensorFeed, health: PlannerHealth, worker: WorkerState) -> Finding:
    """Counters of what did not become a plan."""
    report = feed.synchronizer.report
    values: dict[str, object] = {"complete": report.complete, "time_jumps": report.time_jumps}
    values |= {f"dropped: {reason}": count for reason, count in tuple(report.dropped.items())}
    values |= {f"received: {stream}": count for stream, count in tuple(report.received.items())}
    values |= {f"refused: {stream}": count for stream, count in tuple(report.refused.items())}
    values |= {"dropped: planner busy": worker.replaced}
    values |= {f"dropped: {reason}": count for reason, count in tuple(health.discarded.items())}
    values["dropped: work failed"] = health.errors
    dropped = sum((*report.dropped.values(), *health.discarded.values())) + worker.replaced + health.errors
    told = f"{report.complete} complete, {dropped} dropped"
    apart, newest_us = report.last_apart, feed.synchronizer.newest_us(feed.synchronizer.config.reference_camera)
    if apart is None or newest_us is None or newest_us - apart.time_us > _TOLD_S * US_PER_S:
        return Finding("synchronizer", Level.OK, told, values)
    limit_s = feed.synchronizer.config.camera_tolerance_s
    reason = (
        f"{told}; the nearest picture of {apart.camera} is {1e3 * apart.skew_s:+.0f} ms from t0, beyond "
        f"sync.camera_tolerance_s = {limit_s}: cameras that run freely need half their period"
    )
    return Finding("synchronizer", Level.WARN, reason, values)


def backend_finding(state: BackendState) -> Finding:
    """What computes the networks, and what was lost where it is not what was wanted."""
    values: dict[str, object] = {"wanted": state.wanted, "used": state.used, "fallbacks": state.fallbacks}
    if state.lost:
        return Finding("backend", Level.WARN, f"{state.used} instead of {state.wanted}: {state.lost}", values)
    return Finding("backend", Level.OK, state.used, values)


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
    values |= {f"guard: {kind.value}": health.interventions[kind] for kind in Intervention if kind.value}
    values["contact_s"] = health.last_contact_s
    jumps = np.array(tuple(health.jumps_m)) if health.jumps_m else np.full(1, math.nan)
    values |= {"jump_p95_m": float(np.percentile(jumps, 95.0)), "jump_max_m": float(jumps.max())}
    values |= {f"skew_s: {reading}": skew for reading, skew in skew_s.items()}
    if health.last_t0_us is None:
        return Finding("planner", Level.WARN, f"{name}: no plan yet", values)
    if health.last_failed:
        instead = health.last_intervention.value
        return Finding("planner", Level.ERROR, f"{name} failed, {instead}: {health.last_reason}", values)
    if health.last_reason:
        return Finding("planner", Level.WARN, f"{name}, {health.last_intervention.value}: {health.last_reason}", values)
    return Finding("planner", Level.OK, name, values)
