"""Log files: the format of NAVSIM.md, round trips, and what is wrong with broken ones."""

import pickle
import pickletools
from dataclasses import fields, replace

import numpy as np
import pytest

from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.navsim.log import Annotations, NavsimFrame, NavsimLog
from pair_drive_core.datasets.navsim.log_file import FRAME_KEYS, dump_log, read_log, write_log
from pair_drive_core.scene import ALL_CAMERAS, ObjectType, SceneError


def same(a, b):
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if hasattr(a, "__dataclass_fields__"):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    return a == b


@pytest.fixture
def written(tmp_path, town_log):
    path = tmp_path / f"{town_log.name}.pkl"
    write_log(town_log, path)
    return path


def raw_frames(path):
    return pickle.loads(path.read_bytes())  # noqa: S301 - the test's own file, seen as the devkit sees it


def test_reading_gives_back_what_was_written(town_log, written):
    back = read_log(written)
    assert back.name == town_log.name
    assert all(same(a, b) for a, b in zip(town_log.frames, back.frames, strict=True))


def test_writing_again_gives_the_same_bytes(town_log, written):
    assert dump_log(read_log(written)) == written.read_bytes() == dump_log(town_log)


def test_bytes_do_not_depend_on_which_objects_the_log_shares(town_log):
    frames = tuple(
        replace(frame, log_name="".join(list(frame.log_name)), ego_translation=frame.ego_translation.copy())
        for frame in town_log.frames
    )
    assert dump_log(NavsimLog("".join(list(town_log.name)), frames)) == dump_log(town_log)


def test_a_frame_has_the_keys_and_shapes_of_the_data_set(written):
    frames = raw_frames(written)
    assert isinstance(frames, list)
    for frame in frames:
        assert tuple(frame) == FRAME_KEYS
        assert frame["ego2global_translation"].shape == (3,)
        assert np.linalg.norm(frame["ego2global_rotation"]) == pytest.approx(1.0)
        assert len(frame["ego_dynamic_state"]) == 4
        assert frame["driving_command"].tolist() == [0, 1, 0, 0]
        assert all(isinstance(c, int) and isinstance(red, bool) for c, red in frame["traffic_lights"])
        assert all(isinstance(block, str) for block in frame["roadblock_ids"])
        assert set(frame["cams"]) == set(ALL_CAMERAS)
        for name, camera in frame["cams"].items():
            assert camera["data_path"].split("/")[1] == name
            assert camera["sensor2lidar_rotation"].shape == camera["cam_intrinsic"].shape == (3, 3)
            assert camera["sensor2lidar_translation"].shape == (3,)
            assert camera["distortion"].shape == (5,)
        count = len(frame["anns"]["gt_names"])
        assert frame["anns"]["gt_boxes"].shape == (count, 7)
        assert frame["anns"]["gt_velocity_3d"].shape == (count, 3)
        assert len(frame["anns"]["track_tokens"]) == len(frame["anns"]["instance_tokens"]) == count
        assert set(frame["anns"]["gt_names"]) <= {kind.name.lower() for kind in ObjectType}
        assert frame["lidar_path"].split("/")[1] == "MergedPointCloud"
    steps = np.diff([frame["timestamp"] for frame in frames])
    assert np.all(np.abs(steps - 500_000) < 1000)


def test_arrays_are_written_by_names_that_every_numpy_has(written):
    modules = {
        argument.split(" ")[0]
        for opcode, argument, _ in pickletools.genops(written.read_bytes())
        if opcode.name in ("GLOBAL", "SHORT_BINUNICODE") and str(argument).startswith("numpy")
    }
    assert modules == {"numpy"}
    assert raw_frames(written)[0]["ego2global"].flags.writeable


def test_boxes_are_in_the_ego_frame_of_their_moment(town_log):
    frame = town_log.frames[1]
    lead = frame.annotations.track_tokens.index("track0")
    yaw = 0.02 * np.sin(1)
    np.testing.assert_allclose(frame.annotations.boxes[lead, :2], [25 * np.cos(yaw), -25 * np.sin(yaw)], atol=1e-9)
    np.testing.assert_allclose(frame.annotations.boxes[lead, 6], -yaw)
    np.testing.assert_allclose(frame.annotations.velocities[lead], [8 * np.cos(yaw), -8 * np.sin(yaw), 0], atol=1e-12)


def corrupted(path, change):
    frames = raw_frames(path)
    change(frames)
    path.write_bytes(pickle.dumps(frames))
    return path


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda f: f[5].pop("ego2global_rotation"), ["frame 5", "ego2global_rotation"]),
        (lambda f: f[2].update(driving_command=[0, 1, 1, 0]), ["frame 2", "one-hot"]),
        (lambda f: f[2].update(ego_dynamic_state=[1.0, 2.0]), ["frame 2", "vx, vy, ax, ay"]),
        (lambda f: f[3].update(timestamp=0), ["0000000000000003", "time"]),
        (lambda f: f[3].update(token=f[2]["token"]), ["share one token"]),
        (lambda f: f[1]["anns"]["gt_names"].__setitem__(0, "unicorn"), ["0000000000000001", "unicorn"]),
        (lambda f: f[1]["anns"]["track_tokens"].__setitem__(1, "track0"), ["0000000000000001", "track0", "twice"]),
        (lambda f: f[1]["ego2global_translation"].__setitem__(0, np.nan), ["0000000000000001", "finite"]),
        (lambda f: f[1]["cams"]["CAM_F0"].pop("distortion"), ["frame 1", "distortion"]),
        (lambda f: f[1].update(ego2global_rotation=[2.0, 0, 0, 0]), ["0000000000000001", "unit quaternion"]),
        (lambda f: f[0].update(log_name="other"), ["other"]),
    ],
)
def test_a_broken_log_is_named_with_its_frame_and_field(written, change, names):
    with pytest.raises(DatasetError) as error:
        read_log(corrupted(written, change))
    for name in (str(written), *names):
        assert name in str(error.value)


def test_a_pickle_of_something_else_is_refused(tmp_path):
    path = tmp_path / "log.pkl"
    path.write_bytes(pickle.dumps({"frames": []}))
    with pytest.raises(DatasetError, match="list of frame dictionaries, got dict"):
        read_log(path)


def test_an_invalid_log_is_not_written(tmp_path, town_log):
    bad = replace(town_log.frames[0], annotations=replace(Annotations.empty(), names=("vehicle",)))
    with pytest.raises(SceneError, match=r"gt_boxes.*\(1, 7\)"):
        write_log(NavsimLog(town_log.name, (bad,)), tmp_path / "log.pkl")
    assert not list(tmp_path.iterdir())


def test_a_log_of_the_private_test_set_has_no_annotations(tmp_path, town_log):
    log = NavsimLog(town_log.name, tuple(replace(frame, annotations=None) for frame in town_log.frames))
    path = tmp_path / f"{town_log.name}.pkl"
    write_log(log, path)
    assert all("anns" not in frame for frame in raw_frames(path))
    assert all(frame.annotations is None for frame in read_log(path).frames)


def test_frames_keep_every_field(town_log):
    assert {f.name for f in fields(NavsimFrame)} >= {"can_bus", "lidar_rotation", "scene_name"}
