"""A planner node whose networks fail while it runs (in this process, so that the test can make them fail)."""

import threading
import time

import pytest
import torch

from pair_drive_core.driving.messages import stamp_us

ERROR, OK = 2, 0


class Exploding:
    """A planner that fails as devices do."""

    name = "exploding"

    def plan(self, agent_input):
        raise torch.OutOfMemoryError("tried to allocate 2.00 GiB")


@pytest.fixture
def node(peer):
    """A planner node beside the test's own, turned by the same executor."""
    from rclpy.parameter import Parameter

    from pair_drive_ros.nodes.planner_node import PlannerNode

    overrides = [Parameter("planner", value="constant_velocity"), Parameter("stale_after_s", value=1.0)]
    overrides += [Parameter("plan_age_limit_s", value=2.0), Parameter("hang_after_s", value=0.5)]
    planner = PlannerNode(context=peer.context, parameter_overrides=overrides)
    peer._executor.add_node(planner)
    yield planner
    peer._executor.remove_node(planner)
    planner.close()


def test_out_of_memory_is_an_error_and_a_fallback_and_the_node_recovers(node, rig, peer):
    from diagnostic_msgs.msg import DiagnosticArray

    from pair_drive_ros.lifecycle import start
    from pair_drive_ros.msg import PlannedTrajectory

    plans = peer.collect(PlannedTrajectory, "planning/trajectory")
    diagnostics = peer.collect(DiagnosticArray, "/diagnostics", 50)

    def finding():
        found = [s for s in diagnostics[-1].status if s.name.endswith(": planner")] if diagnostics else []
        return (found[0].level[0], found[0].message) if found else (None, "")

    assert start(node)
    rig.wait_for_planner()
    assert rig.stream_until(lambda: finding()[0] == OK, 30) is not None
    good = node._planner._planner
    node._planner.replace(Exploding())
    assert rig.stream_until(lambda: finding()[0] == ERROR, 30) is not None
    assert "OutOfMemoryError: tried to allocate 2.00 GiB" in finding()[1]
    stopping = lambda: plans[-1].reason.startswith("comfortable stop: ")  # noqa: E731
    assert rig.stream_until(stopping, 30) is not None, "the last good plan is driven on only while it is fresh"
    fallback = plans[-1]
    assert fallback.source == PlannedTrajectory.FALLBACK and "OutOfMemoryError" in fallback.reason
    speeds = [point.longitudinal_velocity_mps for point in fallback.points]
    assert speeds[0] == pytest.approx(5.0) and speeds[-1] == pytest.approx(0.0, abs=0.01), "a stop from 5 m/s"
    assert speeds == sorted(speeds, reverse=True)
    node._planner.replace(good)
    assert rig.stream_until(lambda: finding()[0] == OK, 30) is not None
    assert plans[-1].reason == ""


class OddError(Exception):
    """What nobody expects."""


def test_whatever_the_work_on_a_set_raises_is_told_and_the_next_set_is_planned(node, rig, peer):
    from diagnostic_msgs.msg import DiagnosticArray

    from pair_drive_ros.lifecycle import start
    from pair_drive_ros.msg import PlannedTrajectory

    plans = peer.collect(PlannedTrajectory, "planning/trajectory")
    diagnostics = peer.collect(DiagnosticArray, "/diagnostics", 50)

    def output():
        found = [s for s in diagnostics[-1].status if s.name.endswith(": output")] if diagnostics else []
        return (found[0].level[0], found[0].message) if found else (None, "")

    assert start(node)
    rig.wait_for_planner()
    assert rig.stream_until(lambda: output()[0] == OK, 30) is not None
    decode = node._feed.decode

    def odd(readings):
        raise OddError("bits fell out")

    node._feed.decode = odd
    assert rig.stream_until(lambda: output() == (ERROR, "the newest set gave no plan: OddError: bits fell out"), 30)
    assert node._health.errors > 0
    node._feed.decode = decode
    count = len(plans)
    assert rig.stream_until(lambda: output()[0] == OK and len(plans) > count, 30) is not None

    gate = threading.Event()

    def hanging(readings):
        assert gate.wait(60)
        return decode(readings)

    node._feed.decode = hanging
    assert rig.stream_until(lambda: output()[0] == ERROR and "hangs" in output()[1], 30) is not None
    node._feed.decode = decode
    gate.set()
    assert rig.stream_until(lambda: output()[0] == OK, 30) is not None

    node._thread.stop()
    assert rig.stream_until(lambda: output()[0] == ERROR and "has ended" in output()[1], 30) is not None
    node.trigger_deactivate()
    node.trigger_activate()
    assert rig.stream_until(lambda: output()[0] == OK, 30) is not None, "activation begins anew"


def test_a_message_that_raises_what_nobody_expects_is_told_and_the_node_lives_on(node, peer):
    from pair_drive_ros.lifecycle import start

    assert start(node)
    for topic in ("odometry", "camera/front/image_raw", "lidar/points"):
        node._receive(topic, object())
        assert node._feed.report.last_error[topic].startswith("AttributeError: ")
        assert node._feed.report.unusable[topic] == 1
    peer.spin_for(0.1)


def test_a_plan_that_has_become_too_old_is_not_published(node, rig, peer):
    from pair_drive_ros.lifecycle import start
    from pair_drive_ros.msg import PlannedTrajectory

    plans = peer.collect(PlannedTrajectory, "planning/trajectory")
    assert start(node)
    rig.wait_for_planner()
    assert rig.stream_until(lambda: plans, 30) is not None
    decode = node._feed.decode

    def slow(readings):
        time.sleep(2.1)  # plan_age_limit_s is 2.0
        return decode(readings)

    node._feed.decode = slow
    too_old = lambda: node._health.discarded["too old when planned"]  # noqa: E731
    assert rig.stream_until(lambda: too_old() >= 2, 30) is not None
    given = {stamp_us(plan.header.stamp) for plan in plans}
    assert node._health.asked > len(given) and max(p.age.sec + 1e-9 * p.age.nanosec for p in plans) <= 2.0
    node._feed.decode = decode
    count = len(plans)
    assert rig.stream_until(lambda: len(plans) > count, 30) is not None


@pytest.mark.parametrize("what", ["the node's clock jumps", "the sensors' time jumps", "the node is activated anew"])
def test_what_was_asked_for_before_is_not_published_and_nothing_of_the_past_is_used(node, rig, peer, what):
    from pair_drive_ros.lifecycle import start
    from pair_drive_ros.msg import PlannedTrajectory

    plans = peer.collect(PlannedTrajectory, "planning/trajectory")
    assert start(node)
    rig.wait_for_planner()
    assert rig.stream_until(lambda: plans, 30) is not None
    decode, gate, held = node._feed.decode, threading.Event(), []

    def slow(readings):
        held.append(readings.time_us)
        assert gate.wait(60)
        return decode(readings)

    node._feed.decode = slow
    assert rig.stream_until(lambda: held, 30) is not None
    waiting = lambda: node._thread._waiting  # noqa: E731
    assert rig.stream_until(waiting, 30) is not None
    waited_us = waiting().readings.time_us
    epoch = node._epoch(node._feed)
    if what == "the node's clock jumps":
        node._on_clock_jump(None)
    elif what == "the sensors' time jumps":
        rig.publish(rig.now_us() - 30_000_000)
        assert peer.spin_until(lambda: node._feed.synchronizer.report.time_jumps, 20)
    else:
        threading.Timer(0.3, gate.set).start()
        node.trigger_deactivate()
        node.trigger_activate()
    if what != "the sensors' time jumps":
        assert node._feed.synchronizer.newest_us("CAM_F0") is None, "nothing of before is kept"
        assert waiting() is None, "nor a set that waits"
    assert node._epoch(node._feed) != epoch
    gate.set()
    peer.spin_for(0.5)
    node._feed.decode = decode
    assert waited_us not in held, "nor is what waited worked on"
    assert held[0] not in {stamp_us(plan.header.stamp) for plan in plans}
    count = len(plans)
    rig.wait_for_planner()
    assert rig.stream_until(lambda: len(plans) > count, 30) is not None


def test_readings_are_forgotten_when_the_clock_of_a_simulator_jumps_back(peer, rig):
    from rclpy.parameter import Parameter
    from rosgraph_msgs.msg import Clock

    from pair_drive_core.driving.messages.stamps import to_time
    from pair_drive_ros.lifecycle import start
    from pair_drive_ros.message_types import ros_message
    from pair_drive_ros.nodes.planner_node import PlannerNode

    overrides = [Parameter("planner", value="constant_velocity"), Parameter("use_sim_time", value=True)]
    node = PlannerNode(context=peer.context, parameter_overrides=overrides)
    peer._executor.add_node(node)
    clock = peer.node.create_publisher(Clock, "/clock", 10)

    def is_at(time_us):
        clock.publish(Clock(clock=to_time(ros_message, time_us)))
        return node._now_us() == time_us

    try:
        assert start(node)
        rig.wait_for_planner()
        assert peer.spin_until(lambda: is_at(100_000_000), 30)
        newest = lambda: node._feed.synchronizer.newest_us("CAM_F0")  # noqa: E731
        rig.publish(100_000_000)
        assert peer.spin_until(lambda: newest() == 100_000_000, 30)
        assert peer.spin_until(lambda: is_at(99_800_000), 30)
        assert newest() == 100_000_000, "a small step back is none"
        assert peer.spin_until(lambda: is_at(50_000_000), 30)
        assert peer.spin_until(lambda: newest() is None, 30)
    finally:
        peer._executor.remove_node(node)
        node.close()
