"""Frames and map become a scene and an agent input."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from pair_drive_core.datasets.maps.map_index import MapIndex
from pair_drive_core.datasets.maps.map_tiles import MapTile
from pair_drive_core.datasets.navsim.log import NavsimLog
from pair_drive_core.datasets.navsim.log_file import read_log, write_log
from pair_drive_core.datasets.navsim.scenes import TIME_GAP, build_agent_input, build_scene, oddities
from pair_drive_core.datasets.quaternions import quaternion_to_matrix, quaternion_to_yaw, yaw_to_quaternion
from pair_drive_core.geometry import transform_points
from pair_drive_core.scene import DrivingCommand, ObjectType, SceneError


@pytest.fixture
def scene(town_log, town_index):
    return build_scene(town_log.frames[:14], town_index).validate()


def test_t0_is_the_last_frame_of_the_history(scene, town_log):
    assert scene.token == town_log.frames[3].token
    assert scene.time_us == town_log.frames[3].timestamp_us == int(scene.history.time_us[-1])
    assert torch.equal(scene.ego.pose, scene.history.pose[-1])
    np.testing.assert_array_equal(scene.ego.pose[:2].numpy(), town_log.frames[3].ego_translation[:2])
    assert float(scene.ego.pose[2]) == pytest.approx(0.02 * np.sin(3), abs=1e-15)


def test_the_official_loader_gives_neither_steering_nor_yaw_rate(scene):
    assert not scene.ego.to_vector()[7:].any()


def test_velocities_are_in_single_precision_as_the_official_loader_keeps_them(scene):
    assert float(scene.ego.velocity[1]) == float(np.float32(0.01))
    assert float(scene.ego.velocity[1]) != 0.01


def test_objects_are_turned_into_the_global_frame(scene, town_log):
    lead = scene.objects.tokens.index("track0")
    for k in range(11):
        frame = town_log.frames[3 + k]
        expected = [frame.ego_translation[0] + 25.0, frame.ego_translation[1], 0.0, 8.0, 0.0]
        np.testing.assert_allclose(scene.objects.states[k, lead].numpy(), expected, atol=1e-9)


def test_an_object_that_is_not_seen_is_absent_and_zero(scene):
    walker = scene.objects.tokens.index("track1")
    assert scene.objects.present[:, walker].tolist() == [k != 4 for k in range(11)]
    assert not scene.objects.states[4, walker].any()
    assert int(scene.objects.types[walker]) == ObjectType.PEDESTRIAN


def test_static_objects_do_not_move(scene):
    cone = scene.objects.tokens.index("track2")
    assert not scene.objects.states[:, cone, 3:].any()
    np.testing.assert_allclose(scene.objects.sizes[cone].tolist(), [0.4, 0.4, 0.8])


def test_four_seconds_of_future_are_enough(town_log, town_index):
    scene = build_scene(town_log.frames[:12], town_index).validate()
    assert scene.objects.states.shape[0] == 9
    assert scene.lights.red.shape[0] == 41


def test_the_human_is_seen_from_t0(scene, town_log):
    poses = transform_points(scene.ego.pose, scene.human.poses[:, :2])
    for k in range(8):
        np.testing.assert_allclose(poses[k].numpy(), town_log.frames[4 + k].ego_translation[:2], atol=1e-9)


def test_a_light_holds_until_the_next_frame(town_log, town_index):
    scene = build_scene(town_log.frames[3:17], town_index)
    # The town's lights on the route turn red in frame 13, which is 3.5 s after t0 (frame 6).
    assert scene.lights.tokens == ("5020", "5021")
    assert scene.lights.red[:, 0].tolist() == [step >= 35 for step in range(41)]


def test_lights_of_others_do_not_count(scene):
    assert "5130" not in scene.lights.tokens


def test_a_time_gap_is_odd_and_changes_no_object(town_log, town_index):
    """The official code takes frames as 0.5 s apart whatever their stamps say."""
    frames = [f if i < 8 else replace(f, timestamp_us=f.timestamp_us + 700_000) for i, f in enumerate(town_log.frames)]
    gapped, whole = (build_scene(some[:14], town_index) for some in (frames, town_log.frames))
    assert torch.equal(gapped.objects.states, whole.objects.states)
    assert torch.equal(gapped.human.poses, whole.human.poses)
    assert oddities(frames[:14]) == (TIME_GAP,)
    assert oddities(town_log.frames[:14]) == ()


def test_too_few_frames_are_named(town_log, town_index):
    with pytest.raises(SceneError, match=r"4 \+ 8 frames, got 11"):
        build_scene(town_log.frames[:11], town_index)


def test_frames_without_annotations_are_named(town_log, town_index):
    frames = [replace(f, annotations=None) for f in town_log.frames]
    with pytest.raises(SceneError, match="no annotations"):
        build_scene(frames[:14], town_index)


def test_roadblocks_that_are_no_numbers_are_named(town_index, town_log, rerouted):
    with pytest.raises(SceneError, match="numbers"):
        build_scene(rerouted(town_log.frames[:14], ["main street"]), town_index)


def test_moving_everything_moves_the_scene(scene, town_log, town_map):
    """The scene does not depend on where in the world the town lies."""
    tile = MapTile(town_map.location, 3)
    moved = build_scene([f.placed(tile) for f in town_log.frames[:14]], MapIndex(tile.place_map(town_map)))
    shift = torch.tensor([30_000.0, 0.0], dtype=torch.float64)
    assert torch.allclose(moved.ego.pose[:2], scene.ego.pose[:2] + shift)
    assert torch.allclose(moved.map.rings.points, scene.map.rings.points + shift)
    assert torch.allclose(moved.route.centerline[:, 2], scene.route.centerline[:, 2], atol=1e-7)
    assert torch.allclose(moved.human.poses, scene.human.poses, atol=1e-7)
    assert torch.equal(moved.map.on_route, scene.map.on_route)
    assert torch.equal(moved.lights.red, scene.lights.red)


def test_agent_input_is_what_the_files_hold(exported, town_log):
    blobs = exported / "sensor_blobs" / "test"
    agent_input = build_agent_input(town_log.frames[:4], blobs).validate()
    assert set(agent_input.cameras) == {"CAM_L0", "CAM_F0", "CAM_R0"}
    assert agent_input.now.command is DrivingCommand.STRAIGHT
    assert agent_input.now.pose.tolist() == [0.0, 0.0, 0.0]
    assert agent_input.status[0].pose[0] == pytest.approx(-12.0, abs=0.01)
    front = agent_input.cameras["CAM_F0"]
    assert front.calibration.ego_t_camera.tolist() == [1.6, 0.0, 1.5]
    # 3 frames in, camera 0: the shade that the fixture painted.
    assert np.abs(front.rgb.astype(int) - 3).max() <= 2
    assert agent_input.lidar.points.shape == (50, 4)
    assert 0.0 <= agent_input.lidar.points[:, 3].min() <= agent_input.lidar.points[:, 3].max() <= 1.0


def test_lidar_is_turned_into_the_ego_frame(exported, town_log):
    blobs = exported / "sensor_blobs" / "test"
    plain = build_agent_input(town_log.frames[:4], blobs, ()).lidar.points
    turn = yaw_to_quaternion(np.pi / 2)
    frames = [replace(f, lidar_rotation=turn, lidar_translation=np.array([1.0, 0.0, 2.0])) for f in town_log.frames[:4]]
    turned = build_agent_input(frames, blobs, ()).lidar.points
    np.testing.assert_allclose(turned[:, 0], 1.0 - plain[:, 1], atol=1e-5)
    np.testing.assert_allclose(turned[:, 1], plain[:, 0], atol=1e-5)
    np.testing.assert_allclose(turned[:, 2], plain[:, 2] + 2.0, atol=1e-5)


def test_missing_sensors_are_named(town_log, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"CAM_L0/0000000000000003\.jpg"):
        build_agent_input(town_log.frames[:4], tmp_path)
    with pytest.raises(FileNotFoundError, match=r"0000000000000003\.pcd"):
        build_agent_input(town_log.frames[:4], tmp_path, ())
    blind = [replace(f, cameras={}, lidar_path=None) for f in town_log.frames[:4]]
    with pytest.raises(SceneError, match="no camera CAM_F0"):
        build_agent_input(blind, tmp_path, ("CAM_F0",))
    with pytest.raises(SceneError, match="no LiDAR"):
        build_agent_input(blind, tmp_path, ())


@pytest.mark.parametrize("yaw", [-3.1, -0.4, 0.0, 1.0, 3.1])
def test_quaternions_of_turns_about_the_vertical(yaw):
    quaternion = yaw_to_quaternion(yaw)
    assert quaternion_to_yaw(quaternion) == pytest.approx(yaw, abs=1e-12)
    expected = [[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]
    np.testing.assert_allclose(quaternion_to_matrix(quaternion), expected, atol=1e-12)


def test_yaw_of_a_tilted_car_is_the_official_one():
    # pyquaternion's yaw_pitch_roll[0] of this quaternion (rotation order x-y-z).
    quaternion = np.array([0.9, 0.1, -0.2, 0.35])
    assert quaternion_to_yaw(quaternion) == pytest.approx(0.7948140809742598, abs=1e-12)


def test_a_scene_from_disk_equals_the_one_from_memory(tmp_path, town_log, town_index, scene):
    path = tmp_path / f"{town_log.name}.pkl"
    write_log(NavsimLog(town_log.name, town_log.frames), path)
    back = build_scene(read_log(path).frames[:14], town_index)
    assert_equal(scene, back)


def assert_equal(a, b):
    if isinstance(a, torch.Tensor):
        assert torch.equal(a.nan_to_num(-1.0), b.nan_to_num(-1.0)) if a.is_floating_point() else torch.equal(a, b)
    elif hasattr(a, "__dataclass_fields__"):
        for field in fields(a):
            assert_equal(getattr(a, field.name), getattr(b, field.name))
    else:
        assert a == b
