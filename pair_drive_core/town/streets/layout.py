"""Street plans: which junctions a town has and which roads join them, before any lane is drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from pair_drive_core.town.streets.curves import FloatArray

LANE_WIDTH_M = 3.6
MEDIAN_M = 0.6
"""From a road's reference line to the inner edge of the first lane of each direction; painted, part of that lane."""
STOP_LINE_DEPTH_M = 0.6
"""Depth of the bar at the end of a lane."""
SHOULDER_M = 0.8
"""Asphalt between the outermost lane's paint and the kerb; part of that lane's polygon."""


def half_road_m(lanes: int) -> float:
    """From a road's reference line to its kerb on a side with this many lanes."""
    return lanes * LANE_WIDTH_M + SHOULDER_M + (MEDIAN_M if lanes else 0.0)


class JunctionKind(str, Enum):
    """How right of way is settled at a junction."""

    SIGNAL = "signal"
    PRIORITY = "priority"
    ROUNDABOUT = "roundabout"
    MERGE = "merge"
    BEND = "bend"


@dataclass
class Junction:
    """A place where roads meet.

    Attributes:
        center: (2,), m.
        axis: heading of its first arm, rad; arm k leaves at axis + k * 90 degrees.
        arms: road index by arm number 0 to 3.
        kind: how right of way is settled.
    """

    center: FloatArray
    axis: float
    arms: dict[int, int] = field(default_factory=dict)
    kind: JunctionKind = JunctionKind.BEND


@dataclass
class Street:
    """A road between two junctions.

    Attributes:
        start: junction index.
        start_arm: arm of the start junction that it leaves by.
        end: junction index.
        end_arm: arm of the end junction that it arrives at.
        lanes_forward: lanes from start to end.
        lanes_backward: lanes from end to start; 0 on a one-way street.
        speed_limit_mps: for both directions.
        parking: whether cars park along its kerbs.
        bow_m: how far its middle is pushed to the left of the smooth curve.
    """

    start: int
    start_arm: int
    end: int
    end_arm: int
    lanes_forward: int
    lanes_backward: int
    speed_limit_mps: float
    parking: bool
    bow_m: float = 0.0


@dataclass(frozen=True)
class LayoutConfig:
    """What kind of street plan to draw.

    Attributes:
        columns: junctions from west to east.
        rows: junctions from south to north.
        spacing_m: least and greatest distance of neighbouring junctions.
        removed_fraction: share of the inner streets left out (makes T junctions and long bends).
        signal_fraction: share of the junctions with lights.
        roundabout_fraction: share of the remaining junctions that are roundabouts.
        one_way_fraction: share of the streets between junctions that are one-way, if the junctions admit it.
        lane_drop_fraction: share of the long two-lane streets that narrow to one lane half way.
        arterial_fraction: share of the streets with two lanes a direction.
    """

    columns: int = 4
    rows: int = 3
    spacing_m: tuple[float, float] = (112.0, 152.0)
    removed_fraction: float = 0.2
    signal_fraction: float = 0.7
    roundabout_fraction: float = 0.5
    one_way_fraction: float = 0.15
    lane_drop_fraction: float = 0.35
    arterial_fraction: float = 0.45


@dataclass(frozen=True)
class Layout:
    """A street plan.

    Attributes:
        junctions: all junctions, bends included.
        streets: all streets.
    """

    junctions: tuple[Junction, ...]
    streets: tuple[Street, ...]


_EAST, _NORTH, _WEST, _SOUTH = range(4)
_SPEEDS_MPS = (8.94, 11.18, 13.41)
"""20, 25 and 30 miles an hour."""
_LANE_DROP_LENGTH_M = 112.0


def draw_layout(config: LayoutConfig, rng: np.random.Generator) -> Layout:
    """Draw a street plan on a bent grid.

    Args:
        config: kind of plan.
        rng: source of all randomness.

    Returns:
        A plan in which every junction has at least two arms.
    """
    junctions = _grid_junctions(config, rng)
    pairs = _grid_pairs(config)
    pairs = _remove_streets(pairs, config, rng)
    row_lanes = [2 if rng.random() < config.arterial_fraction else 1 for _ in range(config.rows)]
    column_lanes = [2 if rng.random() < config.arterial_fraction else 1 for _ in range(config.columns)]
    streets: list[Street] = []
    for a, arm_a, b, arm_b in pairs:
        lanes = row_lanes[a // config.columns] if arm_a == _EAST else column_lanes[a % config.columns]
        speed = _SPEEDS_MPS[int(rng.integers(0, 2)) + (1 if lanes == 2 else 0)]
        parking = lanes == 1 and rng.random() < 0.6
        bow = float(rng.uniform(-6.0, 6.0)) if rng.random() < 0.5 else 0.0
        junctions[a].arms[arm_a] = len(streets)
        junctions[b].arms[arm_b] = len(streets)
        streets.append(Street(a, arm_a, b, arm_b, lanes, lanes, speed, parking, bow))
    for junction in junctions:
        if len(junction.arms) > 2:
            junction.kind = JunctionKind.PRIORITY
    _level_lanes_at_bends(junctions, streets)
    _choose_kinds(junctions, streets, config, rng)
    _make_one_way(junctions, streets, config, rng)
    _drop_lanes(junctions, streets, config, rng)
    return Layout(tuple(junctions), tuple(streets))


def _grid_junctions(config: LayoutConfig, rng: np.random.Generator) -> list[Junction]:
    xs = np.concatenate(([0.0], np.cumsum(rng.uniform(*config.spacing_m, config.columns - 1))))
    ys = np.concatenate(([0.0], np.cumsum(rng.uniform(*config.spacing_m, config.rows - 1))))
    return [
        Junction(np.array([x, y]) + rng.uniform(-7.0, 7.0, 2), float(rng.uniform(-0.16, 0.16))) for y in ys for x in xs
    ]


def _grid_pairs(config: LayoutConfig) -> list[tuple[int, int, int, int]]:
    pairs = []
    for row in range(config.rows):
        for column in range(config.columns):
            here = row * config.columns + column
            if column + 1 < config.columns:
                pairs.append((here, _EAST, here + 1, _WEST))
            if row + 1 < config.rows:
                pairs.append((here, _NORTH, here + config.columns, _SOUTH))
    return pairs


def _remove_streets(
    pairs: list[tuple[int, int, int, int]], config: LayoutConfig, rng: np.random.Generator
) -> list[tuple[int, int, int, int]]:
    """Leave streets out while every junction keeps two arms that meet at a right angle or more than two."""
    degree: dict[int, int] = {}
    for a, _, b, _ in pairs:
        degree[a] = degree.get(a, 0) + 1
        degree[b] = degree.get(b, 0) + 1
    kept = list(pairs)
    for index in rng.permutation(len(pairs))[: int(config.removed_fraction * len(pairs))]:
        a, _, b, _ = pair = pairs[index]
        if degree[a] > 3 - (rng.random() < 0.3) and degree[b] > 2 and min(degree[a], degree[b]) > 2:
            kept.remove(pair)
            degree[a] -= 1
            degree[b] -= 1
    return kept


def _choose_kinds(
    junctions: list[Junction], streets: list[Street], config: LayoutConfig, rng: np.random.Generator
) -> None:
    for junction in junctions:
        if junction.kind is JunctionKind.BEND:
            continue
        narrow = all(streets[i].lanes_forward == 1 for i in junction.arms.values())
        if rng.random() < config.signal_fraction:
            junction.kind = JunctionKind.SIGNAL
        elif narrow and rng.random() < config.roundabout_fraction:
            junction.kind = JunctionKind.ROUNDABOUT


def _make_one_way(
    junctions: list[Junction], streets: list[Street], config: LayoutConfig, rng: np.random.Generator
) -> None:
    """At most one one-way street a junction, so that whoever comes in can go out."""
    taken: set[int] = set()
    for street in streets:
        ends = (street.start, street.end)
        crossing = all(junctions[i].kind in (JunctionKind.SIGNAL, JunctionKind.PRIORITY) for i in ends)
        if crossing and not taken.intersection(ends) and rng.random() < config.one_way_fraction:
            taken.update(ends)
            if rng.random() < 0.5:
                street.lanes_forward, street.lanes_backward = max(street.lanes_forward, 2), 0
            else:
                street.lanes_forward, street.lanes_backward = 0, max(street.lanes_backward, 2)


def _drop_lanes(
    junctions: list[Junction], streets: list[Street], config: LayoutConfig, rng: np.random.Generator
) -> None:
    """Narrow some two-lane streets to one lane half way: a merge one way, a split the other."""
    for index in range(len(streets)):
        street = streets[index]
        start, end = junctions[street.start], junctions[street.end]
        between = end.center - start.center
        wide = street.lanes_forward == street.lanes_backward == 2 and float(np.hypot(*between)) > _LANE_DROP_LENGTH_M
        crossing = JunctionKind.BEND not in (start.kind, end.kind)
        if not (wide and crossing) or rng.random() > config.lane_drop_fraction:
            continue
        middle = Junction(0.5 * (start.center + end.center), float(np.arctan2(between[1], between[0])))
        middle.kind = JunctionKind.MERGE
        middle.arms = {_WEST: index, _EAST: len(streets)}
        place = len(junctions)
        far = Street(place, _EAST, street.end, street.end_arm, 1, 1, street.speed_limit_mps, False)
        end.arms[street.end_arm] = len(streets)
        street.end, street.end_arm, street.bow_m = place, _WEST, 0.0
        junctions.append(middle)
        streets.append(far)


def _level_lanes_at_bends(junctions: list[Junction], streets: list[Street]) -> None:
    """Streets joined by a bend carry the same lanes, so that a bend is nothing but a curve."""
    changed = True
    while changed:
        changed = False
        for junction in junctions:
            if junction.kind is not JunctionKind.BEND:
                continue
            one, other = (streets[i] for i in junction.arms.values())
            lanes = min(one.lanes_forward, other.lanes_forward)
            speed = min(one.speed_limit_mps, other.speed_limit_mps)
            for street in (one, other):
                changed |= street.lanes_forward != lanes or street.speed_limit_mps != speed
                street.lanes_forward = street.lanes_backward = lanes
                street.speed_limit_mps = speed
                street.parking = one.parking and other.parking
