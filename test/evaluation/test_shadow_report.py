"""What the owner of a recording without ground truth gets: numbers, a page, and the plans as a recording."""

import dataclasses
import itertools
import json
import math
import re
import sys

import numpy as np
import pytest
import torch

from pair_drive_core.cli.main import main
from pair_drive_core.driving.ego_track import MotionSample
from pair_drive_core.driving.guarded_planner import GuardedPlan, Intervention
from pair_drive_core.driving.messages.known_types import own_types
from pair_drive_core.driving.messages.trajectories import timed_plan
from pair_drive_core.driving.topics import DIAGNOSTICS_TOPIC, MARKERS_TOPIC, PATH_TOPIC, PLAN_TOPIC
from pair_drive_core.evaluation.bag_reader import open_bag
from pair_drive_core.evaluation.bag_replay import ReplayedPlan
from pair_drive_core.evaluation.bag_shadow import agreements, guard_events, shadow_plans
from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.scene import DrivingCommand, EgoStatus


def run(monkeypatch, *arguments):
    """The command's exit code."""
    monkeypatch.setattr(sys, "argv", ["pair-drive", "bag-eval", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def planned(time_us, speed, reason="", pose=(0.0, 0.0, 0.0), guard=Intervention.COMFORTABLE_STOP):
    """A straight plan at a constant speed, of the guard where there is a reason."""
    poses = torch.zeros(8, 3)
    poses[:, 0] = 0.5 * speed * torch.arange(1, 9)
    status = EgoStatus(time_us, np.array(pose), np.array([speed, 0.0]), np.zeros(2), DrivingCommand.STRAIGHT)
    intervention = guard if reason else Intervention.NONE
    replaced = intervention not in (Intervention.NONE, Intervention.SLOWED)
    plan = Plan(poses, PlanSource.FALLBACK if replaced else PlanSource.IMITATION, 0.5, 0.5)
    return ReplayedPlan(status, GuardedPlan(plan, reason, False, 0.0, intervention))


def driven(place, until_s):
    """Motion at 10 Hz along places `place(seconds)` that give x, y, heading."""
    return [
        MotionSample(round(1e5 * k), np.array(place(0.1 * k)), np.array([8.0, 0.0]))
        for k in range(round(10 * until_s) + 1)
    ]


def test_displacements_are_planned_minus_driven_along_and_across_the_driven_heading():
    path = driven(lambda t: (3.0, 6.0 * t, math.pi / 2), 5.0)
    start = (0.0, 0.0, math.pi / 2)
    (plan,) = shadow_plans({0: planned(0, 8.0, pose=start)}, path)
    np.testing.assert_allclose(plan.along_m, [2.0, 4.0, 6.0, 8.0], atol=1e-6)
    np.testing.assert_allclose(plan.across_m, [3.0] * 4, atol=1e-6)
    assert plan.distance_m == pytest.approx(math.hypot(8.0, 3.0))


def test_what_was_not_driven_any_more_is_not_known():
    (plan,) = shadow_plans({0: planned(0, 8.0)}, driven(lambda t: (8.0 * t, 0.0, 0.0), 2.5))
    assert [math.isfinite(value) for value in plan.along_m] == [True, True, False, False]
    rows = agreements([plan])
    assert [row.plans for row in rows] == [1, 1, 0, 0]
    assert rows[1].distance_m == pytest.approx(0.0, abs=1e-6) and math.isnan(rows[3].distance_m)


def test_consistency_compares_the_same_moments_of_two_plans():
    path = driven(lambda t: (8.0 * t, 0.0, 0.0), 5.0)
    same = shadow_plans({0: planned(0, 8.0), 500_000: planned(500_000, 8.0, pose=(4.0, 0.0, 0.0))}, path)
    assert math.isnan(same[0].change_m) and same[1].change_m == pytest.approx(0.0, abs=1e-6)
    beside = shadow_plans({0: planned(0, 8.0), 500_000: planned(500_000, 8.0, pose=(4.0, 1.0, 0.0))}, path)
    assert beside[1].change_m == pytest.approx(1.0)


def test_guard_events_and_uncomfortable_plans_are_named():
    plans = {
        0: planned(0, 8.0),
        500_000: planned(500_000, 8.0, "speed 99 m/s"),
        900_000: planned(900_000, 8.0, "something in the way", guard=Intervention.SLOWED),
    }
    plans[500_000].result.plan.poses[:, 0] = 0.0
    shadow = shadow_plans(plans, [])
    told = [(plan.time_us, plan.source, plan.guard, plan.reason) for plan in guard_events(shadow)]
    assert told == [
        (500_000, "fallback", "comfortable stop", "speed 99 m/s"),
        (900_000, "imitation", "slowed", "something in the way"),
    ]
    assert shadow[0].uncomfortable == () and "longitudinal acceleration" in shadow[1].uncomfortable


@pytest.fixture
def owners_bag(small_bag, tmp_path):
    """Two seconds with pictures, calibration, cloud and odometry of one front camera, under other names."""
    names = {
        "/camera/front/image_raw/compressed": "/zed/image/compressed",
        "/camera/front/camera_info": "/zed/info",
        "/lidar/points": "/os/points",
        "/odometry": "/odom",
    }
    bag = small_bag(frames=14).drop("/driving_command").drop("front_left").drop("front_right").rename(names)
    return bag.write(tmp_path / "bag")


FOREIGN = (
    "--planner=constant_velocity",
    "--command=straight",
    "--topic=camera/front/image_raw:=/zed/image",
    "--topic=camera/front/camera_info:=/zed/info",
    "--topic=lidar/points:=/os/points",
    "--topic=odometry:=/odom",
)


def test_an_owner_gets_a_page_that_needs_nothing_beside_it(owners_bag, tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, owners_bag, *FOREIGN, "--report", tmp_path / "report") == 0
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert len(sources) >= 2 and all(source.startswith("data:image/png;base64,") for source in sources)
    assert "out of distribution: no CAM_L0, CAM_R0" in page
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())
    assert len(numbers["shadow"]) == numbers["frames"] == 14
    first = numbers["shadow"][0]
    assert (first["command"], len(first["poses"]), first["along_m"][3]) == ("straight", 8, None)
    assert first["along_m"][0] == pytest.approx(0.0, abs=0.1)
    assert "planned against driven" in capsys.readouterr().out


def test_a_plan_that_the_guard_slowed_is_called_that(small_bags, small_bag, tmp_path, monkeypatch, capsys):
    """A wall that stands still, 30 m ahead of the first frame: some plans are slowed, none is called a fallback."""
    bag = small_bag(frames=14)
    for entry in bag.of("/lidar/points"):
        points = small_bags.sweep(0).points
        wall = points[:, 2] > 1.0
        points[wall, 0] = 30.0 - small_bags.SPEED * 1e-6 * (entry.logged_us - 25_000 - small_bags.T0_US)
        entry.message = dataclasses.replace(entry.message, data=points.astype("<f4").view(np.uint8).reshape(-1))
    arguments = ("--planner=constant_velocity", "--report", tmp_path / "report", "--write-bag", tmp_path / "plans")
    assert run(monkeypatch, bag.write(tmp_path / "bag"), *arguments) == 0
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())
    slowed = [plan for plan in numbers["shadow"] if plan["guard"] == "slowed"]
    assert numbers["guard_events"] == {"slowed: something in the way": len(slowed)} and slowed
    assert slowed[0]["reason"].startswith("something in the way: ")
    out = capsys.readouterr().out
    assert f"guard: slowed: something in the way x{len(slowed)}" in out and "fallback:" not in out
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert '<td class="text">slowed</td><td class="text">something in the way: ' in page
    assert f"<b>{len(slowed)}</b>guard events" in page
    with open_bag(tmp_path / "plans") as written:
        live = [m.message.reason for m in written.messages({f"/{PLAN_TOPIC}"})]
    assert sum(reason.startswith("slowed: something in the way: ") for reason in live) == len(slowed)


def test_plans_are_written_as_the_node_publishes_them(owners_bag, tmp_path, monkeypatch):
    assert run(monkeypatch, owners_bag, *FOREIGN, "--write-bag", tmp_path / "plans") == 0
    with open_bag(tmp_path / "plans") as bag, open_bag(owners_bag) as source:
        assert bag.topics == {
            f"/{PLAN_TOPIC}": "pair_drive_ros/msg/PlannedTrajectory",
            f"/{PATH_TOPIC}": "nav_msgs/msg/Path",
            f"/{MARKERS_TOPIC}": "visualization_msgs/msg/MarkerArray",
            DIAGNOSTICS_TOPIC: "diagnostic_msgs/msg/DiagnosticArray",
        }
        written = list(bag.messages({f"/{PLAN_TOPIC}"}))
        recorded = {message.logged_ns for message in source.messages(set(source.topics))}
    assert len(written) == 14
    assert {message.logged_ns for message in written} <= recorded
    plan = written[0].message
    assert (plan.header.frame_id, plan.planner) == ("odom", "constant_velocity")
    assert timed_plan(plan).poses[-1, 0] == pytest.approx(32.0, abs=0.1)
    assert "pair_drive_ros/msg/PlannedTrajectory" in own_types()


def test_the_diagnostics_of_a_replay_are_those_of_a_node(small_bags, small_bag, tmp_path, monkeypatch):
    """Ten a second, fresh inputs while all is well, an error with its cause once a camera is lost."""
    bag = small_bag(frames=14)
    lost_us = small_bags.T0_US + 700_000
    bag.entries = [e for e in bag.entries if "front_left/image" not in e.topic or e.logged_us < lost_us]
    path = bag.write(tmp_path / "bag")
    assert run(monkeypatch, path, "--planner=constant_velocity", "--write-bag", tmp_path / "plans") == 0
    with open_bag(tmp_path / "plans") as written:
        told = [(m.logged_ns, m.message) for m in written.messages({DIAGNOSTICS_TOPIC})]
    assert all(0 < b - a < 200_000_000 for (a, _), (b, _) in itertools.pairwise(told))

    def parts(after_s):
        message = next(m for ns, m in told if ns > 1000 * small_bags.T0_US + after_s * 1e9)
        return {s.name.removeprefix("/pair_drive_planner: "): (int(s.level), s.message) for s in message.status}

    well, badly = parts(0.5), parts(1.3)
    assert {"lifecycle", "input CAM_L0", "input lidar", "mounts", "synchronizer", "planner", "output"} <= set(well)
    assert {level for level, _ in well.values()} == {0}
    assert badly["input CAM_L0"][0] == 2 and badly["input CAM_L0"][1].startswith("stale: 0.")
    assert badly["input CAM_F0"][0] == 0 and badly["output"][0] == 2


def test_a_recording_that_fails_leaves_no_plans_behind(owners_bag, tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, owners_bag, "--planner=constant_velocity", "--write-bag", tmp_path / "plans") == 2
    assert "expected sensor_msgs/msg/Image, found none" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["bag"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--command", "fast"), "expected one of left, straight, right, unknown, driven, got 'fast'"),
        (("--command", "left", "--route", "x.geojson"), "expected one of them"),
        (("--route-origin", "48"), "expected LAT,LON in degrees, got '48'"),
        (("--route", "/nowhere"), "route /nowhere: expected a topic of nav_msgs/msg/Path or a file"),
    ],
)
def test_wrong_options_are_refused_in_one_line(owners_bag, monkeypatch, capsys, options, words):
    rest = [option for option in FOREIGN if "command" not in option]
    assert run(monkeypatch, owners_bag, *rest, *options) == 2
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1
