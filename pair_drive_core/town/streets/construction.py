"""What somebody put into a lane or lost there: construction zones, containers that block it, debris."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pair_drive_core.scene import ObjectType
from pair_drive_core.town.streets.curves import FloatArray, offset_left
from pair_drive_core.town.streets.deviation import Deviation
from pair_drive_core.town.streets.network import Lane, RoadNetwork

_RAMP_M = 14.0
_ASIDE_M = 0.9
"""How far vehicles move to the left to pass."""
_TAPER_M = 8.0
_STRAIGHT_RAD = 0.5
"""No zone in a bend that turns more."""
_CONE = ((0.36, 0.36, 0.75), (235, 100, 30))
_BARRIER = ((2.0, 0.5, 1.0), (240, 150, 60))
_SIGN = ((0.12, 0.9, 1.7), (245, 160, 20))
_BIN = ((0.7, 0.7, 1.1), (60, 90, 70))
_DEBRIS = ((0.7, 0.5, 0.4), (70, 55, 45))
_DEBRIS_ASIDE_M = 1.95
"""How far vehicles swerve round debris: near the middle of the road, but not into whoever comes."""
_DEBRIS_RAMP_M = 16.0
_CONTAINER = ((6.0, 2.2, 2.1), (150, 75, 45))
_CONTAINER_ASIDE_M = -0.75
"""Middle of a container, left of the centre line: it reaches over that line, so the lane is shut."""
_BEFORE_BLOCK_M, _BEHIND_BLOCK_M = 36.0, 32.0
"""Least distances of a container from the beginning and the end of its lane: room to go round it."""


@dataclass(frozen=True)
class Obstacle:
    """A thing that somebody put there.

    Attributes:
        pose: (3,), x, y, heading; m, rad.
        size: length, width, height, m.
        color: RGB.
        kind: class.
    """

    pose: FloatArray
    size: tuple[float, float, float]
    color: tuple[int, int, int]
    kind: ObjectType


@dataclass(frozen=True)
class Blockage:
    """A stretch of a lane that can only be passed on the side of the oncoming traffic.

    Attributes:
        lane: index of the lane, the only one of its direction.
        oncoming: index of the lane beside it.
        start_m: where the stretch begins on the lane.
        end_m: where it ends.
    """

    lane: int
    oncoming: int
    start_m: float
    end_m: float


@dataclass(frozen=True)
class ObstacleAmounts:
    """How much of what stands or lies in and beside the lanes.

    Attributes:
        zones: construction zones at most; places in bends are passed over.
        bins: bins on pavements.
        debris: things that lie in single lanes, at most.
        blocked_share: how likely it is that a lane is blocked.
    """

    zones: int
    bins: int
    debris: int
    blocked_share: float


@dataclass(frozen=True)
class Construction:
    """Everything in the lanes of a town.

    Attributes:
        obstacles: cones, barriers, signs, bins, containers.
        detours: by lane, the bend in every path along it; arc lengths are the lane's.
        blockages: the lanes that are shut.
    """

    obstacles: tuple[Obstacle, ...]
    detours: dict[int, Deviation]
    blockages: tuple[Blockage, ...]


def draw_construction(network: RoadNetwork, amounts: ObstacleAmounts, rng: np.random.Generator) -> Construction:
    """Put construction zones on outer lanes without parking, bins on pavements, debris and a container into lanes.

    Args:
        network: the map.
        amounts: how much of everything.
        rng: source of all randomness.
    """
    obstacles: list[Obstacle] = []
    detours: dict[int, Deviation] = {}
    outer = [i for i, lane in enumerate(network.lanes) if lane.road is not None and lane.right is None]
    roomy = [i for i in outer if network.lanes[i].length_m > 75.0 and not _beside_parking(network, i)]
    for index in rng.permutation(np.array(roomy, dtype=np.int64))[: amounts.zones].tolist():
        lane = network.lanes[index]
        length = float(np.round(rng.uniform(18.0, 26.0), 1))
        start = float(np.round(rng.uniform(22.0, lane.length_m - length - 24.0), 1))
        if _turning(lane, start - _RAMP_M, start + length + _RAMP_M) > _STRAIGHT_RAD:
            continue
        obstacles += _zone(lane, start, length)
        detours[index] = Deviation(start - _RAMP_M, _RAMP_M, length, _ASIDE_M, "construction")
    for index in rng.choice(np.array(outer, dtype=np.int64), amounts.bins).tolist():
        lane = network.lanes[index]
        pose = _beside(lane, float(rng.uniform(8.0, lane.length_m - 8.0)), -(_kerb(network, index) + 0.5))
        obstacles.append(Obstacle(pose, *_BIN, ObjectType.GENERIC_OBJECT))
    for index, at in _draw_debris(network, [i for i in outer if i not in detours], amounts.debris, rng):
        obstacles.append(Obstacle(_beside(network.lanes[index], at, 0.0), *_DEBRIS, ObjectType.GENERIC_OBJECT))
        # The rear axle is wholly aside from 5 m before the thing until it has passed it.
        detours[index] = Deviation(at - 5.0 - _DEBRIS_RAMP_M, _DEBRIS_RAMP_M, 6.0, _DEBRIS_ASIDE_M, "debris")
    blockages = _draw_blockage(network, detours, rng) if rng.random() < amounts.blocked_share else ()
    for blockage in blockages:
        obstacles += _container(network.lanes[blockage.lane], blockage)
    return Construction(tuple(obstacles), detours, blockages)


def obstacle_types(construction: Construction) -> npt.NDArray[np.int64]:
    """(M,): classes of the obstacles."""
    return np.array([int(o.kind) for o in construction.obstacles], dtype=np.int64)


def _draw_debris(
    network: RoadNetwork, lanes: list[int], count: int, rng: np.random.Generator
) -> list[tuple[int, float]]:
    """Lanes, alone in their direction and straight there, and places on them, m."""
    single = np.array([i for i in lanes if network.lanes[i].left is None], dtype=np.int64)
    reach = 2.0 * _DEBRIS_RAMP_M
    places = []
    for index in rng.permutation(single)[:count].tolist():
        lane = network.lanes[index]
        at = float(np.round(rng.uniform(min(reach, lane.length_m / 2.0), max(lane.length_m - reach, reach)), 1))
        if lane.length_m > 2.0 * reach and _turning(lane, at - reach, at + reach) < _STRAIGHT_RAD:
            places.append((index, at))
    return places


def _draw_blockage(
    network: RoadNetwork, detours: dict[int, Deviation], rng: np.random.Generator
) -> tuple[Blockage, ...]:
    """A place in a street with one lane each way, if the town has one; not in a bend, not beside a zone."""
    length = _CONTAINER[0][0] + 3.0
    places = []
    for road in network.roads:
        if len(road.lanes_forward) != 1 or len(road.lanes_backward) != 1:
            continue
        pair = (road.lanes_forward[0], road.lanes_backward[0])
        for index, oncoming in (pair, pair[::-1]):
            room = network.lanes[index].length_m - _BEFORE_BLOCK_M - _BEHIND_BLOCK_M - length
            if room > 0.0 and not detours.keys() & {index, oncoming} and not _beside_parking(network, index):
                places.append((index, oncoming, room))
    share = float(rng.random())
    for at in rng.permutation(len(places)).tolist():
        index, oncoming, room = places[at]
        start = float(np.round(_BEFORE_BLOCK_M + share * room, 1))
        if _turning(network.lanes[index], start - _BEFORE_BLOCK_M, start + length + _BEHIND_BLOCK_M) < _STRAIGHT_RAD:
            return (Blockage(index, oncoming, start, start + length),)
    return ()


def _container(lane: Lane, blockage: Blockage) -> list[Obstacle]:
    """A container between two cones."""
    middle = 0.5 * (blockage.start_m + blockage.end_m)
    return [
        Obstacle(_beside(lane, middle, _CONTAINER_ASIDE_M), *_CONTAINER, ObjectType.GENERIC_OBJECT),
        Obstacle(_beside(lane, blockage.start_m, 0.0), *_CONE, ObjectType.TRAFFIC_CONE),
        Obstacle(_beside(lane, blockage.end_m, 0.0), *_CONE, ObjectType.TRAFFIC_CONE),
    ]


def _beside_parking(network: RoadNetwork, index: int) -> bool:
    road = network.roads[network.lanes[index].road or 0]
    return road.parking[1] if index in road.lanes_forward else road.parking[0]


def _turning(lane: Lane, start_m: float, end_m: float) -> float:
    """How much a lane turns between two places, rad."""
    heading = np.unwrap(lane.centerline[:, 2])
    low, high = (int(np.clip(at, 0, len(heading) - 1)) for at in (start_m, end_m))
    return float(np.ptp(heading[low : high + 1]))


def _kerb(network: RoadNetwork, index: int) -> float:
    """From a lane's centre line to the pavement on its right, m."""
    lane = network.lanes[index]
    outermost = len(lane.centerline)
    edge = float(np.hypot(*(lane.ring[outermost] - lane.centerline[-1, :2])))
    return edge + (2.5 if _beside_parking(network, index) else 0.0)


def _beside(lane: Lane, along_m: float, offset_m: float) -> FloatArray:
    line = lane.centerline
    at = int(np.clip(round(along_m / lane.length_m * (len(line) - 1)), 0, len(line) - 1))
    xy = offset_left(line[at : at + 1, :2], line[at : at + 1, 2], offset_m)[0]
    return np.append(xy, line[at, 2])


def _zone(lane: Lane, start_m: float, length_m: float) -> list[Obstacle]:
    """A sign, a taper of cones, a row of barriers, and cones back to the kerb."""
    things = [Obstacle(_beside(lane, start_m - 12.0, -3.1), *_SIGN, ObjectType.CZONE_SIGN)]
    end = start_m + length_m
    for k in range(4):
        share = k / 3.0
        for at in (start_m + share * _TAPER_M, end - share * _TAPER_M):
            pose = _beside(lane, at, -2.35 + 0.95 * share)
            things.append(Obstacle(pose, *_CONE, ObjectType.TRAFFIC_CONE))
    barriers = np.arange(start_m + _TAPER_M + 2.0, end - _TAPER_M - 1.0, 2.4)
    things += [Obstacle(_beside(lane, float(at), -1.6), *_BARRIER, ObjectType.BARRIER) for at in barriers]
    return things
