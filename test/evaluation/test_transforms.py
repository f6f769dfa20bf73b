import dataclasses
import math
from types import SimpleNamespace as Box

import numpy as np
import pytest

from pair_drive_core.driving.messages import MessageError, TransformTree
from pair_drive_core.driving.planner_settings import PlannerKind, PlannerSettings
from pair_drive_core.driving.sensor_feed import Extrinsics, SensorMounts
from pair_drive_core.evaluation.bag_evaluation import evaluate_bag
from pair_drive_core.evaluation.bag_reader import BagError, open_bag
from pair_drive_core.town import navsim_calibration

TF = PlannerSettings(planner=PlannerKind.CONSTANT_VELOCITY, extrinsics=Extrinsics.TF)


def transform(parent, child, xyz=(0.0, 0.0, 0.0), quaternion=(0.0, 0.0, 0.0, 1.0)):
    translation = Box(**dict(zip("xyz", xyz, strict=True)))
    rotation = Box(**dict(zip("xyzw", quaternion, strict=True)))
    return Box(
        header=Box(frame_id=parent), child_frame_id=child, transform=Box(translation=translation, rotation=rotation)
    )


def tree(*transforms):
    found = TransformTree()
    found.add(Box(transforms=transforms))
    return found


def turned(yaw):
    return (0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))


def test_transforms_are_chained_up_and_down_the_tree():
    frames = tree(
        transform("map", "base_link", (100.0, 50.0, 0.0), turned(math.pi / 2)),
        transform("base_link", "roof", (1.0, 0.0, 2.0)),
        transform("roof", "lidar", (0.0, 0.5, 0.0), turned(math.pi)),
    )
    moved = frames.lookup("base_link", "lidar") @ [3.0, 1.0, 0.0, 1.0]
    np.testing.assert_allclose(moved[:3], [-2.0, -0.5, 2.0], atol=1e-12)
    back = frames.lookup("lidar", "base_link") @ moved
    np.testing.assert_allclose(back[:3], [3.0, 1.0, 0.0], atol=1e-12)
    in_map = frames.lookup("map", "lidar") @ [3.0, 1.0, 0.0, 1.0]
    np.testing.assert_allclose(in_map[:3], [100.5, 48.0, 2.0], atol=1e-12)


def test_siblings_are_connected_through_their_parent():
    frames = tree(transform("base_link", "a", (1.0, 0, 0)), transform("base_link", "b", (0, 1.0, 0)))
    np.testing.assert_allclose(frames.lookup("a", "b")[:3, 3], [-1.0, 1.0, 0.0])


def test_frames_that_are_not_connected_have_no_transform_even_in_a_circle():
    frames = tree(transform("a", "b"), transform("b", "a"), transform("c", "d"))
    assert frames.lookup("c", "b") is None
    np.testing.assert_allclose(frames.lookup("d", "d"), np.eye(4))


def test_a_newer_transform_replaces_the_older():
    frames = tree(transform("base_link", "lidar", (1.0, 0, 0)))
    frames.add(Box(transforms=[transform("/base_link", "/lidar", (2.0, 0, 0))]))
    assert frames.lookup("base_link", "lidar")[0, 3] == 2.0


@pytest.mark.parametrize(
    "broken", [transform("a", "b", quaternion=(0, 0, 0, 0)), transform("a", "b", (math.nan, 0, 0))]
)
def test_transforms_that_are_none_are_refused(broken):
    with pytest.raises(MessageError, match="transform of 'b'"):
        tree(broken)


def with_transforms(recording, mount_of):
    """A change of a recording that names a frame for each camera and puts transforms at its start."""

    def change(messages):
        store = recording.store.types
        entries = []
        changed = []
        for topic, kind, time_us, message in messages:
            if topic.endswith("camera_info"):
                frame = topic.strip("/").replace("/", "_")
                header = dataclasses.replace(message.header, frame_id=frame)
                message = dataclasses.replace(message, header=header)
            changed.append((topic, kind, time_us, message))
        for name, topic in (("CAM_L0", "front_left"), ("CAM_F0", "front"), ("CAM_R0", "front_right")):
            rotation, (x, y, z) = mount_of(name)
            entries.append(
                store["geometry_msgs/msg/TransformStamped"](
                    header=recording.header(0, "base_link"),
                    child_frame_id=f"camera_{topic}_camera_info",
                    transform=store["geometry_msgs/msg/Transform"](
                        translation=store["geometry_msgs/msg/Vector3"](x=x, y=y, z=z),
                        rotation=store["geometry_msgs/msg/Quaternion"](**rotation),
                    ),
                )
            )
        kind = "tf2_msgs/msg/TFMessage"
        first = ("/tf_static", kind, changed[0][2], store[kind](transforms=entries))
        return [first, *changed]

    return change


def quaternion_of(matrix):
    w = 0.5 * math.sqrt(1.0 + np.trace(matrix))
    x, y, z = ((matrix[i, j] - matrix[j, i]) / (4 * w) for i, j in ((2, 1), (0, 2), (1, 0)))
    return {"x": x, "y": y, "z": z, "w": w}


def town_mount(name):
    calibration = navsim_calibration(name)
    return quaternion_of(calibration.ego_r_camera), calibration.ego_t_camera.tolist()


def test_cameras_placed_by_transforms_are_where_parameters_would_put_them(town_recording, tmp_path):
    bag = town_recording.write(tmp_path / "bag", change=with_transforms(town_recording, town_mount))
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
    bag = town_recording.write(tmp_path / "bag", change=with_transforms(town_recording, town_mount))
    report, _ = evaluate_bag(bag, TF)
    assert report.dropped == 0
