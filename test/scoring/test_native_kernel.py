"""The C++ kernel by itself: geometry against brute force, ties, and what must not change a result."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pair_drive_core.geometry import box_corners, points_in_polygon
from pair_drive_core.scene import PACIFICA, MapLayer, Scene, SceneError, TrackedObjects
from pair_drive_core.scoring import Metric, prepare_scenes
from pair_drive_core.scoring.candidates import CandidateKind
from pair_drive_core.scoring.native.index import EVENT_NAMES, VALUE_NAMES, NativeIndex, index_scenes
from pair_drive_core.scoring.native.library import load

STEPS = 41
DRIVABLE = (MapLayer.ROADBLOCK, MapLayer.INTERSECTION, MapLayer.CARPARK_AREA, MapLayer.DRIVABLE_AREA)
LANES = (MapLayer.LANE, MapLayer.LANE_CONNECTOR)


@pytest.fixture(scope="module")
def library():
    found = load()
    assert found is not None, "the kernel is not built: run `python -m pair_drive_core.scoring.native.build`"
    return found


def native(library, scenes, metric=Metric.V2, dtype=torch.float64):
    prepared = prepare_scenes(scenes, metric, dtype=dtype)
    return prepared, NativeIndex(library, prepared)


def states_at(centers, headings, speed=5.0):
    """(1, 1, 41, 11) states whose box centres lie where asked, repeated to 41 rows."""
    centers, headings = np.broadcast_to(centers, (STEPS, 2)), np.broadcast_to(headings, STEPS)
    states = np.zeros((STEPS, 11))
    offset = PACIFICA.rear_axle_to_center_m
    states[:, 0] = centers[:, 0] - offset * np.cos(headings)
    states[:, 1] = centers[:, 1] - offset * np.sin(headings)
    states[:, 2], states[:, 3] = headings, speed
    return torch.tensor(states)[None, None]


def value(raw, name):
    return raw.values[..., VALUE_NAMES.index(name)]


def event(raw, name):
    return raw.events[..., EVENT_NAMES.index(name)]


@pytest.mark.parametrize("seed", range(6))
def test_areas_equal_a_brute_force_over_all_polygons(library, made, seed):
    scene = made.random_scene(seed, polygons=60)
    _, index = native(library, [scene])
    raw = index.score(made.random_plans(seed, 24), states_dtype=torch.float64, with_areas=True)
    states = raw.states[0]
    center = states[..., :2] + PACIFICA.rear_axle_to_center_m * torch.stack(
        (states[..., 2].cos(), states[..., 2].sin()), dim=-1
    )
    corners = box_corners(
        center, states[..., 2], torch.tensor(PACIFICA.length_m), torch.tensor(PACIFICA.width_m, dtype=torch.float64)
    )
    rings = [scene.map.rings[i] for i in range(len(scene.map.rings))]
    layers = scene.map.layers.tolist()
    corner_in = torch.stack([points_in_polygon(corners, ring) for ring in rings])
    center_in = torch.stack([points_in_polygon(center, ring) for ring in rings])
    drivable = torch.tensor([layer in DRIVABLE for layer in layers])
    lane = torch.tensor([layer in LANES for layer in layers])
    per_lane = corner_in[lane].sum(-1)
    multiple = ((per_lane > 0).sum(0) > 1) & ~(per_lane == 4).any(0)
    not_drivable = ~corner_in[drivable].any(0).all(-1)
    oncoming = ~center_in[lane & scene.map.on_route].any(0)
    crossing = center_in[torch.tensor([layer == MapLayer.INTERSECTION for layer in layers])].any(0)
    expected = multiple.to(torch.uint8) + 2 * not_drivable + 4 * oncoming + 8 * crossing
    assert torch.equal(raw.areas[0], expected.to(torch.uint8))
    assert {0, 1} <= set((raw.areas & 1).unique().tolist()), "the scene should straddle lanes at some steps only"


@pytest.mark.parametrize("turn", [1, -1])
def test_a_point_on_an_outline_is_outside(library, made, turn):
    square = [[0.0, -5.0], [10.0, -5.0], [10.0, 5.0], [0.0, 5.0]][::turn]
    _, index = native(library, [made.scene([square], [MapLayer.LANE], [True])])
    for center, inside in (
        ((0.0, 0.0), False),
        ((1e-9, 0.0), True),
        ((10.0, 0.0), False),
        ((10.0 - 1e-9, 0.0), True),
        ((5.0, 5.0), False),
        ((5.0, 5.0 - 1e-9), True),
        ((5.0, -5.0), False),
        ((0.0, 5.0), False),
    ):
        raw = index.score(states_at(center, 0.0), CandidateKind.STATES, with_areas=True)
        assert bool((raw.areas & 4 == 0).all()) == inside, center


AWAY = (0.0, 1000.0, 0.0)
"""Ego pose of scenes whose states are set by hand around the global origin: nothing there touches the ego at t0.

Local y is global y less 1000, and x and heading are the same, so that ties in x are exact.
"""


def test_touching_counts_as_a_collision_and_a_hair_apart_does_not(library, made):
    reach = PACIFICA.length_m / 2.0 + 1.0
    for gap, score in ((0.0, 0.5), (1e-9, 1.0)):
        cone = (3, (2.0, 2.0, 1.0), np.tile([reach + gap, 0.0, 0.0, 0.0, 0.0], (11, 1)))
        _, index = native(library, [made.scene(objects=[cone], pose=AWAY)])
        raw = index.score(states_at((0.0, -1000.0), 0.0), CandidateKind.STATES)
        assert value(raw, "NC").item() == score
        assert event(raw, "collision_step").item() == (0 if score < 1 else -1)
        assert event(raw, "collision_object").item() == (0 if score < 1 else -1)


def moving_car(x, y, heading=0.0):
    """A vehicle that is as good as parked at a place but has a velocity."""
    return (0, (4.0, 2.0, 1.5), np.tile([x, y, heading, 3.0, 0.0], (11, 1)))


@pytest.mark.parametrize(("speed", "score"), [(0.05, 1.0), (0.0501, 0.0)])
def test_a_standing_ego_is_not_at_fault(library, made, speed, score):
    _, index = native(library, [made.scene(objects=[moving_car(4.0, 0.0)], pose=AWAY)])
    raw = index.score(states_at((0.0, -1000.0), 0.0, speed), CandidateKind.STATES)
    assert value(raw, "NC").item() == score


@pytest.mark.parametrize(("layers", "score"), [((MapLayer.LANE, MapLayer.ROADBLOCK), 1.0), ((MapLayer.LANE,), 0.0)])
def test_a_touch_at_the_flank_is_the_egos_fault_only_out_of_its_lane(library, made, layers, score):
    ring = [[-50.0, -50.0], [50.0, -50.0], [50.0, 50.0], [-50.0, 50.0]]
    beside = moving_car(0.5, PACIFICA.width_m / 2.0 + 0.9)
    scene = made.scene([ring] * len(layers), layers, objects=[beside], pose=AWAY)
    _, index = native(library, [scene])
    raw = index.score(states_at((0.0, -1000.0), 0.0), CandidateKind.STATES)
    assert value(raw, "NC").item() == score


@pytest.mark.parametrize(("speed", "score"), [(0.0049, 1.0), (0.0051, 0.0)])
def test_time_to_collision_leaves_out_steps_of_a_standing_ego(library, made, speed, score):
    _, index = native(library, [made.scene(objects=[moving_car(4.0, 0.0)], pose=AWAY)])
    raw = index.score(states_at((0.0, -1000.0), 0.0, speed), CandidateKind.STATES)
    assert value(raw, "TTC").item() == score


@pytest.mark.parametrize(("gap", "score"), [(8.9, 0.0), (9.1, 1.0)])
def test_time_to_collision_looks_nine_tenths_of_a_second_ahead(library, made, gap, score):
    reach = PACIFICA.length_m / 2.0 + 2.0
    _, index = native(library, [made.scene(objects=[moving_car(reach + gap, 0.0)], pose=AWAY)])
    raw = index.score(states_at((0.0, -1000.0), 0.0, speed=10.0), CandidateKind.STATES)
    assert value(raw, "TTC").item() == score


def test_touching_a_red_connector_fails_as_does_standing_inside(library, made):
    front = PACIFICA.length_m / 2.0
    for start, score in ((front, 0.0), (front + 1e-9, 1.0), (-30.0, 0.0)):
        ring = [[start, -50.0], [start + 100.0, -50.0], [start + 100.0, 50.0], [start, 50.0]]
        _, index = native(library, [made.scene(reds=[ring], pose=AWAY)])
        raw = index.score(states_at((0.0, -1000.0), 0.0), CandidateKind.STATES)
        assert value(raw, "TLC").item() == score
        assert event(raw, "red_light_row").item() == (0 if score < 1 else -1)


def test_lane_keeping_needs_twenty_steps_in_a_row_outside_of_intersections(library, made):
    crossing = [[-5.0, -20.0], [5.0, -20.0], [5.0, 20.0], [-5.0, 20.0]]
    scene = made.scene([crossing], [MapLayer.INTERSECTION])
    _, index = native(library, [scene])
    off, on = (30.0, 0.6), (30.0, 0.5)  # exactly 0.5 m is still within
    for centers, score in (
        ([off] * 20 + [on] * 21, 0.0),
        ([off] * 19 + [on] * 22, 1.0),
        ([off] * 10 + [(0.0, 0.0)] * 10 + [off] * 10 + [on] * 11, 0.0),
        ([(0.0, 3.0)] * 41, 1.0),
    ):
        raw = index.score(states_at(np.array(centers), 0.0), CandidateKind.STATES)
        assert value(raw, "LK").item() == score


@pytest.mark.parametrize("metric", list(Metric))
def test_candidates_scored_together_or_alone_and_over_any_threads_are_the_same(library, made, metric):
    scenes = [made.random_scene(seed) for seed in range(5)]
    _, index = native(library, scenes, metric)
    plans = torch.cat([made.random_plans(10 + seed, 70) for seed in range(5)])
    together = index.score(plans, threads=1, states_dtype=torch.float64)
    threaded = index.score(plans, threads=7, states_dtype=torch.float64)
    assert torch.equal(together.values, threaded.values)
    assert torch.equal(together.events, threaded.events)
    assert torch.equal(together.states, threaded.states)
    for scene in (0, 4):
        _, alone = native(library, [scenes[scene]], metric)
        for candidate in (0, 37, 69):
            single = alone.score(plans[scene : scene + 1, candidate : candidate + 1])
            assert torch.equal(single.values[0, 0], together.values[scene, candidate])
            assert torch.equal(single.events[0, 0], together.events[scene, candidate])
    order = torch.randperm(70, generator=torch.Generator().manual_seed(0))
    assert torch.equal(index.score(plans[:, order]).values, together.values[:, order])


def test_a_far_away_scene_scores_as_the_same_scene_near_the_origin(library, made):
    plans = made.random_plans(3, 40)
    _, near = native(library, [made.random_scene(4)])
    moved = made.random_scene(4, pose=(664_000.0, 3_997_000.0, 0.0))
    for dtype in (torch.float64, torch.float32):
        _, far = native(library, [moved], dtype=dtype)
        a, b = near.score(plans), far.score(plans)
        assert torch.equal(a.values[..., :7], b.values[..., :7])
        assert torch.allclose(value(a, "progress"), value(b, "progress"), atol=1e-4)


def test_the_order_of_objects_changes_the_culprits_rows_only(library, made):
    scene = made.random_scene(7, agents=30)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    objects = scene.objects
    shuffled = TrackedObjects(
        tuple(objects.tokens[i] for i in order),
        objects.types[order],
        objects.sizes[order],
        objects.states[:, order],
        objects.present[:, order],
        objects.interval_s,
    )
    mixed = Scene(**{**{f: getattr(scene, f) for f in scene.__dataclass_fields__}, "objects": shuffled})
    plans = made.random_plans(8, 60)
    prepared, index = native(library, [scene])
    prepared_mixed, index_mixed = native(library, [mixed])
    a, b = index.score(plans), index_mixed.score(plans)
    assert torch.equal(a.values, b.values)
    assert torch.equal(event(a, "collision_step"), event(b, "collision_step"))
    hit = event(a, "collision_object")[0] >= 0
    assert bool(hit.any())
    names = [prepared.object_tokens[0][i] for i in event(a, "collision_object")[0][hit]]
    names_mixed = [prepared_mixed.object_tokens[0][i] for i in event(b, "collision_object")[0][hit]]
    assert sum(x == y for x, y in zip(names, names_mixed, strict=True)) >= 0.9 * len(
        names
    )  # ties within a step may differ


@pytest.mark.parametrize("metric", list(Metric))
def test_paths_and_states_give_what_the_plans_that_they_came_from_give(library, made, metric):
    prepared, index = native(library, [made.random_scene(11)], metric)
    plans = made.random_plans(12, 20)
    whole = index.score(plans, states_dtype=torch.float64)
    again = index.score(whole.states, CandidateKind.STATES)
    assert torch.equal(again.values, whole.values)
    assert torch.equal(again.events, whole.events)
    knots = torch.cat((torch.zeros(1, 20, 1, 3, dtype=torch.float64), plans), dim=2)
    low = prepared.sample_index[0]
    weight = prepared.sample_weight[0][:, None]
    paths = knots[:, :, low] + weight * (knots[:, :, low + 1] - knots[:, :, low])
    driven = index.score(paths, CandidateKind.PATHS, states_dtype=torch.float64)
    assert torch.allclose(driven.states, whole.states, atol=1e-8)


def test_an_empty_scene_is_off_road_and_otherwise_fine(library, made):
    for metric in Metric:
        _, index = native(library, [made.scene(history=False)], metric)
        raw = index.score(torch.zeros(1, 1, 8, 3))
        scores = {name: value(raw, name).item() for name in VALUE_NAMES}
        assert scores["NC"] == scores["TLC"] == scores["TTC"] == scores["LK"] == 1.0
        assert scores["DAC"] == 0.0
        assert 0.0 <= scores["progress"] < 20.0


def test_no_candidates_give_no_scores(library, made):
    _, index = native(library, [made.scene(), made.scene()])
    raw = index.score(torch.zeros(2, 0, 8, 3), states_dtype=torch.float64, with_areas=True)
    assert raw.values.shape == (2, 0, 8)
    assert raw.states.shape == (2, 0, 41, 11)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e300, 1e18])
def test_wild_numbers_give_scores_within_bounds(library, made, bad):
    _, index = native(library, [made.random_scene(2)])
    plans = made.random_plans(2, 6)
    for i in range(6):
        plans[0, i, i, i % 3] = bad
    raw = index.score(plans)
    assert bool(torch.isfinite(raw.values).all())
    assert bool(((raw.values[..., :7] >= 0) & (raw.values[..., :7] <= 1)).all())
    states = states_at((0.0, 0.0), 0.0).clone()
    states[..., 20:, :3] = bad
    assert bool(torch.isfinite(index.score(states, CandidateKind.STATES).values).all())


def test_strange_polygons_are_taken_as_they_are(library, made):
    bow_tie = [[0.0, 0.0], [20.0, 20.0], [20.0, 0.0], [0.0, 20.0]]
    line = [[0.0, 0.0], [5.0, 5.0]]
    point = [[1.0, 1.0]] * 5
    empty = np.zeros((0, 2))
    scene = made.scene([bow_tie, line, point, empty], [MapLayer.LANE] * 4, [True] * 4, reds=[line, empty])
    _, index = native(library, [scene])
    for center, inside in (((2.0, 10.0), True), ((18.0, 10.0), True), ((10.0, 2.0), False), ((2.5, 2.5), False)):
        raw = index.score(states_at(center, 0.0), CandidateKind.STATES, with_areas=True)
        assert bool((raw.areas & 4 == 0).all()) == inside, center


def test_a_wrong_shape_names_what_was_expected(library, made):
    _, index = native(library, [made.scene()])
    with pytest.raises(SceneError, match=r"expected shape \(1, K, 8, 3\) for PLANS, got \(1, 2, 7, 3\)"):
        index.score(torch.zeros(1, 2, 7, 3))
    with pytest.raises(SceneError, match="got \\(2, 2, 8, 3\\)"):
        index.score(torch.zeros(2, 2, 8, 3))


def test_arrays_that_do_not_fit_together_never_reach_the_kernel(library, made):
    prepared = prepare_scenes([made.random_scene(1)], dtype=torch.float64)
    wrong = {
        "ring_offsets": prepared.ring_offsets + 1,
        "object_offsets": prepared.object_offsets * 2,
        "sample_index": prepared.sample_index + 1,
        "red_on": prepared.red_on[:, :40],
        "object_states": prepared.object_states[:, :40],
        "polygon_on_route": prepared.polygon_on_route[1:],
    }
    for name, tensor in wrong.items():
        with pytest.raises(SceneError, match=f"PreparedScenes.(object_present|{name})"):
            NativeIndex(library, replace(prepared, **{name: tensor}))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "name",
    [
        "origin",
        "ego",
        "sample_weight",
        "history",
        "object_states",
        "object_size",
        "ring_points",
        "centerline",
        "red_points",
    ],
)
def test_numbers_that_are_none_never_reach_the_kernel(library, made, name, bad):
    prepared = prepare_scenes([made.random_scene(1)], dtype=torch.float64)
    values = getattr(prepared, name).clone()
    where = prepared.object_present.nonzero()[-1].tolist() if name == "object_states" else [-1]
    values[tuple(where)] = bad
    with pytest.raises(SceneError, match=f"PreparedScenes.{name}: expected finite numbers"):
        NativeIndex(library, replace(prepared, **{name: values}))


def test_what_an_absent_object_would_be_does_not_matter(library, made):
    scene = made.random_scene(1)
    prepared = prepare_scenes([scene], dtype=torch.float64)
    states = prepared.object_states.clone()
    states[~prepared.object_present] = float("nan")
    assert not prepared.object_present.all()
    plans = made.random_plans(1, 8)
    raw = NativeIndex(library, replace(prepared, object_states=states)).score(plans)
    assert torch.equal(raw.values, NativeIndex(library, prepared).score(plans).values)


def test_the_index_lives_as_long_as_the_prepared_scenes(library, made):
    prepared = prepare_scenes([made.scene()])
    first = index_scenes(prepared)
    assert index_scenes(prepared) is first
    from pair_drive_core.scoring.native import index as module

    key = id(prepared)
    assert key in module._indices
    del prepared
    assert key not in module._indices
