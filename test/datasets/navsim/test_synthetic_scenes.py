"""Second-stage scene files: pickled nuPlan objects are read as plain data, everything else is refused."""

import os
import pickle
import sys
import types
from dataclasses import replace
from enum import Enum

import numpy as np
import pytest
import torch

from pair_drive_core.datasets.cache.builder import build_scene_cache
from pair_drive_core.datasets.cache.jobs import CacheSettings
from pair_drive_core.datasets.cache.scene_cache import SceneCache
from pair_drive_core.datasets.errors import DatasetError, UntrustedPickleError
from pair_drive_core.datasets.navsim.dataset import NavsimFolders
from pair_drive_core.datasets.navsim.restricted_unpickler import load_restricted
from pair_drive_core.datasets.navsim.scene_filter import SceneFilter
from pair_drive_core.datasets.navsim.scenes import build_scene
from pair_drive_core.datasets.navsim.synthetic_scenes import read_synthetic_scene, second_stage
from pair_drive_core.scene import ObjectType

STATE = "nuplan.common.actor_state.state_representation"


@pytest.fixture
def nuplan(monkeypatch):
    """Makes objects of classes with nuPlan's names and ways of being pickled; the classes go when the test ends."""
    made = {}

    def module_of(name):
        parts = name.split(".")
        for k in range(1, len(parts) + 1):
            path = ".".join(parts[:k])
            if path not in sys.modules:
                monkeypatch.setitem(sys.modules, path, types.ModuleType(path))
        return sys.modules[name]

    def make(module, name, **attributes):
        if (module, name) not in made:
            made[module, name] = type(name, (), {"__module__": module})
            setattr(module_of(module), name, made[module, name])
        thing = made[module, name]()
        thing.__dict__.update(attributes)
        return thing

    def enum(module, name, value):
        if (module, name) not in made:
            made[module, name] = Enum(name, {f"V{i}": i for i in range(8)}, module=module)
            setattr(module_of(module), name, made[module, name])
        return made[module, name](value)

    make.enum = enum
    return make


def tracked_object(nuplan, token, kind, state, size):
    x, y, heading, vx, vy = (float(v) for v in state)
    actors = "nuplan.common.actor_state"
    box = nuplan(
        f"{actors}.oriented_box",
        "OrientedBox",
        _center=nuplan(STATE, "StateSE2", x=np.float64(x), y=y, heading=heading),
        _length=float(size[0]),
        _width=float(size[1]),
        _height=float(size[2]),
    )
    common = {
        "_metadata": nuplan(f"{actors}.scene_object", "SceneObjectMetadata", track_token=token),
        "_tracked_object_type": nuplan.enum(f"{actors}.tracked_objects_types", "TrackedObjectType", kind),
        "_box": box,
    }
    velocity = nuplan(STATE, "StateVector2D", _x=vx, _y=vy, _array=np.array([vx, vy]))
    if kind <= ObjectType.BICYCLE:
        return nuplan(f"{actors}.agent", "Agent", _velocity=velocity, **common)
    return nuplan(f"{actors}.static_object", "StaticObject", velocity=velocity, **common)


def scene_dict(nuplan, scene, frames):
    """A second-stage file as the devkit saves it: four frames, and the future as nuPlan objects."""

    def tracks(k):
        rows = [i for i in range(len(scene.objects.tokens)) if scene.objects.present[k, i]]
        objects = [
            tracked_object(
                nuplan,
                scene.objects.tokens[i],
                int(scene.objects.types[i]),
                scene.objects.states[k, i],
                scene.objects.sizes[i],
            )
            for i in rows
        ]
        holder = nuplan("nuplan.common.actor_state.tracked_objects", "TrackedObjects", tracked_objects=objects)
        module = "nuplan.planning.simulation.observation.observation_type"
        return nuplan(module, "DetectionsTracks", tracked_objects=holder)

    def lights(k):
        module = "nuplan.common.maps.maps_datatypes"
        data = [
            nuplan(
                module,
                "TrafficLightStatusData",
                status=nuplan.enum(module, "TrafficLightStatusType", 2 if red else 0),
                lane_connector_id=connector,
            )
            for connector, red in frames[3 + k].traffic_lights
        ]
        return nuplan(module, "TrafficLightStatuses", traffic_lights=data)

    recorded = [
        {
            "token": f"{frame.token}0",
            "timestamp": frame.timestamp_us,
            "roadblock_ids": list(frame.roadblock_ids),
            "traffic_lights": list(frame.traffic_lights),
            "annotations": {
                "boxes": frame.annotations.boxes,
                "names": np.array(frame.annotations.names),
                "velocity_3d": frame.annotations.velocities,
                "instance_tokens": list(frame.annotations.instance_tokens),
                "track_tokens": list(frame.annotations.track_tokens),
            },
            "ego_status": {
                "ego_pose": np.array([*frame.ego_translation[:2], 0.02 * np.sin(frame.frame_idx)]),
                "ego_velocity": frame.ego_velocity.astype(np.float32),
                "ego_acceleration": frame.ego_acceleration.astype(np.float32),
                "driving_command": np.array([0, 1, 0, 0]),
                "in_global_frame": True,
            },
            "lidar_path": None,
            "camera_dict": {"cam_f0": {}},
        }
        for frame in frames[:4]
    ]
    metadata = {
        "log_name": frames[0].log_name,
        "scene_token": f"{frames[3].token}0",
        "map_name": frames[0].map_location,
        "initial_token": f"{frames[3].token}0",
        "num_history_frames": 4,
        "num_future_frames": 0,
        "corresponding_original_scene": frames[11].token,
        "corresponding_original_initial_token": frames[3].token,
    }
    return {
        "scene_metadata": metadata,
        "frames": recorded,
        "extended_traffic_light_data": [lights(k) for k in range(1, 9)],
        "extended_detections_tracks": [tracks(k) for k in range(1, 9)],
    }


@pytest.fixture
def saved(tmp_path, nuplan, town_log, town_index):
    frames = town_log.frames[3:15]
    original = build_scene(frames, town_index)
    content = scene_dict(nuplan, original, frames)
    path = tmp_path / f"{content['scene_metadata']['initial_token']}.pkl"
    path.write_bytes(pickle.dumps(content))
    return path, original, content


def test_the_future_goes_on_from_the_pickled_objects(saved, town_index):
    path, original, _ = saved
    scene = read_synthetic_scene(path).scene(town_index).validate()
    assert len(scene.token) == 17
    assert scene.human is None
    assert scene.objects.tokens == original.objects.tokens
    assert torch.equal(scene.objects.present, original.objects.present)
    assert torch.allclose(scene.objects.states, original.objects.states, atol=1e-9)
    assert torch.equal(scene.lights.red, original.lights.red)
    assert bool(scene.lights.red.any())
    assert torch.equal(scene.route.centerline, original.route.centerline)


def test_scenes_follow_a_first_stage_scene(saved, town_log):
    path, _, _ = saved
    scene_filter = SceneFilter(num_future_frames=8, frame_interval=1, include_synthetic_scenes=True)
    windows = list(scene_filter.windows(town_log.frames))
    assert [s.path for s in second_stage(path.parent, scene_filter, windows)] == [path]
    others = [w for w in windows if w[11].token != town_log.frames[14].token]
    assert len(others) == len(windows) - 1
    assert second_stage(path.parent, scene_filter, others) == []


def test_scenes_that_the_filter_names_must_be_there(saved):
    path, _, _ = saved
    wanted = SceneFilter(num_future_frames=8, synthetic_scene_tokens=("0" * 15 + "60", "gone"))
    with pytest.raises(DatasetError, match=r"1 scenes of the filter are missing.*gone"):
        second_stage(path.parent, wanted, [])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        second_stage(path.parent / "nowhere", wanted, [])


@pytest.fixture
def two_stage(saved, exported):
    path, _, _ = saved
    wanted = SceneFilter(num_future_frames=8, frame_interval=1, include_synthetic_scenes=True)
    return CacheSettings(NavsimFolders.of(exported, "test"), wanted, synthetic_scenes=path.parent)


def test_a_cache_of_a_two_stage_benchmark_holds_both(two_stage, tmp_path_factory):
    root = tmp_path_factory.mktemp("cache")
    assert build_scene_cache(two_stage, root).scenes == 10
    cache = SceneCache(root)
    assert cache.scene("0" * 15 + "60").human is None
    assert cache.scene("0" * 15 + "6").human is not None
    again = build_scene_cache(two_stage, root)
    assert (again.scenes, again.built, again.kept) == (10, 0, 2)


def test_second_stage_scenes_are_never_dropped_silently(two_stage, saved, tmp_path_factory):
    path, _, content = saved
    root = tmp_path_factory.mktemp("cache")
    (path.parent / "torn.pkl").write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DatasetError, match=r"torn\.pkl: corrupt pickle"):
        build_scene_cache(two_stage, root)
    report = build_scene_cache(replace(two_stage, skip_bad=True), root)
    assert [entry.token for entry in report.skipped] == ["torn"]
    (path.parent / "torn.pkl").unlink()
    named = replace(two_stage.scene_filter, synthetic_scene_tokens=("0" * 15 + "60", "gone"))
    with pytest.raises(DatasetError, match=r"1 second-stage scenes are missing.*gone"):
        build_scene_cache(replace(two_stage, scene_filter=named), root)
    report = build_scene_cache(replace(two_stage, scene_filter=named, skip_bad=True), root)
    assert [entry.token for entry in report.skipped] == ["gone"]
    with pytest.raises(FileNotFoundError, match="second stage"):
        build_scene_cache(replace(two_stage, synthetic_scenes=None), root)
    content["frames"][3]["roadblock_ids"] = ["99"]
    path.write_bytes(pickle.dumps(content))
    report = build_scene_cache(replace(two_stage, skip_bad=True), root)
    assert "route names roadblock 99" in report.skipped[0].problem


def test_without_stand_ins_nuplan_objects_are_refused(saved):
    path, _, _ = saved
    with pytest.raises(UntrustedPickleError, match=r"nuplan\.common\.maps\.maps_datatypes"):
        load_restricted(path)


def test_other_classes_are_refused_by_name(saved, nuplan):
    path, _, content = saved
    content["extended_detections_tracks"].append(nuplan("nuplan.planning.simulation.runner", "Runner"))
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UntrustedPickleError, match=r"nuplan\.planning\.simulation\.runner\.Runner"):
        read_synthetic_scene(path)


def test_calls_are_refused(saved, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'mark'}",)

    path, _, content = saved
    content["frames"].append(Evil())
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UntrustedPickleError, match="system"):
        read_synthetic_scene(path)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: c["scene_metadata"].pop("map_name"), "map_name"),
        (lambda c: c["frames"][0]["ego_status"].update(in_global_frame=False), "global frame"),
        (lambda c: c.update(frames=[]), "IndexError"),
        (lambda c: c["extended_detections_tracks"][0].__dict__.clear(), "DetectionsTracks.tracked_objects"),
    ],
)
def test_a_broken_file_is_named(saved, change, problem):
    path, _, content = saved
    change(content)
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DatasetError, match=problem) as error:
        read_synthetic_scene(path)
    assert str(path) in str(error.value)
