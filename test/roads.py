"""A straight road along +x with one lane of 4 m, everything drivable, and what stands on it."""

import torch

from pair_drive_core.scene import (
    EgoHistory,
    EgoState,
    LaneGraph,
    MapLayer,
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


def placed(points, shift, turn):
    """Points (..., 2) or poses (..., 3) turned about the origin and moved."""
    points = f64(points)
    cos, sin = f64(turn).cos(), f64(turn).sin()
    x, y = points[..., 0] * cos - points[..., 1] * sin, points[..., 0] * sin + points[..., 1] * cos
    moved = torch.stack((x, y), dim=-1) + f64(shift)
    return moved if points.shape[-1] == 2 else torch.cat((moved, points[..., 2:] + turn), dim=-1)


def one_lane(length=300.0, limit=10.0, points=151, shift=(0.0, 0.0), turn=0.0):
    """A lane graph of one lane from x = -50 m on."""
    x = torch.linspace(-50.0, length - 50.0, points, dtype=torch.float64)
    line = placed(torch.stack((x, torch.zeros_like(x), torch.zeros_like(x)), dim=-1), shift, turn)
    end = length - 50.0
    ring = placed([[-50.0, -2.0], [end, -2.0], [end, 2.0], [-50.0, 2.0]], shift, turn)
    return LaneGraph(
        ("lane",),
        torch.tensor([False]),
        ("road",),
        PackedRings.from_sequences([line]),
        PackedRings.from_sequences([ring]),
        f64([float("nan") if limit is None else limit]),
        ((),),
    )


def standing(scene):
    """(41, 11): the ego stays where it is at t0."""
    return scene.ego.to_vector().expand(41, -1)


def road(objects=(), ego=(0.0, 0.0, 0.0), speed=8.0, limit=10.0, red=None, shift=(0.0, 0.0), turn=0.0, lanes="lane"):
    """A scene of 300 m.

    Objects are (token, type, (x, y, heading), speed) and, if they are not always seen, 11 flags; they keep their speed.
    `red` is a ring with a red light all the time; `lanes` replaces the lane graph.
    """
    pose, velocity = placed(ego, shift, turn), f64([speed, 0.0])
    starts = placed([o[2] for o in objects], shift, turn) if objects else torch.zeros(0, 3, dtype=torch.float64)
    pace = f64([o[3] for o in objects])
    direction = torch.stack((starts[:, 2].cos(), starts[:, 2].sin()), dim=-1)
    now = torch.cat((starts, direction * pace[:, None]), dim=-1)
    states = now.expand(11, -1, -1).clone()
    states[..., :2] += torch.arange(11, dtype=torch.float64)[:, None, None] * 0.5 * now[:, 3:]
    count = len(objects)
    seen = torch.tensor([o[4] if len(o) > 4 else [True] * 11 for o in objects], dtype=torch.bool).reshape(count, 11).T
    tracks = TrackedObjects(
        tuple(o[0] for o in objects),
        torch.tensor([int(o[1]) for o in objects], dtype=torch.int64),
        f64([CAR] * count).reshape(-1, 3),
        torch.where(seen[..., None], states, 0.0),
        seen,
        0.5,
    )
    graph = one_lane(300.0, limit, 151, shift, turn)
    ground = placed([[-50.0, -9.0], [250.0, -9.0], [250.0, 9.0], [-50.0, 9.0]], shift, turn)
    lights = TrafficLights.empty(41)
    if red is not None:
        ring = PackedRings.from_sequences([placed(red, shift, turn)])
        lights = TrafficLights(("light",), torch.ones(41, 1, dtype=torch.bool), ring)
    return Scene(
        "road",
        10_000_000,
        EgoState.at(pose, velocity, f64([0.0, 0.0])),
        EgoHistory(torch.tensor([10_000_000]), pose[None], velocity[None], f64([[0.0, 0.0]])),
        tracks,
        MapPolygons(
            ("ground", "lane"),
            torch.tensor([int(MapLayer.ROADBLOCK), int(MapLayer.LANE)]),
            PackedRings.from_sequences([ground, graph.rings[0]]),
            torch.tensor([False, True]),
        ),
        Route(("lane",), graph.centerlines[0]),
        lights,
        lanes=graph if lanes == "lane" else lanes,
    )
