"""A straight road on which every rule can be worked out by hand."""

import pytest
import torch

from pair_drive_core.scene import (
    EgoHistory,
    EgoState,
    MapLayer,
    MapPolygons,
    ObjectType,
    PackedRings,
    Route,
    Scene,
    TrackedObjects,
    TrafficLights,
    Trajectory,
)

KEY_FRAMES = 11


def rectangle(x0, x1, y0, y1):
    return torch.tensor([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=torch.float64)


class StraightRoad:
    """Builds scenes: the ego drives along +x at `speed`, its lane is 3.5 m wide around y = 0, left of it is another.

    The own lane is on the route, the left one is not. Both lie on a roadblock. Human and reference keep the speed.
    """

    OWN_LANE = ("own lane", MapLayer.LANE, rectangle(-60, 160, -1.75, 1.75), True)
    LEFT_LANE = ("left lane", MapLayer.LANE, rectangle(-60, 160, 1.75, 5.25), False)
    ROADBLOCK = ("roadblock", MapLayer.ROADBLOCK, rectangle(-60, 160, -1.75, 5.25), False)
    POLYGONS = (ROADBLOCK, OWN_LANE, LEFT_LANE)
    rectangle = staticmethod(rectangle)

    @staticmethod
    def plan(speed=10.0, y=0.0, heading=0.0, dtype=torch.float64):
        """(1, 1, 8, 3): constant speed to a lateral position."""
        time = torch.arange(1, 9, dtype=dtype) * 0.5
        ones = torch.ones_like(time)
        return torch.stack((speed * time, y * ones, heading * ones), dim=-1)[None, None]

    @staticmethod
    def object(
        token, x, y=0.0, heading=0.0, speed=0.0, kind=ObjectType.VEHICLE, size=(5.0, 2.0), seen=range(KEY_FRAMES)
    ):
        """A track that moves along its heading; x, y and speed may be functions of time (then only x and y move it)."""
        return {
            "token": token,
            "x": x,
            "y": y,
            "heading": heading,
            "speed": speed,
            "kind": kind,
            "size": size,
            "seen": seen,
        }

    def scene(
        self,
        objects=(),
        polygons=POLYGONS,
        centerline=((-60.0, 0.0), (160.0, 0.0)),
        red=(),
        speed=10.0,
        start=(0.0, 0.0, 0.0),
        human=None,
        past_acceleration=(0.0, 0.0),
        offset=(0.0, 0.0),
        token="straight",
    ):
        pose = torch.tensor(start, dtype=torch.float64)
        shift = torch.tensor(offset, dtype=torch.float64)
        pose[:2] += shift
        velocity = torch.tensor([speed, 0.0], dtype=torch.float64)
        time_s = torch.arange(41, dtype=torch.float64) * 0.1
        reference = torch.stack((pose[0] + speed * time_s, pose[1].expand(41), pose[2].expand(41)), dim=-1)
        human_poses = self.plan(speed)[0, 0] if human is None else human
        return Scene(
            token=token,
            time_us=10_000_000,
            ego=EgoState.at(pose, velocity, torch.zeros(2, dtype=torch.float64)),
            history=self._history(pose, velocity, past_acceleration),
            objects=self._objects(objects, shift),
            map=MapPolygons(
                tuple(p[0] for p in polygons),
                torch.tensor([int(p[1]) for p in polygons], dtype=torch.int64),
                PackedRings.from_sequences([p[2] + shift if len(p[2]) else p[2] for p in polygons]),
                torch.tensor([p[3] for p in polygons], dtype=torch.bool),
            ),
            route=Route(("own lane",), self._centerline(centerline, shift)),
            lights=TrafficLights(
                tuple(r[0] for r in red),
                torch.tensor([[step in r[2] for r in red] for step in range(41)], dtype=torch.bool).reshape(
                    41, len(red)
                ),
                PackedRings.from_sequences([r[1] + shift for r in red]),
            ),
            human=Trajectory(human_poses),
            reference=reference,
        )

    @staticmethod
    def _history(pose, velocity, acceleration):
        time = torch.tensor([-1.5, -1.0, -0.5, 0.0], dtype=torch.float64)
        poses = torch.stack((pose[0] + velocity[0] * time, pose[1].expand(4), pose[2].expand(4)), dim=-1)
        past = torch.tensor(acceleration, dtype=torch.float64).expand(4, 2).clone()
        past[-1] = 0.0
        return EgoHistory((10_000_000 + time * 1e6).to(torch.int64), poses, velocity.expand(4, 2), past)

    @staticmethod
    def _centerline(points, shift):
        xy = torch.tensor(points, dtype=torch.float64) + shift
        return torch.cat((xy, torch.zeros(len(points), 1, dtype=torch.float64)), dim=-1)

    @staticmethod
    def _objects(objects, shift):
        states = torch.zeros(KEY_FRAMES, len(objects), 5, dtype=torch.float64)
        present = torch.zeros(KEY_FRAMES, len(objects), dtype=torch.bool)
        for column, item in enumerate(objects):
            heading = torch.tensor(item["heading"], dtype=torch.float64)
            for frame in item["seen"]:
                time = frame * 0.5
                xy = [v(time) if callable(v) else v for v in (item["x"], item["y"])]
                speed = item["speed"](time) if callable(item["speed"]) else item["speed"]
                free = callable(item["x"]) or callable(item["y"]) or callable(item["speed"])
                travelled = 0.0 if free else speed * time
                states[frame, column] = torch.tensor(
                    [
                        xy[0] + travelled * heading.cos() + shift[0],
                        xy[1] + travelled * heading.sin() + shift[1],
                        heading,
                        speed * heading.cos(),
                        speed * heading.sin(),
                    ],
                    dtype=torch.float64,
                )
                present[frame, column] = True
        return TrackedObjects(
            tuple(item["token"] for item in objects),
            torch.tensor([int(item["kind"]) for item in objects], dtype=torch.int64),
            torch.tensor([[*item["size"], 1.5] for item in objects], dtype=torch.float64).reshape(-1, 3),
            states,
            present,
            interval_s=0.5,
        )


@pytest.fixture
def road():
    return StraightRoad()


@pytest.fixture(params=["torch", "auto"])
def backend(request):
    """The torch path, and the native kernel where it is built."""
    return request.param
