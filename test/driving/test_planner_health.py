"""What a running planner says of itself, part by part, without a node."""

import math

import numpy as np
import pytest
import torch

from pair_drive_core.driving.ego_track import MotionSample
from pair_drive_core.driving.findings import Level
from pair_drive_core.driving.guarded_planner import GuardedPlan, Intervention
from pair_drive_core.driving.latency import Latencies
from pair_drive_core.driving.planner_health import (
    PlannerHealth,
    WorkerState,
    input_findings,
    output_finding,
    planner_finding,
    stale_streams,
    synchronizer_finding,
)
from pair_drive_core.driving.sensor_feed import Extrinsics, SensorFeed, SensorMounts
from pair_drive_core.driving.synchronizer import COMMAND, LIDAR, Apart, SynchronizerConfig
from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.scene import DrivingCommand

NOW = 100_000_000
S = 1_000_000
WELL = WorkerState(True, 0.0, 0)
CAMERAS = ("CAM_L0", "CAM_F0", "CAM_R0")
REQUIRED = (*CAMERAS, LIDAR, "odometry", COMMAND)


def result(source=PlanSource.IMITATION, **changes):
    return GuardedPlan(
        Plan(torch.zeros(8, 3), source, 0.5, 0.5), **{"reason": "", "failed": False, "compute_s": 0.02} | changes
    )


def output(health, worker=WELL, now_us=NOW):
    finding = output_finding(health, worker, now_us, age_limit_s=0.5, hang_s=2.0, startup_s=3.0)
    return finding.level, finding.message


def test_the_output_is_an_error_for_each_way_in_which_no_plan_comes():
    health = PlannerHealth()
    health.activate(NOW)
    assert output(health, now_us=NOW + 2 * S) == (Level.WARN, "no plan yet, 0 sets asked for")
    health.asked = 4
    assert output(health, now_us=NOW + 3 * S) == (Level.ERROR, "no plan yet, 4 sets asked for")
    health.record(result(), NOW, 0.1, 0.15)
    assert output(health, now_us=NOW + S // 2) == (Level.OK, "plans come")
    assert output(health, now_us=NOW + S) == (
        Level.ERROR,
        "the newest plan is 1.00 s old, limit 0.5 s (4 sets asked, 1 given)",
    )
    assert "hangs: 2.5 s on one set, limit 2.0 s" in output(health, WorkerState(True, 2.5, 0))[1]
    assert output(health, WorkerState(True, 2.0, 0))[0] is Level.OK
    assert "has ended" in output(health, WorkerState(False, 0.0, 0))[1]
    health.record_error("ValueError: x")
    assert output(health) == (Level.ERROR, "the newest set gave no plan: ValueError: x")
    health.record(result(), NOW, 0.1, 0.15)
    assert output(health)[0] is Level.OK and health.errors == 1
    health.record_error("ValueError: x")
    health.activate(NOW)
    assert output(health) == (Level.WARN, "no plan yet, 4 sets asked for"), "what was before does not count"


def test_the_output_counts_what_became_of_the_sets():
    health = PlannerHealth()
    health.asked = 5
    health.discarded["stale"] = 2
    health.record(result(), NOW - S // 4, 0.1, 0.15)
    values = output_finding(health, WorkerState(True, 0.1, 0), NOW, 0.5, 2.0, 3.0).values
    assert (values["asked"], values["given"], values["errors"], values["discarded: stale"]) == (5, 1, 0, 2)
    assert (values["thread_alive"], values["busy_s"], values["age_s"]) == (True, 0.1, 0.25)


def test_the_planner_tells_of_its_newest_plan_and_of_all_before():
    health = PlannerHealth()
    assert planner_finding(health, "pair", {}).level is Level.WARN
    assert math.isnan(planner_finding(health, "pair", {}).values["jump_max_m"])
    for jump in (0.5, 1.5, math.nan):
        health.record(result(jump_m=jump), NOW, 0.12, 0.05)
    found = planner_finding(health, "pair", {"lidar": -0.05})
    assert (found.level, found.message) == (Level.OK, "pair")
    assert found.values["plans: imitation"] == 3 and found.values["plan_age_s"] == 0.12
    assert found.values["compute_p50_ms"] == pytest.approx(20.0) and found.values["latency_p99_ms"] == pytest.approx(
        50.0
    )
    assert (found.values["jump_max_m"], found.values["jump_p95_m"]) == (1.5, pytest.approx(1.45))
    assert found.values["skew_s: lidar"] == -0.05 and found.values["contact_s"] == math.inf
    slowed = result(reason="something ahead", intervention=Intervention.SLOWED, contact_s=2.5)
    health.record(slowed, NOW, 0.1, 0.05)
    found = planner_finding(health, "pair", {})
    assert (found.level, found.message) == (Level.WARN, "pair, slowed: something ahead")
    assert (found.values["guard: slowed"], found.values["guard: hard stop"], found.values["contact_s"]) == (1, 0, 2.5)
    failed = result(PlanSource.FALLBACK, reason="ValueError: x", failed=True, intervention=Intervention.PREVIOUS)
    health.record(failed, NOW, 0.1, 0.05)
    found = planner_finding(health, "pair", {})
    assert (found.level, found.message) == (Level.ERROR, "pair failed, previous plan: ValueError: x")
    assert found.values["plans: fallback"] == 1


@pytest.fixture
def feed():
    """All required streams have come, NOW."""
    feed = SensorFeed(SynchronizerConfig(), SensorMounts())
    fill(feed, NOW)
    return feed


def fill(feed, time_us):
    for name in (*CAMERAS, LIDAR):
        feed.synchronizer.add_frame(name, time_us, None)
    feed.synchronizer.add_motion(MotionSample(time_us, np.zeros(3), np.zeros(2)))
    feed.synchronizer.add_command(time_us, DrivingCommand.STRAIGHT)


def inputs(feed, now_us, activated_us=NOW - 60 * S):
    health = PlannerHealth(activated_us=activated_us)
    found = input_findings(feed, health, now_us, 0.25, 3.0, {"lidar": "/roof/points"})
    return {finding.part: finding for finding in found}


def test_inputs_are_fresh_then_stale_and_never_of_the_future(feed):
    found = inputs(feed, NOW + S // 4)
    assert all(found[f"input {name}"].level is Level.OK for name in REQUIRED)
    assert found["input lidar"].values == {"age_s": 0.25, "topic": "/roof/points"}
    assert stale_streams(feed, NOW + S // 4, 0.25) == frozenset()
    found = inputs(feed, NOW + S // 2)
    levels = {name: found[f"input {name}"].level for name in REQUIRED}
    assert levels == dict.fromkeys(REQUIRED, Level.ERROR) | {COMMAND: Level.OK}, "a command holds longer"
    assert found["input lidar"].message == "stale: 0.50 s old, limit 0.25 s"
    assert stale_streams(feed, NOW + S // 2, 0.25) == {*REQUIRED} - {COMMAND}
    assert stale_streams(feed, NOW + 6 * S, 0.25) == {*REQUIRED}
    found = inputs(feed, NOW - S // 2)
    assert found["input CAM_F0"].level is Level.ERROR
    assert found["input CAM_F0"].message.startswith("stamped 0.50 s in the future: clocks differ")
    assert inputs(feed, NOW - S // 4)["input CAM_F0"].level is Level.OK


def test_what_has_not_come_is_a_warning_first_then_an_error():
    feed = SensorFeed(SynchronizerConfig(), SensorMounts())
    for activated_us, level in ((NOW - 2 * S, Level.WARN), (None, Level.WARN), (NOW - 3 * S, Level.ERROR)):
        found = inputs(feed, NOW, activated_us)
        assert {found[f"input {name}"].level for name in REQUIRED} == {level}
        assert found["input lidar"].message == "nothing received"
        assert (found["camera_info"].level, found["camera_info"].message) == (
            level,
            "waiting for camera_info of CAM_L0, CAM_F0, CAM_R0",
        )
        assert "transforms" not in found
    with_frames = SensorFeed(SynchronizerConfig(), SensorMounts(), Extrinsics.TF)
    with_frames._frames["lidar"] = "roof"
    found = inputs(with_frames, NOW)["transforms"]
    assert (found.level, found.message) == (Level.ERROR, "waiting for transforms to roof")
    assert inputs(with_frames, NOW, NOW)["transforms"].level is Level.WARN
    without = SensorFeed(SynchronizerConfig(with_lidar=False), SensorMounts())
    assert "input lidar" not in inputs(without, NOW)


def test_the_optional_acceleration_is_missed_only_once_it_has_come(feed):
    found = inputs(feed, NOW)["input acceleration"]
    assert (found.level, found.message) == (Level.OK, "not measured: taken from the change of the velocity")
    feed.synchronizer.add_acceleration(NOW, np.zeros(2))
    assert inputs(feed, NOW + S // 4)["input acceleration"].message == "fresh"
    found = inputs(feed, NOW + S)["input acceleration"]
    assert (found.level, found.message) == (Level.WARN, "stale: 1.00 s old; taken from the change of the velocity")


def test_a_pose_that_jumped_is_told_for_a_second(feed):
    feed.odometry_check.last_jump_us, feed.odometry_check.last_jump_m, feed.odometry_check.jumps = NOW, 2.5, 1
    found = inputs(feed, NOW + S - 1)["odometry"]
    assert (found.level, found.values) == (Level.ERROR, {"jumps": 1})
    assert "jumped by 2.50 m" in found.message
    assert "odometry" not in inputs(feed, NOW + S)


def test_messages_that_cannot_be_used_are_errors_with_the_topic(feed):
    feed.report.last_error["lidar/points"] = "point cloud: no x"
    feed.report.unusable["lidar/points"] = 3
    found = inputs(feed, NOW)["messages on lidar/points"]
    assert (found.level, found.message, found.values) == (Level.ERROR, "point cloud: no x", {"unusable": 3})


def test_the_synchroniser_tells_what_was_dropped_and_why(feed):
    report, health = feed.synchronizer.report, PlannerHealth()
    report.complete, report.time_jumps = 7, 1
    report.dropped["no CAM_L0"], report.refused["lidar"], health.discarded["stale"] = 2, 4, 3
    report.received.clear()
    report.received["lidar"], health.errors = 9, 6
    found = synchronizer_finding(feed, health, WorkerState(True, 0.0, 5))
    assert found.message == "7 complete, 16 dropped"
    assert found.values == {
        "complete": 7,
        "time_jumps": 1,
        "dropped: no CAM_L0": 2,
        "received: lidar": 9,
        "refused: lidar": 4,
        "dropped: planner busy": 5,
        "dropped: stale": 3,
        "dropped: work failed": 6,
    }


def test_cameras_out_of_step_are_a_warning_while_it_lasts(feed):
    newest_us = feed.synchronizer.newest_us("CAM_F0")
    feed.synchronizer.report.last_apart = Apart(newest_us - S, "CAM_R0", -0.033)
    found = synchronizer_finding(feed, PlannerHealth(), WELL)
    assert found.level is Level.WARN
    assert "the nearest picture of CAM_R0 is -33 ms from t0, beyond sync.camera_tolerance_s = 0.03" in found.message
    feed.synchronizer.report.last_apart = Apart(newest_us - S - 1, "CAM_R0", -0.033)
    assert synchronizer_finding(feed, PlannerHealth(), WELL).level is Level.OK


def test_latencies_are_those_of_the_last_plans():
    latencies = Latencies(capacity=100)
    summary = latencies.summary()
    assert summary.count == 0 and all(map(math.isnan, (summary.p50_ms, summary.p99_ms, summary.max_ms)))
    for number in range(1, 202):
        latencies.add(number / 1000.0)
    summary = latencies.summary()
    assert (summary.count, summary.max_ms) == (100, pytest.approx(201.0))
    assert (summary.p50_ms, summary.p99_ms) == (pytest.approx(151.5), pytest.approx(200.01))
