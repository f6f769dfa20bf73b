"""The planner node in a process of its own, over DDS."""

import math
import signal

import pytest

from pair_drive_core.driving.messages.images import image_rgb, to_compressed_image
from pair_drive_core.driving.topics import CAMERA_TOPICS
from pair_drive_core.scene import CameraImage


def nanoseconds(stamp):
    return stamp.sec * 10**9 + stamp.nanosec


def test_plans_carry_the_sensors_time_and_the_odometrys_frame(planner_process, rig, peer):
    from diagnostic_msgs.msg import DiagnosticStatus
    from nav_msgs.msg import Path
    from visualization_msgs.msg import MarkerArray

    planner_process.start()
    paths = peer.collect(Path, "planning/path")
    markers = peer.collect(MarkerArray, "planning/markers")
    rig.wait_for_planner()
    sent = []

    def publish():
        sent.append(rig.now_us())
        rig.publish(sent[-1])

    for _ in range(10):
        publish()
        peer.spin_for(0.1)
    assert peer.spin_until(lambda: len(planner_process.plans) >= 5, 20)
    plan = planner_process.plans[-1]
    assert nanoseconds(plan.header.stamp) // 1000 in sent, "the stamp is a sensor time, not the time of publication"
    assert plan.header.frame_id == "odom"
    assert [nanoseconds(point.time_from_start) for point in plan.points] == [i * 500_000_000 for i in range(9)]
    start = rig.speed * (nanoseconds(plan.header.stamp) // 1000 % 10**9) * 1e-6
    xs = [point.pose.position.x - start for point in plan.points]
    assert xs == pytest.approx([2.5 * i for i in range(9)], abs=1e-3), "it starts at the ego at t0"
    assert plan.points[0].longitudinal_velocity_mps == pytest.approx(5.0)
    assert math.isnan(plan.score) and plan.planner == "constant_velocity"
    assert 0 < nanoseconds(plan.age) < 400_000_000 and nanoseconds(plan.compute_time) > 0
    assert peer.spin_until(lambda: paths and markers, 20)
    assert len(paths[-1].poses) == 9
    assert {marker.ns for marker in markers[-1].markers} >= {"plan"}
    assert peer.spin_until(lambda: planner_process.findings().get("planner", (9,))[0] == 0, 20)
    findings = planner_process.findings()
    assert findings["lifecycle"] == (DiagnosticStatus.OK[0], "active")
    values = planner_process.values("planner")
    assert float(values["compute_p99_ms"]) >= float(values["compute_p50_ms"]) > 0
    planner_process.process.send_signal(signal.SIGTERM)
    assert planner_process.process.wait(30) == 0, planner_process.output()


def test_the_lifecycle_is_walked_and_an_inactive_node_publishes_nothing(planner_process, rig, peer):
    planner_process.start(autostart=False)
    assert planner_process.state() == "unconfigured"
    assert planner_process.transition("configure")
    assert planner_process.state() == "inactive"
    rig.stream(0.5)
    assert planner_process.plans == []
    for _ in range(3):
        assert planner_process.transition("activate")
        before = len(planner_process.plans)
        assert rig.stream_until(lambda n=before: len(planner_process.plans) > n, 20) is not None
        assert planner_process.transition("deactivate")
        peer.spin_for(0.2)
        count = len(planner_process.plans)
        rig.stream(0.3)
        assert len(planner_process.plans) == count
    assert planner_process.transition("cleanup")
    assert planner_process.state() == "unconfigured"
    assert planner_process.transition("unconfigured_shutdown")
    assert planner_process.state() == "finalized"


def test_compressed_pictures_and_other_topic_names(planner_process, rig, peer):
    from sensor_msgs.msg import CompressedImage

    remap = "odometry:=/vehicle/odometry"
    planner_process.start(remap, "planning/trajectory:=/planning/trajectory", image_transport="compressed")
    publishers = {
        name: peer.node.create_publisher(CompressedImage, f"{namespace}/image_raw/compressed", 10)
        for name, namespace in CAMERA_TOPICS.items()
    }
    rig._publishers["odometry"] = peer.node.create_publisher(
        type(rig._messages(0)["odometry"]), "/vehicle/odometry", 10
    )
    heard = lambda: all(p.get_subscription_count() for p in publishers.values())  # noqa: E731
    assert peer.spin_until(heard, 90)

    def compress(name):
        from pair_drive_ros.message_types import ros_message

        def send(message):

            picture = CameraImage(None, image_rgb(message), rig_time[0])
            publishers[name].publish(to_compressed_image(ros_message, picture, "optical", "png"))
            return message

        return send

    rig_time = [0]
    end = 40
    while not planner_process.plans and end:
        rig_time[0] = rig.now_us()
        rig.publish(rig_time[0], **{name: compress(name) for name in CAMERA_TOPICS})
        peer.spin_for(0.1)
        end -= 1
    assert planner_process.plans
    planner_process.process.send_signal(signal.SIGINT)
    assert planner_process.process.wait(30) == 0, planner_process.output()


def test_help_is_told_without_starting_a_node(start_process):
    process = start_process("-m", "pair_drive_ros.nodes.planner_node", "--help")
    assert process.wait(60) == 0
    text = process.log_path.read_text()
    assert "usage: planner_node" in text and "stale_after_s (0.25): " in text
