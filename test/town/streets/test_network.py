from __future__ import annotations

import numpy as np
import pytest
from shapely.geometry import Point
from shapely.geometry import Polygon as ShapelyPolygon
from shapely.ops import unary_union

from pair_drive_core.town import LayoutConfig, Town, TownConfig
from pair_drive_core.town.streets.layout import JunctionKind, draw_layout
from pair_drive_core.town.streets.network import RoadNetwork, Turn
from pair_drive_core.town.streets.network_builder import build_network


def wrapped(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def test_every_lane_leads_somewhere_and_joints_are_exact(town: Town) -> None:
    lanes = town.network.lanes
    for index, lane in enumerate(lanes):
        assert lane.successors, f"lane {index} is a dead end"
        for successor in lane.successors:
            assert index in lanes[successor].predecessors
            end, start = lane.centerline[-1], lanes[successor].centerline[0]
            assert np.abs(end[:2] - start[:2]).max() <= 1e-6
            assert abs(wrapped(end[2] - start[2])) < 1e-5


def test_polygons_are_valid(town: Town) -> None:
    network = town.network
    rings = [lane.ring for lane in network.lanes if not lane.is_connector]
    rings += [p.ring for p in (*network.roadblocks, *network.carparks)]
    rings += [j.area.ring for j in network.junctions]
    rings += [c.ring for j in network.junctions for c in j.crosswalks.values()]
    for ring in rings:
        assert ShapelyPolygon(ring).is_valid


def test_centerlines_lie_in_their_lanes_and_lanes_in_their_roadblocks(town: Town) -> None:
    network = town.network
    blocks = {p.token: ShapelyPolygon(p.ring) for p in network.roadblocks}
    for lane in network.lanes:
        ring = ShapelyPolygon(lane.ring).buffer(1e-3)
        assert all(ring.contains(Point(*p)) for p in lane.centerline[1:-1, :2])
        if not lane.is_connector:
            assert blocks[lane.roadblock].buffer(0.01).contains(ShapelyPolygon(lane.ring))


def test_connectors_stay_on_the_drivable_area_and_in_their_intersection(town: Town) -> None:
    network = town.network
    for lane in network.lanes:
        if lane.junction is None:
            continue
        area = ShapelyPolygon(network.junctions[lane.junction].area.ring).buffer(0.05)
        middle = lane.centerline[2:-2, :2]
        assert all(area.contains(Point(*p)) for p in middle)


def test_the_drivable_area_has_no_gap_between_roads_and_junctions(town: Town) -> None:
    network = town.network
    blocks = zip(network.roadblocks, network.roadblock_is_connector, strict=True)
    parts = [ShapelyPolygon(p.ring) for p, connector in blocks if not connector]
    parts += [ShapelyPolygon(j.area.ring) for j in network.junctions]
    drivable = unary_union(parts).buffer(0.011)
    for lane in network.lanes:
        assert all(drivable.contains(Point(*p)) for p in lane.centerline[:, :2])


def test_neighbours_are_mutual_and_one_lane_width_apart(town: Town) -> None:
    lanes = town.network.lanes
    for index, lane in enumerate(lanes):
        if lane.left is not None:
            other = lanes[lane.left]
            assert other.right == index
            assert other.roadblock == lane.roadblock
            gap = np.hypot(*(other.centerline[0, :2] - lane.centerline[0, :2]))
            assert gap == pytest.approx(lane.width_m, abs=1e-5)


def test_turns_are_named_by_how_the_heading_changes(town: Town) -> None:
    for lane in town.network.lanes:
        if lane.is_connector:
            change = np.unwrap(lane.centerline[:, 2])
            turned = change[-1] - change[0]
            expected = {Turn.LEFT: 1, Turn.STRAIGHT: 0, Turn.RIGHT: -1}[lane.turn]
            assert round(turned / (np.pi / 2)) == expected


def test_conflicts_are_mutual(town: Town) -> None:
    conflicts = town.network.conflicts
    for lane, others in conflicts.items():
        for other, (first, last) in others.items():
            assert lane in conflicts[other]
            assert 0.0 <= first <= last <= town.network.lanes[lane].length_m + 1e-6


def test_all_kinds_of_junction_and_road_occur_among_a_few_towns() -> None:
    kinds: set[JunctionKind] = set()
    one_way = arms = curves = 0
    for layout in range(12):
        network = Town.build(layout).network
        kinds |= {j.kind for j in network.junctions}
        one_way += sum(1 for r in network.roads if not (r.lanes_forward and r.lanes_backward))
        arms += sum(1 for j in network.junctions if len(j.arm_headings) == 3)
        curves += sum(1 for r in network.roads if np.ptp(np.unwrap(r.reference[:, 2])) > 1.2)
    assert kinds >= {JunctionKind.SIGNAL, JunctionKind.PRIORITY, JunctionKind.ROUNDABOUT, JunctionKind.MERGE}
    assert min(one_way, arms, curves) > 0


@pytest.mark.parametrize("seed", range(40, 48))
def test_any_layout_can_be_built(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network: RoadNetwork = build_network(draw_layout(LayoutConfig(columns=3, rows=3), rng), rng)
    assert all(lane.successors for lane in network.lanes)


def test_a_negative_layout_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="layout seed: expected a non-negative integer, got -1"):
        Town.build(-1, TownConfig())
