"""Scenes made by hand and at random, and plans to drive through them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pair_drive_core.scene import (
    EgoHistory,
    EgoState,
    MapLayer,
    MapPolygons,
    PackedRings,
    Route,
    Scene,
    TrackedObjects,
    TrafficLights,
    Trajectory,
)

STEPS = 41
DRIVABLE = (MapLayer.ROADBLOCK, MapLayer.INTERSECTION, MapLayer.CARPARK_AREA, MapLayer.DRIVABLE_AREA)
LANES = (MapLayer.LANE, MapLayer.LANE_CONNECTOR)


def make_scene(
    rings=(),
    layers=(),
    on_route=None,
    objects=(),
    reds=(),
    centerline=None,
    pose=(0.0, 0.0, 0.0),
    speed=8.0,
    history=True,
    present=None,
    red=None,
    human=None,
):
    """A scene from lists; objects are (type, size, (11, 5) key frames); the reference drives straight on at 8 m/s."""
    count = len(rings)
    times = torch.tensor([-1_500_000, -1_000_000, -500_000, 0]) + 10_000_000
    pose = torch.tensor(pose, dtype=torch.float64)
    ahead = torch.stack((pose[2].cos(), pose[2].sin()))
    past = torch.stack([torch.cat((pose[:2] + ahead * speed * t, pose[2:])) for t in (-1.5, -1.0, -0.5, 0.0)])
    velocity = torch.tensor([[speed, 0.0]] * 4, dtype=torch.float64)
    if not history:
        times, past, velocity = times[-1:], past[-1:], velocity[-1:]
    centerline = [[-50.0, 0.0, 0.0], [100.0, 0.0, 0.0]] if centerline is None else centerline
    return Scene(
        token="scene",
        time_us=10_000_000,
        ego=EgoState.at(pose, velocity[-1], torch.zeros(2, dtype=torch.float64)),
        history=EgoHistory(times, past, velocity, torch.zeros_like(velocity)),
        objects=TrackedObjects(
            tuple(f"object-{i}" for i in range(len(objects))),
            torch.tensor([kind for kind, _, _ in objects], dtype=torch.int64),
            torch.tensor(np.array([size for _, size, _ in objects]), dtype=torch.float64).reshape(-1, 3),
            torch.stack([torch.as_tensor(s, dtype=torch.float64).reshape(11, 5) for *_, s in objects], dim=1)
            if objects
            else torch.zeros(11, 0, 5, dtype=torch.float64),
            torch.ones(11, len(objects), dtype=torch.bool) if present is None else torch.as_tensor(present),
            0.5,
        ),
        map=MapPolygons(
            tuple(f"polygon-{i}" for i in range(count)),
            torch.tensor([int(layer) for layer in layers], dtype=torch.int64),
            PackedRings.from_sequences([torch.as_tensor(ring, dtype=torch.float64) for ring in rings]),
            torch.zeros(count, dtype=torch.bool) if on_route is None else torch.tensor(on_route, dtype=torch.bool),
        ),
        route=Route((), torch.tensor(centerline, dtype=torch.float64)),
        lights=TrafficLights(
            tuple(f"red-{i}" for i in range(len(reds))),
            torch.ones(STEPS, len(reds), dtype=torch.bool) if red is None else torch.as_tensor(red),
            PackedRings.from_sequences([torch.as_tensor(ring, dtype=torch.float64) for ring in reds]),
        ),
        human=None if human is None else Trajectory(human),
        reference=torch.cat((pose[:2] + ahead * 0.8 * torch.arange(41)[:, None], pose[2].expand(41, 1)), dim=1),
    )


def random_scene(seed, pose=(0.0, 0.0, 0.0), polygons=40, agents=12):
    """Star-shaped and self-intersecting polygons, one large, moving and standing objects, reds, a winding line."""
    rng = np.random.default_rng(seed)
    layers = rng.choice([*DRIVABLE, *LANES, MapLayer.CROSSWALK], size=polygons)
    heading = pose[2]

    def ring():
        center = np.asarray(pose[:2]) + rng.uniform(-40.0, 60.0, 2)
        vertices = int(rng.integers(3, 40))
        angle = np.sort(rng.uniform(0.0, 2.0 * np.pi, vertices))
        if rng.random() < 0.2:
            rng.shuffle(angle)
        radius = rng.uniform(0.3, 1.0, vertices) * rng.choice([rng.uniform(3.0, 30.0), 60.0], p=[0.95, 0.05])
        return center + radius[:, None] * np.stack((np.cos(angle), np.sin(angle)), axis=-1)

    def track():
        speed = rng.choice([0.0, 0.04, 3.0, 8.0])
        turn = rng.uniform(-np.pi, np.pi)
        start = np.asarray(pose[:2]) + rng.uniform(-25.0, 45.0, 2)
        time = np.arange(11)[:, None] * 0.5
        velocity = speed * np.array([np.cos(turn), np.sin(turn)])
        return np.concatenate((start + time * velocity, np.full((11, 1), turn), np.tile(velocity, (11, 1))), axis=1)

    along = np.linspace(-30.0, 80.0, 60)
    wave = np.stack((along, 2.0 * np.sin(along / 15.0)), axis=-1)
    turn = np.array([[np.cos(heading), -np.sin(heading)], [np.sin(heading), np.cos(heading)]])
    line = np.concatenate((wave @ turn.T + np.asarray(pose[:2]), np.full((60, 1), heading)), axis=1)
    present = rng.random((11, agents)) < 0.8
    present[rng.integers(0, 9, agents), np.arange(agents)] = True
    objects = [(int(rng.integers(0, 7)), rng.uniform(0.5, 6.0, 3), track() * seen[:, None]) for seen in present.T]
    return make_scene(
        [ring() for _ in range(polygons)],
        layers,
        [bool(layer in LANES and rng.random() < 0.5) for layer in layers],
        objects,
        [ring() for _ in range(3)],
        line.tolist(),
        pose,
        speed=8.0 if rng.random() < 0.5 else float(rng.uniform(0.0, 15.0)),
        history=rng.random() < 0.9,
        present=present,
        red=rng.random((STEPS, 3)) < 0.3,
        human=None if rng.random() < 0.2 else random_plans(seed, 1)[0, 0],
    )


def random_plans(seed, count):
    """(1, count, 8, 3) plans that brake, race, turn, reverse and jump."""
    rng = np.random.default_rng(seed)
    time = np.arange(1, 9) * 0.5
    plans = []
    for _ in range(count):
        gentle = rng.random() < 0.3
        speed, bend = (8.0, rng.normal(0.0, 0.01)) if gentle else (rng.uniform(-3.0, 18.0), rng.uniform(-0.15, 0.15))
        heading = bend * time * speed * 0.3
        step = np.stack((np.cos(heading), np.sin(heading)), axis=-1) * speed * 0.5
        poses = np.concatenate(
            (step.cumsum(0) + rng.normal(0.0, 0.01 if gentle else 0.3, (8, 2)), heading[:, None]), axis=1
        )
        plans.append(poses)
    return torch.tensor(np.stack(plans))[None]


@pytest.fixture(scope="session")
def made():
    """The functions of this file: `made.scene(...)`, `made.random_scene(seed)`, `made.random_plans(seed, count)`."""
    return SimpleNamespace(scene=make_scene, random_scene=random_scene, random_plans=random_plans)
