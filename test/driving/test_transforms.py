import math
from types import SimpleNamespace as Box

import numpy as np
import pytest

from pair_drive_core.driving.messages import MessageError, TransformTree
from pair_drive_core.driving.planner_settings import PlannerKind, PlannerSettings
from pair_drive_core.driving.sensor_feed import Extrinsics

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
