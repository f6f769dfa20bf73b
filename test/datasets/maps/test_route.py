"""Routes and centre lines: what the official devkit made of the same streets, and by hand.

The golden file holds the official metric cache's answers on `make_grid_map`: on the route, off it, in a neighbouring
street, with blocks missing from the route, with a shuffled route, within junctions, against the traffic, off the road.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pair_drive_core.datasets.maps.map_index import MapIndex, outer_rings
from pair_drive_core.datasets.maps.nuplan_map import NuplanMap
from pair_drive_core.datasets.maps.route import corrected_route, route_edges
from pair_drive_core.datasets.maps.scene_map import Surroundings, map_parts
from pair_drive_core.geometry import points_in_polygon
from pair_drive_core.scene import SceneError

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "navsim_official_routes.json").read_text())
NO_LIGHTS = [()] * 9


@pytest.mark.parametrize("case", GOLDEN, ids=range(len(GOLDEN)))
def test_route_and_centre_line_are_the_official_ones(grid_index, case):
    parts = map_parts(grid_index, np.array(case["pose"]), case["route"], NO_LIGHTS)
    assert list(parts.route.lane_tokens) == case["lanes"]
    assert len(parts.polygons.tokens) == case["drivable"]
    line = parts.route.centerline.numpy()
    assert len(line) == case["points"]
    np.testing.assert_allclose(line[0], case["first"], atol=1e-5)
    np.testing.assert_allclose(line[-1], case["last"], atol=1e-5)
    assert np.hypot(*np.diff(line[:, :2], axis=0).T).sum() == pytest.approx(case["length"], abs=1e-5)


def test_the_golden_cases_exercise_the_corrections(grid_index):
    corrected = [corrected_route(grid_index, np.array(c["pose"]), c["route"]) for c in GOLDEN]
    unchanged = sum(list(dict.fromkeys(c["route"])) == route for c, route in zip(GOLDEN, corrected, strict=True))
    longer = sum(len(set(c["route"])) < len(route) for c, route in zip(GOLDEN, corrected, strict=True))
    shorter = sum(len(set(c["route"])) > len(route) for c, route in zip(GOLDEN, corrected, strict=True))
    assert min(unchanged, longer, shorter) >= 4


def heading_east(town_index, x, lane=1):
    line = town_index.centerline(town_index.edge(1000 + lane))
    nearest = line[np.argmin(np.abs(line[:, 0] - (331000 + x)))]
    return np.array([nearest[0], nearest[1], 0.0])


def test_a_sound_route_stays(town_index):
    assert corrected_route(town_index, heading_east(town_index, -50), [100, 502, 105]) == [100, 502, 105]


def test_a_route_that_starts_ahead_is_joined_to_the_ego(town_index):
    assert corrected_route(town_index, heading_east(town_index, -50), [105]) == [100, 502, 105]


def test_a_gap_is_filled(town_index):
    assert corrected_route(town_index, heading_east(town_index, -50), [100, 105]) == [100, 502, 105]


def test_repeated_blocks_count_once(town_index):
    assert corrected_route(town_index, heading_east(town_index, -50), [100, 100, 502, 105]) == [100, 502, 105]


def test_the_centre_line_follows_the_lane_under_the_ego(town_index):
    for lane in (0, 1):
        pose = heading_east(town_index, -50, lane)
        line = map_parts(town_index, pose, [100, 502, 105], NO_LIGHTS).route.centerline.numpy()
        np.testing.assert_array_equal(line[0], town_index.centerline(town_index.edge(1000 + lane))[0])
        assert np.abs(line[:, 1] - pose[1]).max() < 1e-6
        np.testing.assert_array_equal(line[22, :2], line[23, :2])


def test_headings_point_to_the_next_vertex_and_the_last_repeats(town_index):
    line = town_index.centerline(town_index.edge(5010))
    step = np.diff(line[:, :2], axis=0)
    np.testing.assert_allclose(line[:-1, 2], np.arctan2(step[:, 1], step[:, 0]))
    assert line[-1, 2] == line[-2, 2]


def test_on_route_marks_lanes_of_the_route_only(town_index):
    polygons = map_parts(town_index, heading_east(town_index, -50), [100, 502, 105], NO_LIGHTS).polygons
    marked = {token for token, on in zip(polygons.tokens, polygons.on_route.tolist(), strict=True) if on}
    assert marked == {"1000", "1001", "5020", "5021", "1050", "1051"}


def test_polygons_come_in_the_official_order(town_index):
    layers = map_parts(town_index, heading_east(town_index, -50), [100, 502, 105], NO_LIGHTS).polygons.layers.tolist()
    order = [17, 0, 11, 1, 15, 4, 8, 2]
    assert [layer for i, layer in enumerate(layers) if i == 0 or layers[i - 1] != layer] == order


def test_far_elements_are_left_out(town_index, town_map):
    near = Surroundings.around(town_index, np.array([331000.0, 4690500.0]))
    far = Surroundings.around(town_index, np.array([331400.0, 4690500.0]))
    assert len(near.drivable) == len(town_map.roadblocks) + len(town_map.lanes) + len(town_map.lane_connectors) + 2
    assert far.drivable == ()


def test_frames_with_the_same_surroundings_share_what_is_made_of_them(town_index):
    route = [100, 502, 105]
    first, second = (map_parts(town_index, heading_east(town_index, at), route, NO_LIGHTS) for at in (-50, -49))
    assert (second.polygons is first.polygons, second.lanes is first.lanes) == (True, True)
    fresh = map_parts(MapIndex(town_index.map), heading_east(town_index, -49), route, NO_LIGHTS)
    assert fresh.polygons is not second.polygons
    assert fresh.polygons.tokens == second.polygons.tokens
    assert torch.equal(fresh.polygons.rings.points, second.polygons.rings.points)
    shorter = map_parts(town_index, heading_east(town_index, -50), [100], NO_LIGHTS)
    assert int(shorter.polygons.on_route.sum()) < int(second.polygons.on_route.sum())


def test_holes_stay_holes(town_map):
    (ring,) = outer_rings(town_map.carparks[0].polygon)
    points = torch.tensor([[331061.0, 4690532.0], [331050.0, 4690525.0], [331061.0, 4690538.0], [331090.0, 4690525.0]])
    inside = points_in_polygon(points.double(), torch.from_numpy(ring))
    assert inside.tolist() == [False, True, True, False]


def test_lights_follow_the_recorded_route_and_for_the_planner_the_corrected_one(town_index):
    red = [((5020, True), (5021, False), (5130, True))] * 9
    pose = heading_east(town_index, -50)
    joined = map_parts(town_index, pose, [105], red)
    assert joined.lights.tokens == ()
    assert joined.planner_lights.tokens == ("5020",)
    same = map_parts(town_index, pose, [100, 502, 105], red)
    assert same.lights.tokens == ("5020",)
    assert same.planner_lights is None
    assert map_parts(town_index, pose, [105], NO_LIGHTS).planner_lights is None


def test_the_lane_graph_is_closed(grid_index):
    case = GOLDEN[0]
    graph = map_parts(grid_index, np.array(case["pose"]), case["route"], NO_LIGHTS).lanes.validate()
    for i, row in enumerate(graph.successors):
        for after in row:
            assert graph.is_connector[i] != graph.is_connector[after]
            np.testing.assert_allclose(graph.centerlines[after][0, :2], graph.centerlines[i][-1, :2])
    assert set(case["lanes"]) <= set(graph.tokens)


def test_a_route_that_does_not_fit_the_map_is_named(town_index):
    pose = heading_east(town_index, -50)
    with pytest.raises(SceneError, match="roadblock 99"):
        corrected_route(town_index, pose, [100, 99])
    with pytest.raises(SceneError, match="at least one roadblock"):
        corrected_route(town_index, pose, [])


def test_an_empty_city_is_named():
    empty = MapIndex(NuplanMap.empty("us-ma-boston"))
    with pytest.raises(SceneError, match="does not hold"):
        corrected_route(empty, np.zeros(3), [1])


def test_a_route_without_lanes_is_named(town_map):
    bare = MapIndex(replace(town_map, lanes=()))
    with pytest.raises(SceneError, match="no lanes"):
        map_parts(bare, np.array([330950.0, 4690495.0, 0.0]), [100], NO_LIGHTS)


def test_edges_are_listed_in_the_routes_order(town_index):
    assert list(route_edges(town_index, [105, 502])) == ["1050", "1051", "5020", "5021"]
