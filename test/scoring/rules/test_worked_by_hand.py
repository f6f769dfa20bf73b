"""Each rule on a straight road, with the answer worked out by hand.

The ego's box reaches from 1.127 m behind the rear axle to 4.049 m in front of it, and 1.1485 m to each side.
"""

import pytest
import torch

from pair_drive_core.scene import MapLayer, ObjectType
from pair_drive_core.scoring import HumanFilter, Metric, explain, prepare_scenes, score
from pair_drive_core.scoring.formula import total_score
from pair_drive_core.scoring.progress import ego_progress


def judge(scene, plan, metric=Metric.V2, backend="torch", human_filter=HumanFilter.OFF):
    return score([scene], plan, metric, human_filter=human_filter, backend=backend)


def sub(scores, name):
    return float(scores.column(name)[0, 0])


def first(scores, name):
    return int(scores.step[0, 0, scores.names.index(name)])


@pytest.mark.parametrize("metric", list(Metric))
def test_a_plan_without_fault_scores_one(road, metric, backend):
    scores = judge(road.scene(), road.plan(), metric, backend)
    assert torch.equal(scores.sub, torch.ones_like(scores.sub))
    assert float(scores.total[0, 0]) == 1.0
    assert (scores.step == -1).all() and (scores.cause == -1).all()


@pytest.mark.parametrize("metric", list(Metric))
def test_running_into_a_standing_vehicle(road, metric, backend):
    """Its rear is at 27.5 m: the ego's front, 4.049 m + 1 m a step, touches in step 24; with 0.9 s ahead in step 15."""
    scene = road.scene([road.object("parked", 30.0)])
    scores = judge(scene, road.plan(), metric, backend)
    assert sub(scores, "NC") == 0.0 and first(scores, "NC") == 24
    assert sub(scores, "TTC") == 0.0 and first(scores, "TTC") == 15
    assert int(scores.cause[0, 0, 0]) == 0
    assert float(scores.total[0, 0]) == 0.0
    assert first(scores, "DAC") == -1


def test_a_cone_costs_half(road, backend):
    scene = road.scene([road.object("cone", 30.0, kind=ObjectType.TRAFFIC_CONE, size=(0.5, 0.5))])
    scores = judge(scene, road.plan(), backend=backend)
    assert sub(scores, "NC") == 0.5


def test_being_hit_from_behind_is_no_fault(road, backend):
    scene = road.scene([road.object("racer", -20.0, speed=20.0)])
    assert sub(judge(scene, road.plan(), backend=backend), "NC") == 1.0


def test_projections_look_at_the_future_object_from_the_present_axle(road, backend):
    """The racer comes from behind, but 0.9 s later it is 6 m in front of where the axle is now."""
    scene = road.scene([road.object("racer", -20.0, speed=20.0)])
    scores = judge(scene, road.plan(), backend=backend)
    assert sub(scores, "TTC") == 0.0 and first(scores, "TTC") == 8


def test_a_standing_ego_is_never_at_fault(road, backend):
    scene = road.scene([road.object("comer", 30.0, heading=3.14159, speed=8.0)], speed=0.0)
    scores = judge(scene, road.plan(0.0), backend=backend)
    assert sub(scores, "NC") == 1.0 and sub(scores, "TTC") == 1.0


def side_impact(road):
    """A vehicle that crosses from the left into the middle of the ego, which creeps at 1 m/s."""
    return road.object("crossing", 3.0, 20.0, heading=-1.5707963267948966, speed=8.0)


def test_a_lateral_contact_inside_the_own_lane_is_not_at_fault(road, backend):
    scores = judge(road.scene([side_impact(road)], speed=1.0), road.plan(1.0), backend=backend)
    assert sub(scores, "NC") == 1.0 and sub(scores, "TTC") == 1.0


def test_a_lateral_contact_between_lanes_is_at_fault(road, backend):
    lanes = (
        road.ROADBLOCK,
        ("right", MapLayer.LANE, road.rectangle(-60, 160, -1.75, 0.5), True),
        ("left", MapLayer.LANE, road.rectangle(-60, 160, 0.5, 5.25), False),
    )
    scores = judge(road.scene([side_impact(road)], polygons=lanes, speed=1.0), road.plan(1.0), backend=backend)
    assert sub(scores, "NC") == 0.0
    assert sub(scores, "TTC") == 0.0, "neither ahead nor behind, and the ego is not in one lane"


@pytest.mark.parametrize(("start", "value"), [(-60.0, 0.0), (4.0, 1.0)])
def test_the_axle_in_an_intersection_makes_lateral_projections_count(road, start, value, backend):
    """An intersection that only the front of the ego reaches changes nothing."""
    crossing = (*road.POLYGONS, ("crossing", MapLayer.INTERSECTION, road.rectangle(start, 160, -1.75, 5.25), False))
    scene = road.scene([side_impact(road)], polygons=crossing, speed=1.0)
    scores = judge(scene, road.plan(1.0), backend=backend)
    assert sub(scores, "TTC") == value and sub(scores, "NC") == 1.0


def test_being_hit_from_behind_between_lanes_is_no_fault(road, backend):
    lanes = (
        road.ROADBLOCK,
        ("right", MapLayer.LANE, road.rectangle(-60, 160, -1.75, 0.5), True),
        ("left", MapLayer.LANE, road.rectangle(-60, 160, 0.5, 5.25), False),
    )
    scene = road.scene([road.object("racer", -20.0, speed=20.0)], polygons=lanes)
    assert sub(judge(scene, road.plan(), backend=backend), "NC") == 1.0


@pytest.mark.parametrize(("first_seen", "value"), [(0.05, 0.0), (0.06, 1.0)])
def test_an_object_counts_as_standing_by_its_speed_when_first_seen(road, first_seen, value, backend):
    """The same lateral contact: the ego is at fault only with what stood at first, whatever it did later."""
    crossing = road.object(
        "crossing",
        3.0,
        lambda t: 20.0 - 8.0 * t,
        heading=-1.5707963267948966,
        speed=lambda t: first_seen if t == 0.0 else 8.0,
    )
    scores = judge(road.scene([crossing], speed=1.0), road.plan(1.0), backend=backend)
    assert sub(scores, "NC") == value


def test_an_object_that_overlaps_at_the_start_is_removed_in_v2_only(road, backend):
    scene = road.scene([road.object("overlap", 5.0)])
    assert sub(judge(scene, road.plan(), Metric.V2, backend), "NC") == 1.0
    assert sub(judge(scene, road.plan(), Metric.V1, backend), "NC") == 0.0


def test_an_object_seen_once_stands_there_all_the_time(road, backend):
    scene = road.scene([road.object("ghost", 30.0, seen=[8])])
    assert first(judge(scene, road.plan(), backend=backend), "NC") == 24


def test_an_object_that_vanishes_before_the_contact_does_no_harm(road, backend):
    scene = road.scene([road.object("gone", 30.0, seen=range(2))])
    scores = judge(scene, road.plan(), backend=backend)
    assert sub(scores, "NC") == 1.0 and sub(scores, "TTC") == 1.0


def test_gaps_between_observations_are_bridged(road, backend):
    scene = road.scene([road.object("flicker", 30.0, seen=[0, 10])])
    assert first(judge(scene, road.plan(), Metric.V1, backend), "NC") == 24


def test_a_track_that_appears_after_four_seconds_does_not_exist_in_v2(road, backend):
    scene = road.scene([road.object("late", 30.0, seen=[9, 10])])
    assert sub(judge(scene, road.plan(), Metric.V2, backend), "TTC") == 1.0


def test_leaving_the_drivable_area(road, backend):
    """The right corners are at -1.1485 m from the start on; the edge is moved to -1.1 m."""
    narrow = (
        ("roadblock", MapLayer.ROADBLOCK, road.rectangle(-60, 160, -1.1, 5.25), False),
        road.OWN_LANE,
        road.LEFT_LANE,
    )
    scores = judge(road.scene(polygons=narrow), road.plan(), backend=backend)
    assert sub(scores, "DAC") == 0.0 and first(scores, "DAC") == 0
    assert float(scores.total[0, 0]) == 0.0


def test_lanes_alone_are_not_drivable(road, backend):
    scores = judge(road.scene(polygons=(road.OWN_LANE, road.LEFT_LANE)), road.plan(), backend=backend)
    assert sub(scores, "DAC") == 0.0


def test_each_corner_may_lie_in_another_drivable_polygon(road, backend):
    halves = (
        ("right half", MapLayer.CARPARK_AREA, road.rectangle(-60, 160, -1.75, 0.0), False),
        ("left half", MapLayer.INTERSECTION, road.rectangle(-60, 160, 0.0, 5.25), False),
        road.OWN_LANE,
    )
    assert sub(judge(road.scene(polygons=halves), road.plan(), backend=backend), "DAC") == 1.0


@pytest.mark.parametrize(("speed", "value"), [(1.5, 1.0), (3.0, 0.5), (10.0, 0.0)])
def test_driving_on_the_wrong_side(road, speed, value, backend):
    """Eleven steps make 1.1 s: 1.65 m, 3.3 m and 11 m."""
    scene = road.scene(speed=speed, start=(0.0, 3.5, 0.0))
    scores = judge(scene, road.plan(speed), backend=backend)
    assert sub(scores, "DDC") == value
    if value == 0.0:
        assert first(scores, "DDC") == 2, "2 m after two steps"


def test_the_wrong_side_does_not_count_in_intersections_in_v2(road, backend):
    crossing = (*road.POLYGONS, ("crossing", MapLayer.INTERSECTION, road.rectangle(-60, 160, -1.75, 5.25), False))
    scene = road.scene(start=(0.0, 3.5, 0.0), polygons=crossing)
    assert sub(judge(scene, road.plan(), Metric.V2, backend), "DDC") == 1.0
    assert sub(judge(scene, road.plan(), Metric.V1, backend), "DDC") == 0.0


def test_a_red_light_ahead(road, backend):
    """The connector starts at 20 m: the front is there in step 16."""
    scene = road.scene(red=[("connector", road.rectangle(20, 40, -1.75, 1.75), range(41))])
    scores = judge(scene, road.plan(), backend=backend)
    assert sub(scores, "TLC") == 0.0 and first(scores, "TLC") == 16
    assert int(scores.cause[0, 0, scores.names.index("TLC")]) == 0


def test_a_light_that_turns_red_behind_the_ego(road, backend):
    """At 3 s the rear end is at 28.9 m."""
    scene = road.scene(red=[("connector", road.rectangle(20, 28, -1.75, 1.75), range(30, 41))])
    assert sub(judge(scene, road.plan(), backend=backend), "TLC") == 1.0


def test_standing_inside_a_red_connector_counts(road, backend):
    scene = road.scene(red=[("connector", road.rectangle(-60, 160, -1.75, 1.75), range(41))], speed=0.0)
    scores = judge(scene, road.plan(0.0), backend=backend)
    assert sub(scores, "TLC") == 0.0 and first(scores, "TLC") == 0


@pytest.mark.parametrize(("offset", "value", "step"), [(0.5, 1.0, -1), (0.6, 0.0, 19)])
def test_twenty_steps_off_the_centre_line(road, offset, value, step, backend):
    scene = road.scene(centerline=((-60.0, offset), (160.0, offset)))
    scores = judge(scene, road.plan(), backend=backend)
    assert sub(scores, "LK") == value and first(scores, "LK") == step


def test_steps_in_an_intersection_neither_count_nor_end_the_row(road, backend):
    """The centre is at 1.461 m + 1 m a step: steps 9..18 are inside, so the twentieth counted step is 29."""
    crossing = (*road.POLYGONS, ("crossing", MapLayer.INTERSECTION, road.rectangle(10.0, 20.0, -1.75, 5.25), False))
    scene = road.scene(centerline=((-60.0, 0.6), (160.0, 0.6)), polygons=crossing)
    assert first(judge(scene, road.plan(), backend=backend), "LK") == 29


@pytest.mark.parametrize(
    ("past", "bound"), [((5.0, 0.0), "longitudinal acceleration"), ((0.0, 5.0), "lateral acceleration")]
)
def test_an_uncomfortable_past_counts_in_v2_only(road, past, bound, backend):
    scene = road.scene(past_acceleration=past)
    scores = judge(scene, road.plan(), Metric.V2, backend)
    assert sub(scores, "HC") == 0.0
    prepared = prepare_scenes([scene], Metric.V2, torch.float64)
    assert bound in explain(scores, prepared, 0, 0)[0].detail
    assert sub(judge(scene, road.plan(), Metric.V1, backend), "C") == 1.0


def test_a_sharp_stop_is_uncomfortable(road, backend):
    assert sub(judge(road.scene(), road.plan(0.0), Metric.V2, backend), "HC") == 0.0
    assert sub(judge(road.scene(), road.plan(0.0), Metric.V1, backend), "C") == 0.0


def test_progress_is_measured_against_the_reference(road, backend):
    """The reference makes 40 m; half of that by a plan that slows down gives EP of its own progress / 40."""
    scores = judge(road.scene(), road.plan(6.0), backend=backend)
    assert float(scores.reference_progress_m[0]) == pytest.approx(40.0, abs=1e-3)
    assert 20.0 < float(scores.progress_m[0, 0]) < 30.0
    assert sub(scores, "EP") == pytest.approx(float(scores.progress_m[0, 0]) / 40.0, abs=1e-4)


def test_progress_is_one_for_all_where_nobody_gets_far(road, backend):
    scores = judge(road.scene(speed=1.0), road.plan(0.0), backend=backend)
    assert sub(scores, "EP") == 1.0


def test_ego_progress_by_hand():
    progress, multiplier = torch.tensor([[10.0, 30.0, 40.0]]), torch.tensor([[1.0, 0.5, 0.0]])
    best = torch.tensor([[20.0]])
    assert ego_progress(progress, multiplier, best, Metric.V2).tolist() == [[0.5, 1.0, 1.0]]
    assert ego_progress(progress, multiplier, best, Metric.V1).tolist() == [[0.5, 0.75, 0.0]]
    small = torch.tensor([[5.0]])
    assert ego_progress(progress, multiplier, small, Metric.V2).tolist() == [[1.0, 1.0, 1.0]]
    assert ego_progress(progress, multiplier, small, Metric.V1).tolist() == [[1.0, 1.0, 0.0]]


def test_totals_by_hand():
    v2 = torch.tensor([0.5, 1.0, 0.5, 1.0, 0.8, 1.0, 0.0, 1.0], dtype=torch.float64)
    assert float(total_score(v2, Metric.V2)) == pytest.approx(0.25 * (4.0 + 5.0 + 0.0 + 2.0) / 14.0)
    comfort = torch.tensor([1.0, 0.0, torch.nan], dtype=torch.float64)
    rows = total_score(v2.expand(3, 8), Metric.V2, comfort)
    assert rows.tolist() == pytest.approx([0.25 * 13.0 / 16.0, 0.25 * 11.0 / 16.0, 0.25 * 11.0 / 14.0])
    v1 = torch.tensor([0.5, 1.0, 0.8, 1.0, 0.0, 0.0], dtype=torch.float64)
    assert float(total_score(v1, Metric.V1)) == pytest.approx(0.5 * (4.0 + 5.0) / 12.0)


def test_conventions_of_the_human_filter(road, backend):
    """The human leaves the road, and so does the plan."""
    narrow = (
        ("roadblock", MapLayer.ROADBLOCK, road.rectangle(-60, 160, -1.1, 5.25), False),
        road.OWN_LANE,
        road.LEFT_LANE,
    )
    scene = road.scene(polygons=narrow)
    fixed = judge(scene, road.plan(), backend=backend, human_filter=HumanFilter.FIXED)
    assert sub(fixed, "DAC") == 1.0 and float(fixed.total[0, 0]) == 1.0
    old = judge(scene, road.plan(), backend=backend, human_filter=HumanFilter.OLD)
    assert sub(old, "DAC") == 1.0 and float(old.total[0, 0]) == 0.0
    off = judge(scene, road.plan(), backend=backend, human_filter=HumanFilter.OFF)
    assert sub(off, "DAC") == 0.0 and float(off.total[0, 0]) == 0.0


def test_the_filter_does_not_forgive_a_half(road, backend):
    """The human touches a cone (1/2), the plan a vehicle behind it, too (0): no collision is forgiven."""
    scene = road.scene(
        [
            road.object("cone", 30.0, kind=ObjectType.TRAFFIC_CONE, size=(0.5, 0.5)),
            road.object("parked", 45.0),
        ],
        human=road.plan(8.0)[0, 0],
    )
    scores = judge(scene, road.plan(14.0), backend=backend, human_filter=HumanFilter.FIXED)
    assert float(scores.human_sub[0, 0]) == 0.5
    assert sub(scores, "NC") == 0.0


def test_explanations_name_the_culprit_its_time_and_place(road, backend):
    scene = road.scene([road.object("harmless", 100.0, y=50.0), road.object("parked", 30.0)], offset=(1e5, 2e5))
    scores = judge(scene, road.plan(), backend=backend)
    prepared = prepare_scenes([scene], Metric.V2, torch.float64)
    collision = explain(scores, prepared, 0, 0)[0]
    assert collision.name == "NC" and collision.cause == "parked"
    assert collision.time_s == pytest.approx(2.4)
    assert collision.position == pytest.approx((1e5 + 25.461, 2e5), abs=1e-3)
    assert collision.cause_position == pytest.approx((1e5 + 30.0, 2e5), abs=1e-6)
    assert "parked" in str(collision) and "2.4 s" in str(collision)
