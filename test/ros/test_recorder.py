"""The recorder in a process of its own: what was published is in the bag, readable without ROS."""

import re
import signal

from pair_drive_core.evaluation.bag_reader import open_bag


def test_what_was_published_is_in_the_bag_with_its_definitions(peer, start_process, tmp_path):
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
    from std_msgs.msg import String

    from pair_drive_ros.msg import PlannedTrajectory, TrajectoryPoint

    best_effort = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    plans = peer.node.create_publisher(PlannedTrajectory, "planning/trajectory", best_effort)
    texts = peer.node.create_publisher(String, "late/text", latched)
    texts.publish(String(data="said before anybody listened"))
    bag = tmp_path / "bag"
    topics = "['/planning/trajectory', '/late/text']"
    options = ("--ros-args", "-p", f"output:={bag}", "-p", f"topics:={topics}")
    recorder = start_process("-m", "pair_drive_ros.nodes.bag_recorder_node", *options)
    assert peer.spin_until(lambda: plans.get_subscription_count() and texts.get_subscription_count(), 90)
    peer.spin_for(0.3)
    for number in range(5):
        plan = PlannedTrajectory(planner=f"number {number}", points=[TrajectoryPoint()] * number)
        plans.publish(plan)
        peer.spin_for(0.05)
    peer.spin_for(0.3)
    assert not bag.exists(), "a recording appears when it is complete"
    recorder.send_signal(signal.SIGINT)
    assert recorder.wait(30) == 0, recorder.log_path.read_text()
    with open_bag(bag) as recording:
        messages = list(recording.messages({"/planning/trajectory", "/late/text"}))
    assert [m.message.data for m in messages if m.topic == "/late/text"] == ["said before anybody listened"]
    recorded = [m.message for m in messages if m.topic == "/planning/trajectory"]
    assert [(m.planner, len(m.points)) for m in recorded] == [(f"number {n}", n) for n in range(5)]
    assert recorded[0].FALLBACK == PlannedTrajectory.FALLBACK
    assert [path.name for path in tmp_path.iterdir() if "bag" in path.name] == ["bag"], "nothing else is left"


def test_an_existing_recording_is_not_overwritten(ros_domain, start_process, tmp_path):
    (tmp_path / "bag").mkdir()
    options = ("--ros-args", "-p", f"output:={tmp_path / 'bag'}")
    recorder = start_process("-m", "pair_drive_ros.nodes.bag_recorder_node", *options)
    assert recorder.wait(90) == 2
    assert "expected a new folder" in recorder.log_path.read_text()


def test_what_the_middleware_could_not_keep_is_counted(peer, start_process, tmp_path):
    from std_msgs.msg import String

    texts = peer.node.create_publisher(String, "fast/text", 1)
    options = ("--ros-args", "-p", f"output:={tmp_path / 'bag'}", "-p", "topics:=['/fast/text']")
    recorder = start_process("-m", "pair_drive_ros.nodes.bag_recorder_node", *options)
    assert peer.spin_until(lambda: texts.get_subscription_count(), 90)
    peer.spin_for(0.3)
    recorder.send_signal(signal.SIGSTOP)
    for number in range(2000):
        texts.publish(String(data=f"{number} " + 1000 * "x"))
    recorder.send_signal(signal.SIGCONT)
    peer.spin_for(1.0)
    texts.publish(String(data="last"))
    peer.spin_for(1.0)
    recorder.send_signal(signal.SIGINT)
    assert recorder.wait(30) == 0, recorder.log_path.read_text()
    with open_bag(tmp_path / "bag") as recording:
        kept = [m.message.data for m in recording.messages({"/fast/text"})]
    assert kept[-1] == "last"
    told = re.search(r"recorded (\d+) messages; lost (\d+) of /fast/text", recorder.log_path.read_text())
    assert told is not None, recorder.log_path.read_text()
    assert int(told[1]) == len(kept)
    assert 0 < int(told[2]) <= 2001 - len(kept)
