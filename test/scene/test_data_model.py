import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from pair_drive_core.scene import (
    PACIFICA,
    CameraCalibration,
    CameraImage,
    EgoHistory,
    EgoState,
    LidarSweep,
    MapLayer,
    MapPolygons,
    PackedRings,
    Route,
    Scene,
    SceneError,
    StateIndex,
    TrackedObjects,
    TrafficLights,
    Trajectory,
)

F64 = torch.float64


def square(x, y, size):
    return torch.tensor([[x, y], [x + size, y], [x + size, y + size], [x, y + size]], dtype=F64)


def small_scene():
    pose = torch.tensor([[-15.0, 0, 0], [-10, 0, 0], [-5, 0, 0], [0, 0, 0]], dtype=F64)
    still = torch.zeros(4, 2, dtype=F64)
    return Scene(
        token="by hand",
        time_us=2_000_000,
        ego=EgoState.at(pose[3], torch.tensor([10.0, 0.0], dtype=F64), still[3]),
        history=EgoHistory(torch.tensor([500_000, 1_000_000, 1_500_000, 2_000_000]), pose, still, still),
        objects=TrackedObjects.empty(9, 0.5),
        map=MapPolygons(
            ("lane",),
            torch.tensor([int(MapLayer.LANE)]),
            PackedRings.from_sequences([square(-20, -2, 4)]),
            torch.tensor([True]),
        ),
        route=Route(("lane",), torch.tensor([[-20.0, 0, 0], [80, 0, 0]], dtype=F64)),
        lights=TrafficLights.empty(41),
    )


def test_the_ego_box_is_nuplans():
    assert PACIFICA.length_m == pytest.approx(5.176)
    assert PACIFICA.rear_axle_to_center_m == pytest.approx(1.461)


def test_a_state_vector_has_the_official_columns():
    ego = replace(small_scene().ego, yaw_rate=torch.tensor(0.25, dtype=F64))
    vector = ego.to_vector()
    assert vector.shape == (11,)
    assert vector[StateIndex.VELOCITY_X] == 10.0
    assert vector[StateIndex.ANGULAR_VELOCITY] == 0.25


def test_a_whole_scene_is_valid():
    assert small_scene().validate().token == "by hand"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: replace(s, ego=replace(s.ego, pose=torch.tensor([0, math.nan, 0]))),
            "EgoState.pose: expected finite",
        ),
        (lambda s: replace(s, history=replace(s.history, time_us=s.history.time_us.flip(0))), "strictly increasing"),
        (lambda s: replace(s, route=Route((), torch.zeros(1, 3))), "at least 2 points, got 1"),
        (lambda s: replace(s, map=replace(s.map, on_route=torch.ones(2, dtype=torch.bool))), "MapPolygons.on_route"),
        (lambda s: replace(s, lights=replace(s.lights, red=torch.zeros(41, 3, dtype=torch.bool))), "TrafficLights.red"),
        (lambda s: replace(s, objects=replace(s.objects, interval_s=0.0)), "positive time, got 0.0"),
        (lambda s: replace(s, human=Trajectory(torch.zeros(8, 2))), "expected shape"),
    ],
)
def test_a_broken_part_is_named(change, message):
    with pytest.raises(SceneError, match=message):
        change(small_scene()).validate()


def test_unknown_object_classes_are_refused():
    objects = TrackedObjects(
        ("a",),
        torch.tensor([9]),
        torch.ones(1, 3, dtype=F64),
        torch.zeros(9, 1, 5, dtype=F64),
        torch.ones(9, 1, dtype=torch.bool),
        0.5,
    )
    with pytest.raises(SceneError, match=r"got \[9\]"):
        objects.validate()


def test_rings_come_back_as_they_were_packed():
    sequences = [square(0, 0, 1), square(5, 5, 2)[:3]]
    rings = PackedRings.from_sequences(sequences).validate("rings")
    assert len(rings) == 2
    assert all(torch.equal(rings[i], sequence) for i, sequence in enumerate(sequences))


def test_a_plan_with_its_start_begins_at_the_origin():
    plan = Trajectory(torch.tensor([[1.0, 2.0, 0.1]], dtype=F64))
    assert plan.with_start().tolist() == [[0.0, 0.0, 0.0], [1.0, 2.0, 0.1]]


def test_sensor_readings_must_fit_their_calibration():
    calibration = CameraCalibration("CAM_F0", 1920, 1080, np.eye(3), np.eye(3), np.zeros(3), np.zeros(5))
    half = calibration.scaled(960, 540)
    assert half.intrinsics[0, 0] == 0.5
    with pytest.raises(SceneError, match=r"CAM_F0: expected uint8 \(540, 960, 3\)"):
        CameraImage(half, np.zeros((1080, 1920, 3), np.uint8), 0).validate()
    with pytest.raises(SceneError, match="NaN"):
        LidarSweep(np.full((2, 4), np.nan, np.float32), 0).validate()
