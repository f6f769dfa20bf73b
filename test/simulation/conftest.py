"""A straight road along +x with one lane, and what stands on it."""

from types import SimpleNamespace

import pytest
import torch

from pair_drive_core.scene import (
    EgoHistory,
    EgoState,
    LaneGraph,
    MapPolygons,
    PackedRings,
    Route,
    Scene,
    TrackedObjects,
    TrafficLights,
)

CAR = (4.6, 1.9, 1.6)


def f64(values):
    return torch.as_tensor(values, dtype=torch.float64)


def one_lane(length=200.0, limit=10.0, points=201, shift=(0.0, 0.0)):
    x = torch.linspace(-50.0, length - 50.0, points, dtype=torch.float64)
    centerline = torch.stack((x, torch.zeros_like(x), torch.zeros_like(x)), dim=-1) + f64([*shift, 0.0])
    ring = f64([[-50.0, -2.0], [length - 50.0, -2.0], [length - 50.0, 2.0], [-50.0, 2.0]]) + f64(shift)
    return LaneGraph(
        ("lane",),
        torch.tensor([False]),
        ("road",),
        PackedRings.from_sequences([centerline]),
        PackedRings.from_sequences([ring]),
        f64([limit]),
        ((),),
    )


def road(objects=(), ego=(0.0, 0.0, 0.0), speed=0.0, lanes=None, shift=(0.0, 0.0)):
    """A scene; objects are (token, type, (x, y, heading), speed[, present]) and keep their speed in 9 key frames."""
    pose = f64(ego) + f64([*shift, 0.0])
    velocity = f64([speed, 0.0])
    frames, seen = torch.zeros(9, len(objects), 5, dtype=torch.float64), torch.ones(9, len(objects), dtype=torch.bool)
    for i, (_, _, start, pace, *present) in enumerate(objects):
        x, y, heading = start
        direction = f64([torch.cos(f64(heading)), torch.sin(f64(heading))])
        time = torch.arange(9, dtype=torch.float64)[:, None] * 0.5
        frames[:, i, :2] = f64([x, y]) + f64(shift) + time * pace * direction
        frames[:, i, 2] = heading
        frames[:, i, 3:] = pace * direction
        if present:
            seen[:, i] = torch.tensor(present[0])
    tracks = TrackedObjects(
        tuple(o[0] for o in objects),
        torch.tensor([int(o[1]) for o in objects], dtype=torch.int64),
        f64([CAR] * len(objects)).reshape(-1, 3),
        torch.where(seen[..., None], frames, 0.0),
        seen,
        0.5,
    )
    return Scene(
        "road",
        10_000_000,
        EgoState.at(pose, velocity, f64([0.0, 0.0])),
        EgoHistory(torch.tensor([10_000_000]), pose[None], velocity[None], f64([[0.0, 0.0]])),
        tracks,
        MapPolygons(
            (), torch.zeros(0, dtype=torch.int64), PackedRings.from_sequences([]), torch.zeros(0, dtype=torch.bool)
        ),
        Route(("lane",), f64([[-50.0, 0.0, 0.0], [150.0, 0.0, 0.0]]) + f64([*shift, 0.0])),
        TrafficLights.empty(41),
        lanes=lanes,
    )


def standing(scene):
    """(41, 11): the ego stays where it is at t0."""
    return scene.ego.to_vector().expand(41, -1)


@pytest.fixture(scope="session")
def roads():
    """`roads.road(...)`, `roads.one_lane(...)`, `roads.standing(scene)`."""
    return SimpleNamespace(road=road, one_lane=one_lane, standing=standing)
