"""What stands in a town: parked cars, buildings, trees, traffic-light heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from shapely import STRtree
from shapely.geometry import Polygon as ShapelyPolygon
from shapely.ops import unary_union

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.scene import ObjectType
from pair_drive_core.town.streets.construction import Blockage, ObstacleAmounts, draw_construction, obstacle_types
from pair_drive_core.town.streets.curves import FloatArray, offset_left, snap, unit
from pair_drive_core.town.streets.deviation import Deviation
from pair_drive_core.town.streets.layout import JunctionKind, half_road_m
from pair_drive_core.town.streets.network import Road, RoadNetwork
from pair_drive_core.town.streets.network_builder import PARKING_WIDTH_M, WALKWAY_WIDTH_M

PAINT = np.array(
    [
        [235, 235, 235], [30, 30, 34], [120, 124, 128], [175, 178, 182], [160, 30, 32],
        [35, 60, 120], [70, 95, 75], [190, 160, 60], [90, 60, 45], [60, 110, 150],
    ],
    dtype=np.uint8,
)  # fmt: skip
"""Usual colours of cars, parked or driving."""
_PARKING_BEND_RAD = 0.22
"""Nobody parks where the road turns more than this within 24 m."""
_FACADES = np.array(
    [
        [178, 160, 140],
        [150, 90, 70],
        [200, 195, 185],
        [120, 125, 135],
        [185, 150, 110],
        [95, 100, 110],
        [210, 205, 170],
    ],
    dtype=np.uint8,
)


@dataclass(frozen=True)
class Boxes:
    """Upright boxes.

    Attributes:
        pose: (N, 3), centre x, y, heading; m, rad.
        size: (N, 3), length, width, height, m.
        base_m: (N,), height of the bottom above the ground.
        color: (N, 3) uint8, RGB.
    """

    pose: FloatArray
    size: FloatArray
    base_m: FloatArray
    color: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.pose)

    @staticmethod
    def of(pose: list[FloatArray], size: list[tuple[float, float, float]], color: npt.NDArray[np.uint8]) -> Boxes:
        """Boxes that stand on the ground."""
        count = len(pose)
        return Boxes(
            snap(np.array(pose, dtype=np.float64).reshape(count, 3)),
            snap(np.array(size, dtype=np.float64).reshape(count, 3)),
            np.zeros(count),
            color.reshape(count, 3),
        )


@dataclass(frozen=True)
class SignalHead:
    """A traffic-light head.

    Attributes:
        position: (3,), m.
        facing: direction that it shines in, rad.
        junction: index of its junction.
        arm: the arm whose traffic it holds.
        hangs: whether it hangs from a wire rather than standing on a pole.
    """

    position: FloatArray
    facing: float
    junction: int
    arm: int
    hangs: bool


@dataclass(frozen=True)
class Scenery:
    """Everything that stands.

    Attributes:
        parked: parked cars.
        obstacles: cones, barriers, signs and other things on the road.
        obstacle_types: (M,) int64, `ObjectType` of each.
        buildings: houses.
        trees: trees, as the boxes of their crowns; the trunk stands beneath.
        heads: traffic-light heads.
        detours: by lane, the bend that leads round a construction zone or debris; arc lengths are the lane's.
        blockages: lanes that are shut.
    """

    parked: Boxes
    obstacles: Boxes
    obstacle_types: npt.NDArray[np.int64]
    buildings: Boxes
    trees: Boxes
    heads: tuple[SignalHead, ...]
    detours: dict[int, Deviation]
    blockages: tuple[Blockage, ...]


def draw_scenery(
    network: RoadNetwork, parked_fraction: float, amounts: ObstacleAmounts, rng: np.random.Generator
) -> Scenery:
    """Furnish a town.

    Args:
        network: the map.
        parked_fraction: share of the parking places taken.
        amounts: what stands or lies in and beside the lanes.
        rng: source of all randomness.
    """
    paved = unary_union(
        [ShapelyPolygon(p.ring).buffer(0.01) for p in (*network.roadblocks, *network.walkways, *network.carparks)]
        + [ShapelyPolygon(j.area.ring).buffer(WALKWAY_WIDTH_M) for j in network.junctions]
    )
    buildings = _draw_buildings(network, paved, rng)
    works = draw_construction(network, amounts, rng)
    colors = np.array([o.color for o in works.obstacles], dtype=np.uint8)
    return Scenery(
        parked=_draw_parked(network, parked_fraction, rng),
        obstacles=Boxes.of([o.pose for o in works.obstacles], [o.size for o in works.obstacles], colors),
        obstacle_types=obstacle_types(works),
        buildings=buildings,
        trees=_draw_trees(network, paved, buildings, rng),
        heads=tuple(_place_heads(network)),
        detours=works.detours,
        blockages=works.blockages,
    )


def standing_circles(scenery: Scenery) -> FloatArray:
    """(M, 3): x, y, radius of circles that cover parked cars and obstacles, m."""
    rows = []
    for boxes in (scenery.parked, scenery.obstacles):
        reach = np.maximum(boxes.size[:, 0] - boxes.size[:, 1], 0.0) / 2.0
        for share in (-1.0, 0.0, 1.0):
            xy = boxes.pose[:, :2] + (share * reach)[:, None] * unit(boxes.pose[:, 2])
            rows.append(np.column_stack((xy, np.minimum(boxes.size[:, 0], boxes.size[:, 1]) / 2.0)))
    return np.concatenate(rows)


def standing_types(scenery: Scenery) -> npt.NDArray[np.int64]:
    """(M,): object types of parked cars, then obstacles."""
    parked = np.full(len(scenery.parked), int(ObjectType.VEHICLE), dtype=np.int64)
    return np.concatenate((parked, scenery.obstacle_types))


def _sides(road: Road) -> list[tuple[float, int, bool]]:
    """(side, lanes, parking) left and right of a road."""
    return [
        (1.0, len(road.lanes_backward), road.parking[0]),
        (-1.0, len(road.lanes_forward), road.parking[1]),
    ]


def _beside(road: Road, at: int, offset_m: float) -> FloatArray:
    """Pose beside a road's reference line, heading along it."""
    here = road.reference[at]
    xy = offset_left(here[None, :2], here[None, 2], offset_m)[0]
    return np.append(xy, here[2])


def _draw_parked(network: RoadNetwork, fraction: float, rng: np.random.Generator) -> Boxes:
    pose, size = [], []
    for road in network.roads:
        for side, lanes, parking in _sides(road):
            if not parking:
                continue
            for at in range(14, len(road.reference) - 14, 7):
                heading = np.unwrap(road.reference[max(at - 12, 0) : at + 13, 2])
                if rng.random() > fraction or np.ptp(heading) > _PARKING_BEND_RAD:
                    continue
                offset = side * (half_road_m(lanes) + PARKING_WIDTH_M / 2.0 + rng.normal(0.0, 0.08))
                here = _beside(road, at, offset)
                here[2] = wrap_angle(here[2] + (np.pi if side > 0 else 0.0) + rng.normal(0.0, 0.015))
                pose.append(here)
                size.append(
                    (float(rng.uniform(4.0, 5.1)), float(rng.uniform(1.72, 1.95)), float(rng.uniform(1.4, 1.9)))
                )
    return Boxes.of(pose, size, PAINT[rng.integers(0, len(PAINT), len(pose))])


def _draw_buildings(network: RoadNetwork, paved: ShapelyPolygon, rng: np.random.Generator) -> Boxes:
    pose, size = [], []
    shapes: list[ShapelyPolygon] = []
    for road in network.roads:
        for side, lanes, parking in _sides(road):
            kerb = half_road_m(lanes) + (PARKING_WIDTH_M if parking else 0.0) + WALKWAY_WIDTH_M
            at = 4.0
            while at < len(road.reference) - 4:
                front, depth = float(rng.uniform(9.0, 24.0)), float(rng.uniform(8.0, 16.0))
                middle = min(int(at + front / 2.0), len(road.reference) - 1)
                offset = side * (kerb + float(rng.uniform(1.5, 6.0)) + depth / 2.0)
                here = _beside(road, middle, offset)
                shape = _footprint(here, front, depth)
                near = STRtree(shapes).query(shape) if shapes else []
                if not shape.intersects(paved) and not any(shape.intersects(shapes[int(i)]) for i in near):
                    pose.append(here)
                    size.append((front, depth, float(rng.choice([4.5, 6.5, 8.0, 11.0, 15.0, 22.0]))))
                    shapes.append(shape)
                at += front + float(rng.uniform(0.5, 9.0))
    return Boxes.of(pose, size, _FACADES[rng.integers(0, len(_FACADES), len(pose))])


def _footprint(pose: FloatArray, length_m: float, width_m: float) -> ShapelyPolygon:
    along, across = unit(pose[2]) * length_m / 2.0, unit(pose[2] + np.pi / 2.0) * width_m / 2.0
    return ShapelyPolygon([pose[:2] + a * along + b * across for a, b in ((1, 1), (-1, 1), (-1, -1), (1, -1))])


def _draw_trees(network: RoadNetwork, paved: ShapelyPolygon, buildings: Boxes, rng: np.random.Generator) -> Boxes:
    pose, size = [], []
    walls = STRtree(
        [_footprint(p, float(s[0]), float(s[1])) for p, s in zip(buildings.pose, buildings.size, strict=True)]
    )
    for road in network.roads:
        for side, lanes, parking in _sides(road):
            kerb = half_road_m(lanes) + (PARKING_WIDTH_M if parking else 0.0) + WALKWAY_WIDTH_M
            for at in range(6, len(road.reference) - 6, 11):
                if rng.random() > 0.55:
                    continue
                here = _beside(road, at + int(rng.integers(-3, 4)), side * (kerb + 0.9))
                trunk = _footprint(here, 0.6, 0.6)
                if trunk.intersects(paved) or len(walls.query(trunk, predicate="intersects")):
                    continue
                crown = float(rng.uniform(2.2, 4.2))
                pose.append(here)
                size.append((crown, crown, float(rng.uniform(4.5, 8.5))))
    color = np.stack(
        (rng.integers(30, 75, len(pose)), rng.integers(75, 125, len(pose)), rng.integers(25, 60, len(pose))), axis=-1
    )
    boxes = Boxes.of(pose, size, color.astype(np.uint8))
    # A crown begins above the heads of people and the roofs of vans.
    return Boxes(boxes.pose, boxes.size - np.array([0.0, 0.0, 2.3]), np.full(len(pose), 2.3), boxes.color)


def _place_heads(network: RoadNetwork) -> list[SignalHead]:
    """Two heads an arm: above the far side of the junction and on the near right corner."""
    heads = []
    for index, junction in enumerate(network.junctions):
        if junction.kind is not JunctionKind.SIGNAL:
            continue
        for arm, heading in junction.arm_headings.items():
            out, right = unit(heading), unit(heading + np.pi / 2.0)
            far = junction.center - out * (junction.setback_m - 3.5) + right * 2.2
            near = junction.crosswalks[arm].ring[1] + 0.5 * out + 1.0 * right
            heads.append(SignalHead(snap(np.append(far, 5.3)), heading, index, arm, hangs=True))
            heads.append(SignalHead(snap(np.append(near, 2.9)), heading, index, arm, hangs=False))
    return heads
