import dataclasses
import json
import zlib

import pytest
import safetensors.torch
import torch

from pair_drive_core.datasets.cache.codec import FORMAT, decode_scene, encode_scene
from pair_drive_core.scene import (
    EgoHistory,
    EgoState,
    LaneGraph,
    MapPolygons,
    PackedRings,
    Route,
    Scene,
    SceneError,
    TrackedObjects,
    TrafficLights,
    Trajectory,
)

F64 = torch.float64


@pytest.fixture
def scene():
    ring = torch.tensor([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0]], dtype=F64)
    line = torch.tensor([[0.0, 0.0, 0.0], [50.0, 0.0, 0.0]], dtype=F64)
    times = torch.tensor([0, 500_000])
    zeros = torch.zeros(2, 2, dtype=F64)
    return Scene(
        token="t",
        time_us=500_000,
        ego=EgoState.at(line[1], zeros[0], zeros[0]),
        history=EgoHistory(times, line, zeros, zeros),
        objects=dataclasses.replace(TrackedObjects.empty(9, 0.5)),
        map=MapPolygons(("a",), torch.tensor([0]), PackedRings.from_sequences([ring]), torch.tensor([True])),
        route=Route(("a", "b"), line),
        lights=TrafficLights(("c",), torch.ones(41, 1, dtype=torch.bool), PackedRings.from_sequences([ring])),
        lanes=LaneGraph(
            ("a", "b"),
            torch.tensor([False, True]),
            ("r", "s"),
            PackedRings.from_sequences([line, line]),
            PackedRings.from_sequences([ring, ring]),
            torch.tensor([13.4, float("nan")], dtype=F64),
            ((1,), ()),
        ),
        human=Trajectory(torch.rand(8, 3, dtype=F64)),
        flaws=("drifts left",),
    )


def leaves(value):
    if dataclasses.is_dataclass(value):
        return [leaf for f in dataclasses.fields(value) for leaf in leaves(getattr(value, f.name))]
    return [value]


def test_a_scene_comes_back_bit_for_bit(scene):
    for before, after in zip(leaves(scene), leaves(decode_scene(encode_scene(scene))), strict=True):
        if isinstance(before, torch.Tensor):
            assert before.dtype == after.dtype
            torch.testing.assert_close(before, after, rtol=0, atol=0, equal_nan=True)
        else:
            assert (before, type(before)) == (after, type(after))


def test_absent_parts_stay_absent(scene):
    bare = decode_scene(encode_scene(dataclasses.replace(scene, lanes=None, human=None)))
    assert (bare.lanes, bare.human, bare.reference) == (None, None, None)


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"", lambda data: b"x" + data])
def test_damaged_bytes_are_refused_with_the_expected_format(scene, damage):
    with pytest.raises(SceneError, match=FORMAT):
        decode_scene(damage(encode_scene(scene)))


def test_another_version_is_refused_by_name(scene):
    other = safetensors.torch.save({}, {"scene": json.dumps({"format": "pair_drive_scene/999", "scene": {}})})
    with pytest.raises(SceneError, match=r"expected pair_drive_scene/1, got 'pair_drive_scene/999'"):
        decode_scene(zlib.compress(other))


def test_a_scene_that_lacks_a_part_is_refused():
    partial = safetensors.torch.save({}, {"scene": json.dumps({"format": FORMAT, "scene": {"token": "t"}})})
    with pytest.raises(SceneError, match="not a whole scene"):
        decode_scene(zlib.compress(partial))


def test_files_from_before_a_field_was_added_are_read(scene):
    content = zlib.decompress(encode_scene(scene))
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    document = json.loads(header["__metadata__"]["scene"])
    del document["scene"]["planner_lights"]
    header["__metadata__"]["scene"] = json.dumps(document)
    text = json.dumps(header).encode()
    older = len(text).to_bytes(8, "little") + text + content[8 + size :]
    assert decode_scene(zlib.compress(older)).planner_lights is None


def test_equal_scenes_are_equal_bytes(scene):
    assert len({encode_scene(scene) for _ in range(20)}) == 1
