"""Recordings whose cameras are placed by transforms."""

import dataclasses

import numpy as np
import pytest

from pair_drive_core.driving.messages import bag_messages
from pair_drive_core.driving.messages.transforms import to_camera_transform, to_transforms
from pair_drive_core.driving.planner_settings import PlannerKind, PlannerSettings
from pair_drive_core.driving.sensor_feed import Extrinsics, SensorMounts
from pair_drive_core.driving.topics import CAMERA_TOPICS
from pair_drive_core.evaluation.bag_evaluation import evaluate_bag
from pair_drive_core.evaluation.bag_reader import BagError, open_bag
from pair_drive_core.town import navsim_calibration

TF = PlannerSettings(planner=PlannerKind.CONSTANT_VELOCITY, extrinsics=Extrinsics.TF)


def with_transforms(recording):
    """A change of a recording that names a frame for each camera and puts transforms at its start."""
    make = bag_messages(recording.store)

    def change(messages):
        changed = []
        for topic, kind, time_us, message in messages:
            if topic.endswith("camera_info"):
                header = dataclasses.replace(message.header, frame_id=topic.strip("/").replace("/", "_"))
                message = dataclasses.replace(message, header=header)
            changed.append((topic, kind, time_us, message))
        entries = [
            to_camera_transform(
                make, navsim_calibration(name), 0, "base_link", f"{topic.replace('/', '_')}_camera_info"
            )
            for name, topic in CAMERA_TOPICS.items()
        ]
        return [("/tf_static", "tf2_msgs/msg/TFMessage", changed[0][2], to_transforms(make, entries)), *changed]

    return change


def test_cameras_placed_by_transforms_are_where_parameters_would_put_them(town_recording, tmp_path):
    bag = town_recording.write(tmp_path / "bag", change=with_transforms(town_recording))
    wrong = dataclasses.replace(TF, mount=SensorMounts(front=(9.0, 9.0, 9.0, 0.0, 0.0, 3.0)))
    feed = wrong.feed()
    with open_bag(bag) as recording:
        sets = []
        for message in recording.messages(set(recording.topics)):
            name = message.topic if message.topic.startswith("/tf") else message.topic.strip("/")
            if "ground_truth" not in name:
                feed.receive(name, message.message)
                sets += feed.take()
    calibration = feed.decode(sets[0]).cameras["CAM_F0"].calibration
    np.testing.assert_allclose(calibration.ego_r_camera, navsim_calibration("CAM_F0").ego_r_camera, atol=1e-9)
    np.testing.assert_allclose(calibration.ego_t_camera, navsim_calibration("CAM_F0").ego_t_camera, atol=1e-9)


def test_without_transforms_nothing_is_planned_and_the_frames_are_named(town_recording, tmp_path):
    with pytest.raises(BagError, match=r"no complete set .*no transform to base_link from optical"):
        evaluate_bag(town_recording.write(tmp_path / "bag"), TF)


def test_with_transforms_a_recording_is_evaluated(town_recording, tmp_path):
    bag = town_recording.write(tmp_path / "bag", change=with_transforms(town_recording))
    report, _ = evaluate_bag(bag, TF)
    assert report.dropped == 0
