"""What viewers, recorders and drivers of a shadow get: every field of a message is there and says what it should."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pair_drive_core.driving.findings import Finding, Level
from pair_drive_core.driving.guarded_planner import GuardedPlan, Intervention
from pair_drive_core.driving.messages import bag_messages
from pair_drive_core.driving.messages.candidates import to_candidates, to_markers
from pair_drive_core.driving.messages.diagnostics import to_diagnostics
from pair_drive_core.driving.messages.disagreements import to_plan_disagreement
from pair_drive_core.driving.messages.rear_axle import to_rear_axle_transform
from pair_drive_core.driving.messages.scores import to_pdm_score
from pair_drive_core.driving.messages.stamps import to_time
from pair_drive_core.driving.messages.town_map import to_map_markers
from pair_drive_core.driving.messages.trajectories import to_path, to_planned_trajectory
from pair_drive_core.driving.shadow import Disagreement
from pair_drive_core.planning.plan import CandidateTrajectories, Plan, PlanSource
from pair_drive_core.scene import DrivingCommand, EgoStatus
from pair_drive_core.scoring import Metric

T0 = 12_345_678
STATUS = EgoStatus(T0, np.array([10.0, -5.0, math.pi / 2]), np.array([4.0, 0.0]), np.zeros(2), DrivingCommand.LEFT)


@pytest.fixture
def make(bag_types):
    return bag_messages(bag_types)


@pytest.fixture
def read_back(bag_types):
    """Through the bytes of a recording, which know nothing of a field that was left out."""
    return lambda message: bag_types.deserialize_cdr(
        bag_types.serialize_cdr(message, message.__msgtype__), message.__msgtype__
    )


def stamp_of(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def guarded(source=PlanSource.REINFORCEMENT, intervention=Intervention.NONE, reason=""):
    """4 m/s, speeding up by 1 m/s^2, straight on."""
    time_s = 0.5 * torch.arange(1, 9)
    poses = torch.stack((4.0 * time_s + 0.5 * time_s**2, torch.zeros(8), torch.zeros(8)), dim=-1)
    leaves = CandidateTrajectories(
        poses=torch.stack((poses, 0.5 * poses)),
        intentions=torch.tensor([[0, 0], [4, 1]]),
        log_prob=torch.tensor([0.0, -1.5]),
        reward=torch.tensor([0.75, 0.25]),
        confidence=torch.tensor([1.0, 0.5]),
        sub_scores=torch.tensor([[1.0, 0.5], [0.25, 0.0]]),
        sub_score_names=("NC", "EP"),
        imitation_index=1,
    )
    return GuardedPlan(Plan(poses, source, 0.75, 0.5, leaves), reason, False, 0.025, intervention)


def test_a_plan_says_where_and_how_fast_and_what_the_guard_made_of_it(make, read_back):
    result = guarded(intervention=Intervention.SLOWED, reason="something ahead")
    message = read_back(to_planned_trajectory(make, result, STATUS, "odom", 1.125, "pair"))
    assert (stamp_of(message), message.header.frame_id) == (T0 * 1000, "odom")
    assert (message.source, message.score, message.confidence, message.planner) == (2, 0.75, 0.5, "pair")
    assert message.reason == "slowed: something ahead"
    assert (message.age.sec, message.age.nanosec, message.compute_time.nanosec) == (1, 125_000_000, 25_000_000)
    speeds = [point.longitudinal_velocity_mps for point in message.points]
    # The ego's own speed, then the mean of the steps before and after, then that of the last step.
    assert speeds == pytest.approx([4.0, *(4.0 + 0.5 * i for i in range(1, 8)), 7.75], abs=1e-5)
    assert [point.acceleration_mps2 for point in message.points] == pytest.approx([1.0] * 7 + [0.5] * 2, abs=1e-5)
    third = message.points[3].pose
    assert (third.position.x, third.position.y) == pytest.approx((10.0, -5.0 + 7.125), abs=1e-5), (
        "the ego looks along +y"
    )
    assert (third.orientation.z, third.orientation.w) == pytest.approx((math.sqrt(0.5),) * 2)
    path = read_back(to_path(make, message))
    assert (stamp_of(path), stamp_of(path.poses[3]), path.poses[3].header.frame_id) == (
        T0 * 1000,
        T0 * 1000 + 1_500_000_000,
        "odom",
    )
    assert path.poses[3].pose == third


def test_leaves_and_their_picture(make, read_back):
    result = guarded()
    leaves = read_back(to_candidates(make, result.plan.candidates, STATUS, "odom", 0.5))
    assert (stamp_of(leaves), leaves.header.frame_id, leaves.imitation_index) == (T0 * 1000, "odom", 1)
    assert (leaves.interval.sec, leaves.interval.nanosec, leaves.sub_score_names) == (0, 500_000_000, ["NC", "EP"])
    last = leaves.candidates[1]
    assert (last.log_prob, last.reward, last.confidence) == (-1.5, 0.25, 0.5)
    assert (last.intentions.tolist(), last.sub_scores.tolist()) == ([4, 1], [0.25, 0.0])
    assert last.poses[7].position.y == pytest.approx(-5.0 + 12.0)
    plan = to_planned_trajectory(make, result, STATUS, "odom", 0.0, "pair")
    gone, *tree, chosen = read_back(to_markers(make, plan, leaves)).markers
    assert (gone.action, gone.points) == (3, []), "what was there before goes"
    assert [(m.ns, m.id, m.type, m.action) for m in (*tree, chosen)] == [
        ("tree", 0, 4, 0),
        ("tree", 1, 4, 0),
        ("plan", 0, 4, 0),
    ]
    colors = [(m.color.r, m.color.g, m.color.b, m.color.a) for m in tree]
    assert colors == [pytest.approx((0.25, 0.75, 0.1, 0.6)), pytest.approx((0.75, 0.25, 0.1, 0.6))]
    assert chosen.scale.x > tree[0].scale.x > 0 and chosen.color.a == 1.0 and chosen.color.g > chosen.color.r
    for marker in (gone, *tree, chosen):
        assert (marker.pose.orientation.w, marker.pose.position.x, marker.pose.position.y) == (1.0, 0.0, 0.0)
        assert (marker.lifetime.sec, marker.lifetime.nanosec) == (0, 500_000_000), "they go when no plan comes"
    assert (chosen.points[0].x, chosen.points[0].y) == (10.0, -5.0) and len(chosen.points) == 9
    alone = to_markers(make, plan, None).markers
    assert [marker.ns for marker in alone] == ["", "plan"]


@pytest.mark.parametrize(("source", "strongest"), [(PlanSource.IMITATION, "b"), (PlanSource.FALLBACK, "r")])
def test_the_color_of_a_plan_tells_whose_it_is(make, source, strongest):
    plan = to_planned_trajectory(make, guarded(source), STATUS, "odom", 0.0, "pair")
    color = to_markers(make, plan, None).markers[-1].color
    assert max("rgb", key=lambda name: getattr(color, name)) == strongest


def test_the_town_is_drawn_once_in_closed_rings_that_stay(make, read_back):
    rings = [np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0]]), np.array([[9.0, 9.0], [8.0, 9.0], [8.0, 8.0]])]
    markers = read_back(to_map_markers(make, rings, "map")).markers
    assert [(m.ns, m.id, m.header.frame_id, stamp_of(m)) for m in markers] == [
        ("map", 0, "map", 0),
        ("map", 1, "map", 0),
    ]
    assert [(p.x, p.y) for p in markers[0].points] == [(0.0, 0.0), (4.0, 0.0), (4.0, 2.0), (0.0, 0.0)]
    assert (markers[1].lifetime.sec, markers[1].lifetime.nanosec) == (0, 0)
    assert markers[0].scale.x == pytest.approx(0.12) and markers[0].color.a > 0


def test_diagnostics_have_a_part_a_finding(make, read_back):
    findings = [
        Finding("lidar", Level.ERROR, "stale", {"age_s": 0.31234, "count": 3}),
        Finding("output", Level.WARN, "no plan yet"),
        Finding("planner", Level.OK, "pair"),
    ]
    message = read_back(to_diagnostics(make, findings, "/planner", T0))
    assert stamp_of(message) == T0 * 1000
    assert [(s.name, s.level, s.message, s.hardware_id) for s in message.status] == [
        ("/planner: lidar", 2, "stale", "/planner"),
        ("/planner: output", 1, "no plan yet", "/planner"),
        ("/planner: planner", 0, "pair", "/planner"),
    ]
    assert [(v.key, v.value) for v in message.status[0].values] == [("age_s", "0.312"), ("count", "3")]


def test_a_score_and_a_disagreement(make, read_back):
    scores = SimpleNamespace(
        metric=Metric.V2, names=("NC", "EP"), sub=torch.tensor([[[1.0, 0.5]]]), total=torch.tensor([[0.75]])
    )
    score = read_back(to_pdm_score(make, scores, T0, "odom"))
    assert (stamp_of(score), score.header.frame_id, score.metric, score.total) == (T0 * 1000, "odom", 2, 0.75)
    assert (score.names, score.sub_scores.tolist()) == (["NC", "EP"], [1.0, 0.5])
    found = Disagreement(T0, (1.0, 2.0, 3.0, 4.0), (0.5,) * 4, (0.25,) * 4, True, "pair", True)
    told = read_back(to_plan_disagreement(make, found, "odom"))
    assert (stamp_of(told), told.header.frame_id) == (T0 * 1000, "odom")
    assert (told.horizon_s.tolist(), told.along_m.tolist()) == ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0])
    assert (told.across_m.tolist(), told.heading_rad.tolist()) == ([0.5] * 4, [0.25] * 4)
    assert (told.large, told.planner, told.fallback) == (True, "pair", True)


def test_the_rear_axle_lies_behind_the_middle_and_looks_the_same_way(make, read_back):
    message = read_back(to_rear_axle_transform(make, to_time(make, T0), "ego_vehicle", "base_link", 1.25))
    assert (stamp_of(message), message.header.frame_id, message.child_frame_id) == (
        T0 * 1000,
        "ego_vehicle",
        "base_link",
    )
    moved, turned = message.transform.translation, message.transform.rotation
    assert (moved.x, moved.y, moved.z, turned.x, turned.y, turned.z, turned.w) == (-1.25, 0, 0, 0, 0, 0, 1)
