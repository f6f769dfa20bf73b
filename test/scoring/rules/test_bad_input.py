"""Plans and scenes that are wrong or odd: defined results or clear errors, never a NaN score."""

import dataclasses
import math

import pytest
import torch

from pair_drive_core.scene import EgoHistory, MapLayer, ObjectType, SceneError
from pair_drive_core.scoring import HumanFilter, Metric, explain, prepare_scenes, score


def assert_numbers(scores):
    for tensor in (scores.sub, scores.total, scores.progress_m, scores.states, scores.unfiltered):
        assert torch.isfinite(tensor).all()
    assert ((scores.sub >= 0) & (scores.sub <= 1)).all()


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_impossible_plan_scores_zero_and_leaves_the_others_alone(road, metric, bad, dtype, backend):
    good = road.plan(dtype=dtype)
    wrong = good.clone()
    wrong[0, 0, 3, 1] = bad
    plans = torch.cat((good, wrong, good), dim=1)
    for normalisation in ("single", "batch"):
        scores = score([road.scene()], plans, metric, normalisation=normalisation, backend=backend)
        assert scores.valid.tolist() == [[True, False, True]]
        assert scores.total.tolist() == [[1.0, 0.0, 1.0]]
        assert (scores.sub[0, 1] == 0).all()
        assert_numbers(scores)


def test_an_impossible_plan_is_explained(road, backend):
    plan = road.plan()
    plan[..., 0] = math.nan
    scores = score([road.scene()], plan, backend=backend)
    (reason,) = explain(scores, prepare_scenes([road.scene()], Metric.V2, torch.float64), 0, 0)
    assert reason.name == "plan" and "NaN" in str(reason)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_odd_plans_are_driven_and_scored(road, dtype, backend):
    still = torch.zeros(1, 1, 8, 3, dtype=dtype)
    reverse = road.plan(-5.0, dtype=dtype)
    spinning = road.plan(5.0, heading=2000.0, dtype=dtype)
    jumping = road.plan(dtype=dtype)
    jumping[..., 0, :] = 9e4
    scene = road.scene([road.object("parked", 30.0)])
    scores = score([scene], torch.cat((still, reverse, spinning, jumping), dim=1), backend=backend)
    assert_numbers(scores)
    assert scores.valid[0, :3].all()


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 8, 3), "trajectories"), ((1, 1, 8, 2), "trajectories"), ((2, 1, 8, 3), "1 scenes"), ((1, 1, 0, 3), "poses")],
)
def test_wrong_shapes(road, shape, message, backend):
    with pytest.raises(SceneError, match=message):
        score([road.scene()], torch.zeros(shape), backend=backend)


def test_wrong_types(road, backend):
    with pytest.raises(SceneError, match="dtype"):
        score([road.scene()], torch.zeros(1, 1, 8, 3, dtype=torch.int64), backend=backend)
    prepared = prepare_scenes([road.scene()], Metric.V1, torch.float32)
    with pytest.raises(SceneError, match="prepared for v2, got v1"):
        score(prepared, road.plan(dtype=torch.float32), Metric.V2, backend=backend)
    with pytest.raises(SceneError, match="float32"):
        score(prepared, road.plan(), Metric.V1, backend=backend)


def test_unknown_options(road):
    with pytest.raises(SceneError, match="normalisation"):
        score([road.scene()], road.plan(), normalisation="both")
    with pytest.raises(SceneError, match="backend"):
        score([road.scene()], road.plan(), backend="gpu")
    with pytest.raises(SceneError, match="chunk"):
        score([road.scene()], road.plan(), chunk=0, backend="torch")


def test_no_candidates(road, backend):
    scores = score([road.scene()], torch.zeros(1, 0, 8, 3), backend=backend)
    assert scores.sub.shape == (1, 0, 8) and scores.total.shape == (1, 0)


def test_no_scenes():
    with pytest.raises(SceneError, match="at least one scene"):
        prepare_scenes([])


def test_a_missing_reference_is_named(road):
    scene = dataclasses.replace(road.scene(token="lonely"), reference=None)
    with pytest.raises(SceneError, match=r"reference.*lonely"):
        score([scene], road.plan())
    with pytest.raises(SceneError, match="score: reference: expected finite"):
        score([scene], road.plan(), reference=road.scene().reference[None] * math.nan)
    with pytest.raises(SceneError, match="score: reference: expected shape"):
        score([scene], road.plan(), reference=road.scene().reference)
    given = score([scene], road.plan(), reference=road.scene().reference[None])
    assert float(given.total[0, 0]) == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {"reference": s.reference[:20]}, "41 finite poses"),
        (lambda s: {"reference": s.reference * math.nan}, "41 finite poses"),
        (lambda s: {"ego": dataclasses.replace(s.ego, velocity=s.ego.velocity * math.nan)}, "EgoState.velocity"),
        (lambda s: {"map": dataclasses.replace(s.map, layers=s.map.layers[:1])}, "MapPolygons.layers"),
        (lambda s: {"objects": dataclasses.replace(s.objects, interval_s=0.1)}, "0.5 s"),
        (lambda s: {"objects": dataclasses.replace(s.objects, tokens=("a", "a"))}, "every token once"),
        (lambda s: {"lights": dataclasses.replace(s.lights, red=s.lights.red[:9])}, "at least 41 rows"),
        (lambda s: {"human": dataclasses.replace(s.human, poses=s.human.poses[:5])}, "Scene.human"),
    ],
)
def test_broken_scenes_are_named_with_the_part_at_fault(road, change, message):
    scene = road.scene(
        [road.object("a", 30.0), road.object("b", 40.0)],
        red=[("red", road.rectangle(20, 40, -1.75, 1.75), range(41))],
        token="broken",
    )
    with pytest.raises(SceneError, match=f"scene broken: .*{message}"):
        prepare_scenes([scene := dataclasses.replace(scene, **change(scene))], Metric.V2)


def test_four_seconds_of_objects_are_enough_for_v2_only(road, backend):
    scene = road.scene([road.object("parked", 30.0)])
    objects = dataclasses.replace(scene.objects, states=scene.objects.states[:9], present=scene.objects.present[:9])
    short = dataclasses.replace(scene, objects=objects)
    assert float(score([short], road.plan(), Metric.V2, backend=backend).unfiltered[0, 0, 0]) == 0.0
    with pytest.raises(SceneError, match="at least 11 key frames, got 9"):
        score([short], road.plan(), Metric.V1, backend=backend)


def test_polygons_without_an_inside_contain_nothing(road, backend):
    empty = ("empty", MapLayer.ROADBLOCK, torch.zeros(0, 2, dtype=torch.float64), False)
    line = ("line", MapLayer.ROADBLOCK, torch.tensor([[-50.0, 0.0], [150.0, 0.0]], dtype=torch.float64), False)
    point = ("point", MapLayer.ROADBLOCK, torch.zeros(5, 2, dtype=torch.float64), False)
    plain = score([road.scene(polygons=(road.OWN_LANE, empty, line, point))], road.plan(), backend=backend)
    assert float(plain.unfiltered[0, 0, 1]) == 0.0
    more = score([road.scene(polygons=(empty, line, point, *road.POLYGONS))], road.plan(), backend=backend)
    assert float(more.total[0, 0]) == 1.0


def test_a_self_intersecting_polygon_follows_the_even_odd_rule(road, backend):
    """A bow tie whose left half holds the whole road, and a ring that goes round the road twice (even: outside)."""
    tie = torch.tensor([[-100.0, -80.0], [-100.0, 80.0], [300.0, -80.0], [300.0, 80.0]], dtype=torch.float64)
    bow = ("bow tie", MapLayer.ROADBLOCK, tie, False)
    assert float(score([road.scene(polygons=(bow, road.OWN_LANE))], road.plan(), backend=backend).total[0, 0]) == 1.0
    twice = ("twice", MapLayer.ROADBLOCK, road.rectangle(-60, 160, -5, 5).repeat(2, 1), False)
    scores = score([road.scene(polygons=(twice, road.OWN_LANE))], road.plan(), backend=backend)
    assert float(scores.unfiltered[0, 0, 1]) == 0.0


def test_repeated_and_closing_vertices_change_nothing(road, backend):
    ring = road.rectangle(-60, 160, -1.75, 5.25)
    closed = ("closed", MapLayer.ROADBLOCK, torch.cat((ring, ring[:1], ring[:1])), False)
    scores = score([road.scene(polygons=(closed, road.OWN_LANE, road.LEFT_LANE))], road.plan(), backend=backend)
    assert float(scores.total[0, 0]) == 1.0


def test_points_on_the_boundary_are_outside(road, backend):
    """The ego stands with its left corners exactly on the edge of the only drivable polygon."""
    half_width = 2.297 / 2.0
    edge = ("edge", MapLayer.ROADBLOCK, road.rectangle(-60, 160, -5.0, half_width), False)
    scene = road.scene(polygons=(edge, road.OWN_LANE), speed=0.0)
    scores = score([scene], road.plan(0.0), human_filter=HumanFilter.OFF, backend=backend)
    assert float(scores.column("DAC")[0, 0]) == 0.0


def test_boxes_that_only_touch_collide(road, backend):
    """A cone whose edge lies exactly on the side of the ego's box."""
    half_width = 2.297 / 2.0
    cone = road.object("cone", 30.0, y=half_width + 0.25, kind=ObjectType.TRAFFIC_CONE, size=(0.5, 0.5))
    assert float(score([road.scene([cone])], road.plan(), backend=backend).unfiltered[0, 0, 0]) == 0.5


def test_a_route_that_is_not_on_the_map(road, backend):
    off_route = (road.ROADBLOCK, (*road.OWN_LANE[:3], False))
    scene = road.scene(polygons=off_route, centerline=((5e3, 5e3), (5e3, 6e3)))
    scores = score([scene], road.plan(), human_filter=HumanFilter.OFF, backend=backend)
    assert_numbers(scores)
    assert float(scores.column("DDC")[0, 0]) == 0.0 and float(scores.column("LK")[0, 0]) == 0.0
    assert float(scores.column("EP")[0, 0]) == 1.0, "nobody makes progress along it"


def test_a_centre_line_of_one_repeated_point(road, backend):
    scores = score([road.scene(centerline=((0.0, 0.0),) * 3)], road.plan(), backend=backend)
    assert_numbers(scores)
    assert float(scores.progress_m[0, 0]) == 0.0


def test_objects_without_extent(road, backend):
    scene = road.scene([road.object("dot", 30.0, size=(0.0, 0.0))])
    scores = score([scene], road.plan(), human_filter=HumanFilter.OFF, backend=backend)
    assert float(scores.column("NC")[0, 0]) == 0.0


@pytest.mark.parametrize("rows", [0, 1])
def test_without_a_past_comfort_is_granted(road, rows, backend):
    scene = road.scene()
    past = scene.history
    short = EgoHistory(*(getattr(past, name)[4 - rows :] for name in ("time_us", "pose", "velocity", "acceleration")))
    stop = road.plan(0.0)
    assert float(score([scene], stop, backend=backend).column("HC")[0, 0]) == 0.0
    assert float(score([dataclasses.replace(scene, history=short)], stop, backend=backend).column("HC")[0, 0]) == 1.0


@pytest.mark.parametrize("span_us", [50_000, 150_000, 2_500_000])
def test_a_past_of_another_length(road, span_us, backend):
    past = road.scene().history
    time = torch.tensor([10_000_000 - span_us, 10_000_000])
    history = EgoHistory(time, past.pose[2:], past.velocity[2:], torch.zeros(2, 2, dtype=torch.float64))
    scores = score([dataclasses.replace(road.scene(), history=history)], road.plan(), backend=backend)
    assert float(scores.total[0, 0]) == 1.0
