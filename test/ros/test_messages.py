"""Messages out of the data model and back, through real serialisation."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pair_drive_core.driving.findings import Finding, Level
from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.driving.messages import MessageError, TransformTree, bag_messages, mount_rotation
from pair_drive_core.driving.messages.camera_info import to_camera_info
from pair_drive_core.driving.messages.candidates import to_candidates, to_markers
from pair_drive_core.driving.messages.commands import to_driving_command
from pair_drive_core.driving.messages.diagnostics import to_diagnostics
from pair_drive_core.driving.messages.images import to_compressed_image, to_image
from pair_drive_core.driving.messages.odometry import to_acceleration, to_odometry
from pair_drive_core.driving.messages.point_clouds import to_point_cloud
from pair_drive_core.driving.messages.scores import METRIC_NUMBERS, to_pdm_score
from pair_drive_core.driving.messages.stamps import to_duration
from pair_drive_core.driving.messages.trajectories import SOURCE_NUMBERS, timed_plan, to_path, to_planned_trajectory
from pair_drive_core.driving.messages.transforms import to_camera_transform, to_ego_transform
from pair_drive_core.driving.sensor_feed import SensorFeed, SensorMounts
from pair_drive_core.driving.synchronizer import SynchronizerConfig
from pair_drive_core.driving.topics import CAMERA_TOPICS, INPUT_TOPICS, InputKind
from pair_drive_core.geometry import relative_se2
from pair_drive_core.planning.plan import CandidateTrajectories, Plan, PlanSource
from pair_drive_core.scene import (
    CameraCalibration,
    CameraImage,
    DrivingCommand,
    EgoStatus,
    LidarSweep,
)
from pair_drive_core.scoring import Metric

T0 = 12_345_678
RNG = np.random.default_rng(1)


def picture(name):
    intrinsics = np.array([[20.0, 0, 16.0], [0, 20.0, 9.0], [0, 0, 1]])
    calibration = CameraCalibration(name, 32, 18, intrinsics, np.eye(3), np.zeros(3), np.arange(5) * 0.01)
    return CameraImage(calibration, RNG.integers(0, 256, (18, 32, 3), dtype=np.uint8), T0)


STATUS = EgoStatus(T0, np.array([10.0, -5.0, 2.5]), np.array([7.0, 0.1]), np.array([0.5, -0.2]), DrivingCommand.LEFT)
PICTURES = {name: picture(name) for name in CAMERA_TOPICS}
SWEEP = LidarSweep(RNG.random((50, 4), dtype=np.float32), T0)


def input_messages(make):
    """One moment as messages, by topic."""
    messages = {
        "odometry": to_odometry(make, STATUS, 0.2, "odom", "base_link"),
        "acceleration": to_acceleration(make, STATUS, "base_link"),
        "driving_command": to_driving_command(make, STATUS.command, T0, "base_link"),
        "lidar/points": to_point_cloud(make, SWEEP, "base_link"),
    }
    for name, image in PICTURES.items():
        messages[f"{CAMERA_TOPICS[name]}/camera_info"] = to_camera_info(make, image.calibration, T0, "optical")
        messages[f"{CAMERA_TOPICS[name]}/image_raw"] = to_image(make, image, "optical")
    return messages


def fed(messages):
    feed = SensorFeed(SynchronizerConfig(), SensorMounts())
    for topic, message in messages.items():
        feed.receive(topic, message)
    assert feed.report.last_error == {}
    (readings,) = feed.take()
    return feed.decode(readings)


@pytest.fixture
def ros():
    from pair_drive_ros.message_types import ros_message

    return ros_message


def cdr(message):
    from rclpy.serialization import serialize_message

    return serialize_message(message)


def through_rclpy(message):
    from rclpy.serialization import deserialize_message

    return deserialize_message(cdr(message), type(message))


@pytest.mark.parametrize("reader", ["rclpy", "rosbags"])
def test_live_topics_and_bags_give_the_planner_the_same_input_as_the_sensors(reader, ros, bag_types):
    def read(topic, message):
        if reader == "rclpy":
            return through_rclpy(message)
        return bag_types.deserialize_cdr(cdr(message), INPUT_TOPICS[topic].kind.value)

    agent_input = fed({topic: read(topic, message) for topic, message in input_messages(ros).items()})
    for name, image in PICTURES.items():
        np.testing.assert_array_equal(agent_input.cameras[name].rgb, image.rgb)
        np.testing.assert_array_equal(agent_input.cameras[name].calibration.intrinsics, image.calibration.intrinsics)
        np.testing.assert_array_equal(agent_input.cameras[name].calibration.distortion, image.calibration.distortion)
        assert agent_input.cameras[name].time_us == T0
    np.testing.assert_array_equal(agent_input.lidar.points, SWEEP.points)
    np.testing.assert_allclose(agent_input.now.pose, STATUS.pose, atol=1e-12)
    np.testing.assert_array_equal(agent_input.now.velocity, STATUS.velocity)
    np.testing.assert_array_equal(agent_input.now.acceleration, STATUS.acceleration)
    assert (agent_input.now.time_us, agent_input.now.command) == (T0, DrivingCommand.LEFT)


def outputs(make):
    """One of each message that the nodes write, beside the inputs."""
    result = planned("why")
    plan = to_planned_trajectory(make, result, STATUS, "odom", 0.125, "pair")
    leaves = to_candidates(make, result.plan.candidates, STATUS, "odom", 0.5)
    scores = SimpleNamespace(
        metric=Metric.V1, names=("NC", "EP"), sub=torch.tensor([[[1.0, 0.5]]]), total=torch.tensor([[0.75]])
    )
    picture = next(iter(PICTURES.values()))
    return {
        "pair_drive_ros/msg/PlannedTrajectory": plan,
        "pair_drive_ros/msg/CandidateTrajectories": leaves,
        "pair_drive_ros/msg/PdmScore": to_pdm_score(make, scores, T0, "odom"),
        "nav_msgs/msg/Path": to_path(make, plan),
        "visualization_msgs/msg/MarkerArray": to_markers(make, plan, leaves),
        "geometry_msgs/msg/TransformStamped": to_camera_transform(make, picture.calibration, T0, "base", "optical"),
        "sensor_msgs/msg/CompressedImage": to_compressed_image(make, picture, "optical", "png"),
        "diagnostic_msgs/msg/DiagnosticArray": to_diagnostics(
            make, [Finding("lidar", Level.ERROR, "stale", {"age_s": 0.5})], "planner", T0
        ),
    }


def test_a_bag_written_without_ros_holds_what_a_node_would_publish(ros, bag_types):
    bag = bag_messages(bag_types)
    live = {INPUT_TOPICS[topic].kind.value: message for topic, message in input_messages(ros).items()} | outputs(ros)
    kept = {INPUT_TOPICS[topic].kind.value: message for topic, message in input_messages(bag).items()} | outputs(bag)
    for kind, message in live.items():
        # Read and written again, since rclpy leaves the bytes between two fields to chance.
        published = bag_types.deserialize_cdr(cdr(message), kind)
        assert bag_types.serialize_cdr(kept[kind], kind) == bag_types.serialize_cdr(published, kind), kind


def test_numbers_of_sources_and_metrics_are_the_messages_constants():
    from pair_drive_ros.msg import PdmScore, PlannedTrajectory

    assert {source.name: number for source, number in SOURCE_NUMBERS.items()} == {
        name: getattr(PlannedTrajectory, name) for name in ("IMITATION", "REINFORCEMENT", "FALLBACK")
    }
    assert {metric.name: number for metric, number in METRIC_NUMBERS.items()} == {"V1": PdmScore.V1, "V2": PdmScore.V2}


def test_every_input_topic_has_its_message_type(ros):
    from pair_drive_ros.message_types import message_type

    messages = input_messages(ros)
    for topic, entry in INPUT_TOPICS.items():
        if entry.kind not in (InputKind.COMPRESSED_IMAGE, InputKind.TRANSFORMS):
            assert isinstance(messages[topic], message_type(entry.kind.value)), topic


def test_a_missing_message_package_is_named():
    from pair_drive_ros.message_types import message_type

    with pytest.raises(ModuleNotFoundError, match="expected the ROS package 'no_such_msgs' to be installed"):
        message_type("no_such_msgs/msg/Thing")


def planned(reason=""):
    poses = torch.zeros(8, 3)
    poses[:, 0] = torch.arange(1, 9) * 3.5
    poses[:, 2] = torch.arange(1, 9) * 0.05
    leaves = CandidateTrajectories(
        poses=torch.stack((poses, poses * 0.5)),
        intentions=torch.tensor([[0, 0], [4, 1]]),
        log_prob=torch.tensor([0.0, -1.5]),
        reward=torch.tensor([0.75, 0.25]),
        confidence=torch.tensor([1.0, 0.5]),
        sub_scores=torch.tensor([[1.0, 0.5], [0.25, 0.0]]),
        sub_score_names=("NC", "EP"),
        imitation_index=0,
    )
    return GuardedPlan(Plan(poses, PlanSource.IMITATION, 0.75, 1.0, leaves), reason, bool(reason), 0.025)


def test_a_plan_is_published_in_the_odometrys_frame_and_comes_back_as_it_was(ros):
    message = through_rclpy(to_planned_trajectory(ros, planned("why"), STATUS, "odom", 0.125, "pair"))
    assert (message.header.frame_id, message.header.stamp.sec, message.header.stamp.nanosec) == ("odom", 12, 345678000)
    assert (message.source, message.score, message.planner, message.reason) == (message.IMITATION, 0.75, "pair", "why")
    assert (message.compute_time.nanosec, message.age.nanosec) == (25_000_000, 125_000_000)
    plan = timed_plan(message)
    assert (plan.start_us, plan.time_s.tolist()) == (T0, [0.5 * i for i in range(9)])
    local = relative_se2(torch.tensor(STATUS.pose), torch.from_numpy(plan.poses))
    np.testing.assert_allclose(local[1:], planned().plan.poses, atol=1e-6)
    np.testing.assert_allclose(local[0], np.zeros(3), atol=1e-9)
    assert message.points[0].longitudinal_velocity_mps == pytest.approx(7.0), "the ego's own speed comes first"
    assert message.points[4].heading_rate_rps == pytest.approx(0.1)
    path = to_path(ros, message)
    assert [(pose.header.stamp.sec, pose.header.stamp.nanosec) for pose in path.poses[:3]] == [
        (12, 345678000),
        (12, 845678000),
        (13, 345678000),
    ]


@pytest.mark.parametrize("fault", ["none", "time", "nan"])
def test_a_plan_that_cannot_be_followed_is_refused(fault, ros):
    message = to_planned_trajectory(ros, planned(), STATUS, "odom", 0.0, "pair")
    if fault == "none":
        message.points = []
    elif fault == "time":
        message.points[3].time_from_start = message.points[2].time_from_start
    else:
        message.points[3].pose.position.y = math.nan
    with pytest.raises(MessageError, match="planned trajectory: "):
        timed_plan(message)


def test_all_leaves_are_published_with_intentions_and_scores(ros):
    result = planned()
    message = through_rclpy(to_candidates(ros, result.plan.candidates, STATUS, "odom", 0.5))
    assert (len(message.candidates), message.imitation_index, message.sub_score_names) == (2, 0, ["NC", "EP"])
    leaf = message.candidates[1]
    assert (list(leaf.intentions), leaf.log_prob, leaf.reward, leaf.confidence) == ([4, 1], -1.5, 0.25, 0.5)
    assert list(leaf.sub_scores) == [0.25, 0.0]
    plan = to_planned_trajectory(ros, result, STATUS, "odom", 0.0, "pair")
    # Leaf 0 is the plan: the same poses in the same frame.
    for pose, point in zip(message.candidates[0].poses, plan.points[1:], strict=True):
        assert (pose.position.x, pose.position.y) == pytest.approx((point.pose.position.x, point.pose.position.y))
    markers = to_markers(ros, plan, message).markers
    assert [(marker.ns, marker.id) for marker in markers] == [("", 0), ("tree", 0), ("tree", 1), ("plan", 0)]
    assert markers[2].color.r > markers[1].color.r, "a low predicted score is red"


def test_negative_durations_are_floored_as_the_message_demands(ros):
    duration = to_duration(ros, -0.25)
    assert (duration.sec, duration.nanosec) == (-1, 750_000_000)


def test_diagnostics_carry_levels_and_readable_numbers(ros):
    findings = [Finding("lidar", Level.ERROR, "stale", {"age_s": 0.31234, "count": 3})]
    (status,) = to_diagnostics(ros, findings, "planner", T0).status
    assert (status.name, status.level, status.message) == ("planner: lidar", b"\x02", "stale")
    assert {entry.key: entry.value for entry in status.values} == {"age_s": "0.312", "count": "3"}


@pytest.mark.parametrize("yaw", [0.0, 55.0, -55.0, 110.0, 180.0])
def test_transforms_of_cameras_and_ego_come_back_as_they_were(yaw, ros):
    from types import SimpleNamespace

    body_r_optical = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    rotation = mount_rotation(0.0, 0.1, math.radians(yaw)) @ body_r_optical
    calibration = CameraCalibration("CAM_F0", 32, 18, np.eye(3), rotation, np.array([1.5, 0.4, 1.6]), np.zeros(5))
    camera = to_camera_transform(ros, calibration, T0, "base_link", "optical")
    frames = TransformTree()
    frames.add(SimpleNamespace(transforms=[camera, to_ego_transform(ros, STATUS, "odom", "base_link")]))
    pose = frames.lookup("base_link", "optical")
    np.testing.assert_allclose(pose[:3, :3], rotation, atol=1e-9)
    np.testing.assert_allclose(pose[:3, 3], [1.5, 0.4, 1.6])
    np.testing.assert_allclose(frames.lookup("odom", "base_link")[:2, 3], STATUS.pose[:2])
