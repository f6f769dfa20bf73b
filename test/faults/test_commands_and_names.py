"""Commands as people send them by hand, names as systems with several vehicles have them, and an end in mid-work."""

import signal

import pytest

OK = 0


def test_a_command_from_before_the_start_or_without_a_stamp_holds_and_is_no_jump_of_time(planner_process, rig, peer):
    """What `ros2 topic pub --qos-durability transient_local` leaves, and what plain `ros2 topic pub` sends."""
    from rclpy.qos import DurabilityPolicy, QoSProfile

    from pair_drive_ros.msg import DrivingCommand

    kept = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    peer.node.destroy_publisher(rig._publishers.pop("command"))
    latched = peer.node.create_publisher(DrivingCommand, "driving_command", kept)
    latched.publish(DrivingCommand(command=DrivingCommand.LEFT))
    planner = planner_process.start(extra={"sync.command_age_s": 2.0})
    rig.wait_for_planner()
    assert peer.spin_until(lambda: latched.get_subscription_count(), 60)
    messages = rig._messages
    rig._messages = lambda time_us: {name: m for name, m in messages(time_us).items() if name != "command"}
    assert rig.stream_until(lambda: planner.plans, 30) is not None, planner.findings()
    gone = lambda: planner.findings().get("input command", (OK,))[0] != OK  # noqa: E731
    assert rig.stream_until(gone, 30) is not None, "it holds for its time and no longer"
    plain = peer.node.create_publisher(DrivingCommand, "driving_command", 10)
    assert peer.spin_until(lambda: plain.get_subscription_count() >= 1, 30)
    rig.stream(0.3)
    count = len(planner.plans)
    plain.publish(DrivingCommand(command=DrivingCommand.RIGHT))
    assert rig.stream_until(lambda: len(planner.plans) > count, 30) is not None, planner.findings()
    assert planner.values("synchronizer")["time_jumps"] == "0"


def test_diagnostics_name_the_node_with_its_namespace_and_the_topics_as_they_are_on_the_wire(planner_process, peer):
    planner = planner_process.start("__ns:=/truck_7", "odometry:=/vehicle/odometry", startup_s=0.3)
    odometry = lambda: planner.findings().get("input odometry", (OK, ""))  # noqa: E731
    assert peer.spin_until(lambda: odometry()[1] == "nothing received", 60)
    newest = planner.diagnostics[-1]
    assert {status.name.split(": ")[0] for status in newest.status} == {"/truck_7/pair_drive_planner"}
    assert planner.values("input odometry")["topic"] == "/vehicle/odometry"
    assert planner.values("input CAM_F0")["topic"] == "/truck_7/camera/front/image_raw"
    said = lambda: "input CAM_F0: nothing received" in planner.output()  # noqa: E731
    assert peer.spin_until(said, 20), "the console says what is waited for"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_end_comes_in_the_middle_of_planning_without_a_traceback(planner_process, rig, number):
    planner = planner_process.start(planner="parallel", stale_after_s=2.0, extra={"plan_age_limit_s": 5.0})
    rig.wait_for_planner()
    assert rig.stream_until(lambda: planner.plans, 60) is not None
    rig.stream(0.3, period_s=0.02)
    rig.publish()
    planner.process.send_signal(number)
    assert planner.process.wait(30) == 0, planner.output()
    assert "Traceback" not in planner.output()
