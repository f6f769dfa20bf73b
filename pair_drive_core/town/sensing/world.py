"""What the sensors see of a town at one moment: upright boxes in the ego frame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from pair_drive_core.town.streets.curves import FloatArray, unit
from pair_drive_core.town.streets.scenery import Boxes
from pair_drive_core.town.streets.signals import Light
from pair_drive_core.town.traffic.drivers import VehicleKind
from pair_drive_core.town.traffic.moments import Moment
from pair_drive_core.town.traffic.simulator import TownSimulator


class Shape(IntEnum):
    """What a box is part of; decides how it is painted and how it reflects."""

    BODY = 0
    CABIN = 1
    PERSON = 2
    BUILDING = 3
    CROWN = 4
    TRUNK = 5
    POLE = 6
    HEAD = 7
    OBSTACLE = 8


REFLECTIVITY = np.array([0.35, 0.12, 0.30, 0.25, 0.18, 0.20, 0.45, 0.30, 0.60])
"""By `Shape`."""


@dataclass(frozen=True)
class World:
    """Boxes around the ego.

    Attributes:
        pose: (N, 3), centre x, y, heading; m, rad.
        size: (N, 3), length, width, height; m.
        base_m: (N,), bottom above the ground.
        color: (N, 3) uint8, RGB.
        shape: (N,) int64, `Shape`.
        order: (N,) int64: 0 for the lowest box of a thing, 1, 2 .. for those above it, which follow it in the list.
        lamp: (N,) int64, `Light` of a traffic-light head; -1 for everything else.
    """

    pose: FloatArray
    size: FloatArray
    base_m: FloatArray
    color: npt.NDArray[np.uint8]
    shape: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]
    lamp: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.pose)

    def select(self, chosen: npt.NDArray[np.int64]) -> World:
        """Some of the boxes."""
        return World(
            self.pose[chosen], self.size[chosen], self.base_m[chosen], self.color[chosen], self.shape[chosen],
            self.order[chosen], self.lamp[chosen],
        )  # fmt: skip

    @staticmethod
    def join(parts: list[World]) -> World:
        """All boxes of several worlds."""
        return World(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("pose", "size", "base_m", "color", "shape", "order", "lamp")
            )
        )

    def seen_from(self, origin: FloatArray, radius_m: float) -> World:
        """The boxes near a pose, in its frame.

        Args:
            origin: (3,), x, y, heading of the new frame.
            radius_m: distance of box centres kept; things keep all their boxes.
        """
        offset = self.pose[:, :2] - origin[:2]
        # A thing's boxes share its ground centre closely enough to be kept or dropped together.
        root = np.arange(len(self)) - self.order
        near = np.nonzero((offset[root] ** 2).sum(-1) < radius_m**2)[0]
        cos, sin = np.cos(origin[2]), np.sin(origin[2])
        kept = self.select(near)
        x, y = offset[near, 0], offset[near, 1]
        pose = np.column_stack((cos * x + sin * y, cos * y - sin * x, kept.pose[:, 2] - origin[2]))
        return World(pose, kept.size, kept.base_m, kept.color, kept.shape, kept.order, kept.lamp)


def _stack(pieces: list[tuple[FloatArray, FloatArray, FloatArray, npt.NDArray[np.uint8], Shape]]) -> World:
    """Interleave the pieces of N things: thing 0's pieces from the ground up, then thing 1's."""
    count, levels = len(pieces[0][0]), len(pieces)
    return World(
        np.stack([p[0] for p in pieces], axis=1).reshape(-1, 3),
        np.stack([p[1] for p in pieces], axis=1).reshape(-1, 3),
        np.stack([p[2] for p in pieces], axis=1).reshape(-1),
        np.stack([p[3] for p in pieces], axis=1).reshape(-1, 3),
        np.tile(np.array([int(p[4]) for p in pieces], dtype=np.int64), count),
        np.tile(np.arange(levels, dtype=np.int64), count),
        np.full(count * levels, -1, dtype=np.int64),
    )


def cars(pose: FloatArray, size: FloatArray, color: npt.NDArray[np.uint8]) -> World:
    """Cars: a body and a cabin of glass set back on it."""
    ground = np.full(len(pose), 0.22)
    body = size * np.array([1.0, 1.0, 0.52]) - np.array([0.0, 0.0, 0.1])
    cabin = size * np.array([0.60, 0.86, 0.46])
    back = pose.copy()
    back[:, :2] -= unit(pose[:, 2]) * 0.06 * size[:, :1]
    glass = np.tile(np.array([38, 44, 52], dtype=np.uint8), (len(pose), 1))
    return _stack([(pose, body, ground, color, Shape.BODY), (back, cabin, ground + body[:, 2], glass, Shape.CABIN)])


def trucks(pose: FloatArray, size: FloatArray, color: npt.NDArray[np.uint8]) -> World:
    """Trucks: a low cab in front of a tall load."""
    ground = np.full(len(pose), 0.35)
    cab, load = pose.copy(), pose.copy()
    cab[:, :2] += unit(pose[:, 2]) * 0.39 * size[:, :1]
    load[:, :2] -= unit(pose[:, 2]) * 0.11 * size[:, :1]
    cab_size = size * np.array([0.22, 0.96, 0.72])
    load_size = size * np.array([0.78, 1.0, 0.88])
    white = np.tile(np.array([206, 206, 200], dtype=np.uint8), (len(pose), 1))
    return _stack([(load, load_size, ground, white, Shape.BODY), (cab, cab_size, ground, color, Shape.BODY)])


def bicycles(pose: FloatArray, size: FloatArray, color: npt.NDArray[np.uint8]) -> World:
    """Bicycles: a thin frame with a rider on it."""
    count = len(pose)
    frame = size * np.array([1.0, 0.12, 0.58])
    rider = np.tile(np.array([0.5, 0.46, 0.72]), (count, 1))
    zero = np.zeros(count)
    dark = np.tile(np.array([28, 28, 30], dtype=np.uint8), (count, 1))
    return _stack([(pose, frame, zero, dark, Shape.TRUNK), (pose, rider, zero + 0.95, color, Shape.PERSON)])


def people(pose: FloatArray, color: npt.NDArray[np.uint8]) -> World:
    """People: legs, trunk and head."""
    count = len(pose)
    legs = np.tile(np.array([0.34, 0.34, 0.82]), (count, 1))
    trunk = np.tile(np.array([0.34, 0.52, 0.62]), (count, 1))
    head = np.tile(np.array([0.24, 0.22, 0.26]), (count, 1))
    zero = np.zeros(count)
    dark = (color // 3).astype(np.uint8)
    skin = np.tile(np.array([205, 160, 130], dtype=np.uint8), (count, 1))
    return _stack(
        [
            (pose, legs, zero, dark, Shape.PERSON),
            (pose, trunk, zero + 0.82, color, Shape.PERSON),
            (pose, head, zero + 1.46, skin, Shape.PERSON),
        ]
    )


def plain(boxes: Boxes, shape: Shape) -> World:
    """Boxes as they are."""
    return _stack([(boxes.pose, boxes.size, boxes.base_m, boxes.color, shape)])


class TownView:
    """What stands in a town, prepared once; `at` adds what moves.

    Attributes:
        simulator: the town's life.
        radius_m: how far the sensors see.
    """

    def __init__(self, simulator: TownSimulator, radius_m: float = 95.0) -> None:
        self.simulator = simulator
        self.radius_m = radius_m
        scenery = simulator.town.scenery
        trunks = np.tile(np.array([0.3, 0.3, 2.4]), (len(scenery.trees), 1))
        brown = np.tile(np.array([85, 65, 50], dtype=np.uint8), (len(scenery.trees), 1))
        trees = _stack(
            [
                (scenery.trees.pose, trunks, np.zeros(len(trunks)), brown, Shape.TRUNK),
                (scenery.trees.pose, scenery.trees.size, scenery.trees.base_m, scenery.trees.color, Shape.CROWN),
            ]
        )
        self._still = World.join(
            [
                cars(scenery.parked.pose, scenery.parked.size, scenery.parked.color),
                plain(scenery.obstacles, Shape.OBSTACLE),
                plain(scenery.buildings, Shape.BUILDING),
                trees,
            ]
        )
        self._heads = self._signal_boxes()

    def at(self, moment: Moment, vehicle: int) -> World:
        """Everything but the ego itself, in the ego frame (rear axle on the ground)."""
        fleet = self.simulator.fleet
        direction = unit(moment.pose[:, 2])
        centers = moment.pose.copy()
        centers[:, :2] += fleet.center_m[:, None] * direction
        others = np.arange(len(fleet)) != vehicle
        sizes = np.column_stack((fleet.length_m, fleet.width_m, fleet.height_m))
        world = World.join(
            [
                *self._vehicles(centers, sizes, others),
                people(moment.walkers, self.simulator.people.color),
                self._still,
                self._lit(moment.time_s),
            ]
        )
        return world.seen_from(moment.pose[vehicle], self.radius_m)

    def _vehicles(self, centers: FloatArray, sizes: FloatArray, shown: npt.NDArray[np.bool_]) -> list[World]:
        """Moving vehicles, drawn by their kind."""
        fleet = self.simulator.fleet
        draw = ((VehicleKind.CAR, cars), (VehicleKind.TRUCK, trucks), (VehicleKind.BICYCLE, bicycles))
        worlds = []
        for kind, boxes_of in draw:
            rows = shown & (fleet.kind == int(kind))
            worlds.append(boxes_of(centers[rows], sizes[rows], fleet.color[rows]))
        return worlds

    def _signal_boxes(self) -> World:
        heads = self.simulator.town.scenery.heads
        count = len(heads)
        poses = np.array([[*h.position[:2], h.facing] for h in heads]).reshape(count, 3)
        base = np.array([h.position[2] for h in heads]).reshape(count)
        foot = np.where([h.hangs for h in heads], base - 0.3, 0.0)
        pole = np.column_stack((np.full(count, 0.16), np.full(count, 0.16), base - foot))
        behind = poses.copy()
        behind[:, :2] -= unit(poses[:, 2]) * 0.2
        gray = np.tile(np.array([70, 72, 75], dtype=np.uint8), (count, 1))
        dark = np.tile(np.array([25, 25, 22], dtype=np.uint8), (count, 1))
        # Twice life size: at a few pixels a degree a real lens would not colour one pixel.
        case = np.tile(np.array([0.35, 0.65, 1.6]), (count, 1))
        return _stack([(behind, pole, foot, gray, Shape.POLE), (poses, case, base - 0.2, dark, Shape.HEAD)])

    def _lit(self, time_s: float) -> World:
        boxes, town = self._heads, self.simulator.town
        lamp = boxes.lamp.copy()
        lights = [int(town.plans[h.junction].light(h.arm, time_s)) for h in town.scenery.heads]
        lamp[1::2] = np.array(lights, dtype=np.int64)
        return World(boxes.pose, boxes.size, boxes.base_m, boxes.color, boxes.shape, boxes.order, lamp)


LAMP_COLORS: dict[int, tuple[int, int, int]] = {
    int(Light.GREEN): (40, 255, 120),
    int(Light.YELLOW): (255, 200, 40),
    int(Light.RED): (255, 40, 30),
}
"""RGB by `Light`."""
