"""Draws the lanes of a street plan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.town.streets.curves import (
    FloatArray,
    arc_lengths,
    blend,
    offset_left,
    oriented,
    resample,
    snap,
    strip,
    unit,
)
from pair_drive_core.town.streets.junction_shapes import (
    Arm,
    crosswalk_ring,
    junction_ring,
    roadblock_connector_ring,
    roundabout_curve,
    roundabout_ring,
)
from pair_drive_core.town.streets.layout import (
    LANE_WIDTH_M,
    MEDIAN_M,
    SHOULDER_M,
    Junction,
    JunctionKind,
    Layout,
    Street,
    half_road_m,
)
from pair_drive_core.town.streets.network import BuiltJunction, Lane, Polygon, Road, RoadNetwork, Turn

PARKING_WIDTH_M = 2.5
WALKWAY_WIDTH_M = 2.6
_CORNER_M = 15.5
"""From the edge of the crossing road to the stop line: kerb radius and crosswalk."""
_CONFLICT_DISTANCE_M = 2.9
_JOINING_M = 12.0
_BEND_SETBACK_M = (26.0, 44.0)
_MERGE_SETBACK_M = 14.0
_ROUNDABOUT_SETBACK_M = 29.0


@dataclass
class _Draft:
    """A road while it is being drawn; `ends` are (junction, arm)."""

    reference: FloatArray
    ends: tuple[tuple[int, int], tuple[int, int]]
    forward: int
    backward: int
    speed_limit_mps: float
    parking: bool


def build_network(layout: Layout, rng: np.random.Generator) -> RoadNetwork:
    """Draw lanes, connectors, junction areas and parking strips of a street plan."""
    return _NetworkBuilder(layout, rng).build()


class _NetworkBuilder:
    def __init__(self, layout: Layout, rng: np.random.Generator) -> None:
        self.layout = layout
        self.rng = rng
        self.lanes: list[Lane] = []
        self.roads: list[Road] = []
        self.roadblocks: list[Polygon] = []
        self.roadblock_is_connector: list[bool] = []
        self.carparks: list[Polygon] = []
        self.walkways: list[Polygon] = []
        self.conflicts: dict[int, dict[int, tuple[float, float]]] = {}
        self.arms: list[dict[int, Arm]] = [{} for _ in layout.junctions]
        self.setbacks = [self._setback(j) for j in layout.junctions]
        self._next_token = 10000

    def build(self) -> RoadNetwork:
        for draft in self._drafts():
            self._add_road(draft)
        junctions = [self._add_junction(i, j) for i, j in enumerate(self.layout.junctions) if self.arms[i]]
        self._link()
        return RoadNetwork(
            tuple(self.lanes),
            tuple(self.roads),
            tuple(junctions),
            tuple(self.roadblocks),
            tuple(self.roadblock_is_connector),
            tuple(self.carparks),
            tuple(self.walkways),
            self.conflicts,
        )

    def _token(self) -> str:
        self._next_token += 1
        return str(self._next_token)

    def _setback(self, junction: Junction) -> float:
        if junction.kind is JunctionKind.BEND:
            return float(self.rng.uniform(*_BEND_SETBACK_M))
        if junction.kind is JunctionKind.MERGE:
            return _MERGE_SETBACK_M
        if junction.kind is JunctionKind.ROUNDABOUT:
            return _ROUNDABOUT_SETBACK_M
        lanes = max(
            max(s.lanes_forward, s.lanes_backward) for s in (self.layout.streets[i] for i in junction.arms.values())
        )
        return half_road_m(lanes) + _CORNER_M

    def _arm_pose(self, junction: int, arm: int) -> FloatArray:
        """Pose at the stop line of an arm, heading away from the junction."""
        at = self.layout.junctions[junction]
        heading = at.axis + arm * np.pi / 2.0
        return np.append(at.center + self.setbacks[junction] * unit(heading), heading)

    def _street_curve(self, street: Street, forward: bool) -> FloatArray:
        start = self._arm_pose(street.start, street.start_arm)
        end = self._arm_pose(street.end, street.end_arm)
        end[2] += np.pi
        curve = blend(start, end, 1.0, handle=0.36 * float(np.hypot(*(end - start)[:2])))
        if street.bow_m:
            # A squared sine leaves position and heading at both ends as they are.
            phase = np.linspace(0.0, np.pi, len(curve))
            heading = np.full(len(curve), np.arctan2(*(curve[-1] - curve[0])[::-1]))
            curve = offset_left(curve, heading, street.bow_m * np.sin(phase) ** 2)
        return curve if forward else curve[::-1]

    def _drafts(self) -> list[_Draft]:
        """Roads from junction to junction, walking through the bends."""
        drafts: list[_Draft] = []
        done: set[int] = set()
        for index, junction in enumerate(self.layout.junctions):
            if junction.kind is JunctionKind.BEND:
                continue
            for arm in sorted(junction.arms):
                if junction.arms[arm] in done:
                    continue
                drafts.append(self._walk(index, arm, done))
        return drafts

    def _walk(self, junction: int, arm: int, done: set[int]) -> _Draft:
        origin, pieces = (junction, arm), []
        while True:
            index = self.layout.junctions[junction].arms[arm]
            done.add(index)
            street = self.layout.streets[index]
            forward = (street.start, street.start_arm) == (junction, arm)
            pieces.append(self._street_curve(street, forward))
            if len(pieces) == 1:
                lanes = (
                    (street.lanes_forward, street.lanes_backward)
                    if forward
                    else (street.lanes_backward, street.lanes_forward)
                )
            junction, arm = (street.end, street.end_arm) if forward else (street.start, street.start_arm)
            here = self.layout.junctions[junction]
            if here.kind is not JunctionKind.BEND:
                break
            leaving = next(a for a in here.arms if a != arm)
            arrival, departure = self._arm_pose(junction, arm), self._arm_pose(junction, leaving)
            arrival[2] += np.pi
            pieces.append(blend(arrival, departure, 1.0))
            arm = leaving
        joined = np.concatenate([pieces[0], *(p[1:] for p in pieces[1:])])
        first = self._arm_pose(*origin)[2]
        last = self._arm_pose(junction, arm)[2] + np.pi
        reference = oriented(resample(joined, 1.0), first, last)
        return _Draft(reference, (origin, (junction, arm)), *lanes, street.speed_limit_mps, street.parking)

    def _add_road(self, draft: _Draft) -> None:
        road = len(self.roads)
        speed = draft.speed_limit_mps
        forward = self._add_lane_group(draft.reference, draft.forward, draft.backward == 0, speed, road)
        reverse = draft.reference[::-1].copy()
        reverse[:, 2] = wrap_angle(reverse[:, 2] + np.pi)
        backward = self._add_lane_group(snap(reverse), draft.backward, draft.forward == 0, speed, road)
        parking = (draft.parking and draft.backward > 0, draft.parking and draft.forward > 0)
        self.roads.append(Road(draft.reference, forward, backward, parking))
        (j0, a0), (j1, a1) = draft.ends
        self.arms[j0][a0] = Arm(draft.reference[0, :2], float(draft.reference[0, 2]), backward, forward)
        away = float(wrap_angle(draft.reference[-1, 2] + np.pi))
        self.arms[j1][a1] = Arm(draft.reference[-1, :2], away, forward, backward)
        self._add_kerb(draft.reference, -1.0, draft.forward, parking[1])
        self._add_kerb(draft.reference, 1.0, draft.backward, parking[0])

    def _add_kerb(self, reference: FloatArray, side: float, lanes: int, parking: bool) -> None:
        edge = side * half_road_m(lanes)
        if parking and len(reference) > 40:
            outer = edge + side * PARKING_WIDTH_M
            inner = reference[10:-10]
            self.carparks.append(Polygon(self._token(), strip(inner, max(edge, outer), min(edge, outer))))
            edge = outer
        outer = edge + side * WALKWAY_WIDTH_M
        self.walkways.append(Polygon(self._token(), strip(reference, max(edge, outer), min(edge, outer))))

    def _add_lane_group(self, along: FloatArray, count: int, one_way: bool, speed: float, road: int) -> tuple[int, ...]:
        """Lanes of one direction; the outer ones reach to the kerb, so that the group is what may be driven on."""
        if count == 0:
            return ()
        inner = SHOULDER_M if one_way else 0.0
        block = self._token()
        self.roadblocks.append(Polygon(block, strip(along, inner, -half_road_m(count))))
        self.roadblock_is_connector.append(False)
        first = len(self.lanes)
        for i in range(count):
            offset = -MEDIAN_M - (i + 0.5) * LANE_WIDTH_M
            center = np.column_stack((offset_left(along[:, :2], along[:, 2], offset), along[:, 2]))
            first_edge = inner if i == 0 else -MEDIAN_M - i * LANE_WIDTH_M
            last_edge = -half_road_m(count) if i + 1 == count else -MEDIAN_M - (i + 1) * LANE_WIDTH_M
            ring = strip(along, first_edge, last_edge)
            left = first + i - 1 if i > 0 else None
            right = first + i + 1 if i + 1 < count else None
            self.lanes.append(
                Lane(
                    self._token(),
                    block,
                    snap(center),
                    ring,
                    LANE_WIDTH_M,
                    speed,
                    (),
                    (),
                    left,
                    right,
                    None,
                    0,
                    Turn.STRAIGHT,
                    0,
                    road,
                )
            )
        return tuple(range(first, first + count))

    def _add_junction(self, index: int, junction: Junction) -> BuiltJunction:
        arms = self.arms[index]
        built = sum(1 for i in range(index) if self.arms[i])
        connectors: list[int] = []
        for (source, target), pairs in _all_pairs(arms, junction.kind).items():
            connectors += self._add_connectors(built, index, arms, source, target, pairs)
        for lane in connectors:
            found = {other: self._conflict(lane, other) for other in connectors}
            self.conflicts[lane] = {other: stretch for other, stretch in found.items() if stretch is not None}
        round_about = junction.kind is JunctionKind.ROUNDABOUT
        ring = (
            roundabout_ring(list(arms.values()), junction.center) if round_about else junction_ring(list(arms.values()))
        )
        area = Polygon(self._token(), ring)
        walked = [] if junction.kind is JunctionKind.MERGE else sorted(arms)
        crosswalks = {a: Polygon(self._token(), crosswalk_ring(arms[a])) for a in walked}
        headings = {a: arms[a].heading for a in sorted(arms)}
        return BuiltJunction(
            junction.center, junction.kind, area, self.setbacks[index], headings, crosswalks, tuple(connectors)
        )

    def _add_connectors(
        self, index: int, place: int, arms: dict[int, Arm], source: int, target: int, pairs: list[tuple[int, int]]
    ) -> list[int]:
        junction = self.layout.junctions[place]
        turn = turn_of(source, target)
        block, added = self._token(), []
        for a, b in pairs:
            entry, leave = self.lanes[a].centerline[-1], self.lanes[b].centerline[0]
            if junction.kind is JunctionKind.ROUNDABOUT:
                headings = (arms[source].heading, arms[target].heading)
                curve = roundabout_curve(entry, leave, junction.center, headings)
            else:
                curve = blend(entry, leave, 1.0)
            center = oriented(curve, float(entry[2]), float(leave[2]))
            speed = min(self.lanes[a].speed_limit_mps, self.lanes[b].speed_limit_mps)
            ring = strip(center, LANE_WIDTH_M / 2.0, -LANE_WIDTH_M / 2.0)
            added.append(len(self.lanes))
            self.lanes.append(
                Lane(
                    self._token(),
                    block,
                    center,
                    ring,
                    LANE_WIDTH_M,
                    speed,
                    (b,),
                    (a,),
                    None,
                    None,
                    index,
                    source,
                    turn,
                    _rank(junction, arms, source, turn),
                    None,
                )
            )
        self.roadblocks.append(Polygon(block, roadblock_connector_ring([self.lanes[i].ring for i in added])))
        self.roadblock_is_connector.append(True)
        return added

    def _conflict(self, lane: int, other: int) -> tuple[float, float] | None:
        """Stretch of a connector on which a vehicle would meet one on the other connector, m."""
        one, two = self.lanes[lane], self.lanes[other]
        if lane == other or one.predecessors == two.predecessors:
            return None
        a, b = one.centerline[:, :2], two.centerline[:, :2]
        offset = a[:, None] - b[None]
        near = ((offset * offset).sum(-1) < _CONFLICT_DISTANCE_M**2).any(1)
        if not near.any():
            return None
        arc = arc_lengths(a)
        first = float(arc[int(np.argmax(near))])
        last = float(arc[len(near) - 1 - int(np.argmax(near[::-1]))])
        # Where paths join, who is ahead is a leader; only the place of joining has to be shared out.
        return first, min(last, first + _JOINING_M)

    def _link(self) -> None:
        """Tell lanes which connectors leave and reach them."""
        after: dict[int, list[int]] = {}
        before: dict[int, list[int]] = {}
        for i, lane in enumerate(self.lanes):
            if lane.is_connector:
                after.setdefault(lane.predecessors[0], []).append(i)
                before.setdefault(lane.successors[0], []).append(i)
        for i, lane in enumerate(self.lanes):
            if not lane.is_connector:
                self.lanes[i] = replace(lane, successors=tuple(after.get(i, ())), predecessors=tuple(before.get(i, ())))


def turn_of(source: int, target: int) -> Turn:
    """What a vehicle does that arrives by one arm and leaves by another."""
    return {1: Turn.RIGHT, 2: Turn.STRAIGHT, 3: Turn.LEFT}[(target - source) % 4]


def _all_pairs(arms: dict[int, Arm], kind: JunctionKind) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Lane pairs of a junction by (source arm, target arm); no lane is left without a way out or in."""
    pairs = {(s, t): _lane_pairs(arms, s, t, kind) for s in sorted(arms) for t in sorted(arms) if s != t}
    preference = (Turn.STRAIGHT, Turn.RIGHT, Turn.LEFT)
    for arm in sorted(arms):
        others = sorted((a for a in arms if a != arm), key=lambda a: preference.index(turn_of(arm, a)))
        for i, lane in enumerate(arms[arm].incoming):
            if not any(lane == source for chosen in pairs.values() for source, _ in chosen):
                target = next(a for a in others if arms[a].outgoing)
                pairs[arm, target].append((lane, arms[target].outgoing[min(i, len(arms[target].outgoing) - 1)]))
        others = sorted(others, key=lambda a: preference.index(turn_of(a, arm)))
        for i, lane in enumerate(arms[arm].outgoing):
            if not any(lane == target for chosen in pairs.values() for _, target in chosen):
                source = next(a for a in others if arms[a].incoming)
                pairs[source, arm].append((arms[source].incoming[min(i, len(arms[source].incoming) - 1)], lane))
    return {key: chosen for key, chosen in pairs.items() if chosen}


def _lane_pairs(arms: dict[int, Arm], source: int, target: int, kind: JunctionKind) -> list[tuple[int, int]]:
    """Which incoming lanes lead to which outgoing lanes, from the middle outwards."""
    incoming, outgoing = arms[source].incoming, arms[target].outgoing
    if not incoming or not outgoing:
        return []
    if kind is JunctionKind.MERGE:
        count = max(len(incoming), len(outgoing))
        return [(incoming[min(i, len(incoming) - 1)], outgoing[min(i, len(outgoing) - 1)]) for i in range(count)]
    turn = turn_of(source, target)
    exits = {turn_of(source, t) for t in arms if t != source and arms[t].outgoing}
    if turn is Turn.LEFT:
        return [(incoming[0], outgoing[0])]
    if turn is Turn.RIGHT:
        return [(incoming[-1], outgoing[-1])]
    count = min(len(incoming), len(outgoing))
    pairs = list(zip(incoming[:count], outgoing[:count], strict=True))
    if len(incoming) > count and Turn.RIGHT not in exits:
        # Lanes that end: the outermost keep to the outside, so shift the surplus to the left turners.
        pairs = list(zip(incoming[-count:], outgoing[-count:], strict=True))
    return pairs


def _rank(junction: Junction, arms: dict[int, Arm], source: int, turn: Turn) -> int:
    """Priority of a connector: through before left turns; at a priority junction the major road first."""
    left = 1 if turn is Turn.LEFT else 0
    if junction.kind in (JunctionKind.ROUNDABOUT, JunctionKind.MERGE):
        return 0
    if junction.kind is not JunctionKind.PRIORITY:
        return left
    width = {axis: sum(len(arms[a].incoming) for a in arms if a % 2 == axis) for axis in (0, 1)}
    straight = {axis: sum(1 for a in arms if a % 2 == axis) == 2 for axis in (0, 1)}
    major = max((0, 1), key=lambda axis: (straight[axis], width[axis]))
    return left + (0 if source % 2 == major else 2)
