import dataclasses
import math

import numpy as np
import pytest
import torch

from pair_drive_core.driving.fallback import stop_plan
from pair_drive_core.driving.guarded_planner import GuardedPlanner, Intervention
from pair_drive_core.driving.output_guard import GuardLimits, guard_violations
from pair_drive_core.geometry import compose_se2
from pair_drive_core.planning.plan import Plan, PlanSource
from pair_drive_core.scene import AgentInput, DrivingCommand, EgoStatus, SceneError


def status(speed, pose=(0.0, 0.0, 0.0)):
    return EgoStatus(0, np.array(pose), np.array([speed, 0.0]), np.zeros(2), DrivingCommand.STRAIGHT)


def arc(radius, length, origin=(0.0, 0.0, 0.0), points=30):
    """(P, 3) poses along a left turn that begins at `origin`."""
    angle = torch.linspace(0, length / radius, points, dtype=torch.float64)
    local = torch.stack((radius * angle.sin(), radius * (1 - angle.cos()), angle), dim=-1)
    return compose_se2(torch.tensor(origin, dtype=torch.float64), local)


class Scripted:
    """A planner that answers what the test tells it to."""

    name = "scripted"

    def __init__(self):
        self.answer = None

    def plan(self, agent_input):
        if isinstance(self.answer, BaseException):
            raise self.answer
        return Plan(self.answer, PlanSource.IMITATION, 0.5, 0.5)


@pytest.fixture
def scripted():
    return Scripted()


@pytest.fixture
def guarded(scripted):
    return GuardedPlanner(scripted, GuardLimits(), fallback_deceleration_mps2=2.0)


def straight(speed):
    poses = torch.zeros(8, 3)
    poses[:, 0] = speed * 0.5 * torch.arange(1, 9)
    return poses


def run(guarded, ego):
    return guarded.plan(AgentInput((ego,), {}, None))


def test_a_good_plan_passes_untouched(guarded, scripted):
    scripted.answer = straight(5.0)
    result = run(guarded, status(5.0))
    assert result.plan.source is PlanSource.IMITATION
    assert result.plan.poses is scripted.answer
    assert (result.reason, result.failed) == ("", False)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("out of memory"),
        RuntimeError("device lost"),
        ValueError("shape"),
        MemoryError("host"),
        ZeroDivisionError("x"),
    ],
)
def test_any_error_of_the_planner_becomes_a_fallback_that_says_why(guarded, scripted, error):
    scripted.answer = error
    result = run(guarded, status(8.0))
    assert result.plan.source is PlanSource.FALLBACK
    assert result.failed
    assert type(error).__name__ in result.reason
    assert torch.isfinite(result.plan.poses).all()


def test_an_interrupt_is_not_swallowed(guarded, scripted):
    scripted.answer = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run(guarded, status(8.0))


def test_an_implausible_plan_becomes_a_fallback_without_being_a_failure(guarded, scripted):
    scripted.answer = torch.full((8, 3), math.nan)
    result = run(guarded, status(8.0))
    assert (result.plan.source, result.failed, result.reason) == (PlanSource.FALLBACK, False, "not finite")


def test_the_fallback_follows_the_last_good_path_in_the_world(guarded, scripted):
    # The good plan turns left; then the ego has driven 10 m of it and the planner fails.
    start = (100.0, -50.0, 1.0)
    scripted.answer = arc(20.0, 40.0, points=9)[1:].float()
    assert run(guarded, status(10.0, start)).reason == ""
    scripted.answer = RuntimeError("gone")
    later = arc(20.0, 10.0, start)[-1].tolist()
    plan = run(guarded, status(10.0, later)).plan
    world = compose_se2(torch.tensor(later, dtype=torch.float64), plan.poses.double())
    center = compose_se2(torch.tensor(start, dtype=torch.float64), torch.tensor([0.0, 20.0, 0.0]).double())
    distance = ((world[:, :2] - center[:2]).norm(dim=-1) - 20.0).abs()
    assert float(distance.max()) < 0.7, "it stays near the arc"
    assert float(plan.poses[-1, 1]) > 2.0, "and does not drive straight on"


def test_after_a_jump_of_time_the_old_path_is_forgotten(guarded, scripted):
    scripted.answer = arc(20.0, 40.0, points=9)[1:].float()
    run(guarded, status(10.0))
    guarded.reset_if(1)
    scripted.answer = RuntimeError("gone")
    assert torch.equal(run(guarded, status(10.0)).plan.poses[:, 1], torch.zeros(8))


def test_a_comfortable_stop_brakes_at_the_given_rate_and_stays():
    plan = stop_plan(status(4.0), None, 2.0)
    # v^2 / 2a = 4 m after 2 s; 2.75 m, 3.75 m before that.
    assert plan.poses[:, 0].tolist() == pytest.approx([1.75, 3.0, 3.75, 4.0, 4.0, 4.0, 4.0, 4.0], abs=1e-5)
    assert math.isnan(plan.score)


def test_a_standing_or_reversing_vehicle_stays_where_it_is():
    for speed in (0.0, -1.0):
        assert torch.equal(stop_plan(status(speed), None, 2.0).poses, torch.zeros(8, 3))


def test_a_path_of_a_standing_plan_is_no_obstacle():
    standing = torch.zeros(9, 3, dtype=torch.float64)
    plan = stop_plan(status(3.0), standing, 2.0)
    assert plan.poses[:, 1:].abs().max() == 0.0
    assert float(plan.poses[-1, 0]) == pytest.approx(2.25)


def test_a_path_that_lies_behind_is_not_turned_back_to():
    behind = arc(20.0, 10.0, (-60.0, 0.0, math.pi))
    plan = stop_plan(status(10.0), behind, 2.0)
    assert torch.equal(plan.poses[:, 1], torch.zeros(8))
    assert bool((plan.poses[:, 0] > 0).all())


def test_a_fast_vehicle_has_room_to_stop_beyond_the_end_of_the_path():
    short = arc(1000.0, 5.0)
    poses = stop_plan(status(20.0), short, 2.0).poses
    assert float(poses[-1, 0]) == pytest.approx(20.0 * 4 - 16.0, abs=0.5)


@pytest.mark.parametrize("way", ["aside", "ahead", "other heading"])
def test_a_path_that_the_ego_is_not_on_is_not_followed(way):
    # As after driving 20 m aside by hand: joining the old path again would be a manoeuvre of its own.
    origin = {"aside": (0.0, -20.0, 0.0), "ahead": (12.0, 1.0, 0.0), "other heading": (-1.0, 0.0, 1.1)}[way]
    plan = stop_plan(status(10.0), arc(40.0, 40.0, origin), 2.0)
    assert torch.equal(plan.poses[:, 1], torch.zeros(8))


@pytest.mark.parametrize("speed", [1.0, 5.0, 10.0])
@pytest.mark.parametrize("off", [(-3.0, 1.4, 0.0), (-8.0, -1.4, 0.0), (-3.0, 0.5, 0.3), (-3.0, -0.5, -0.3)])
def test_a_path_beside_the_ego_is_joined_softly_and_without_its_part_behind(speed, off):
    plan = stop_plan(status(speed), arc(200.0, 60.0, off), 2.0)
    assert guard_violations(plan.poses, status(speed), GuardLimits(), 0.5) == []
    assert bool((plan.poses[:, 0].diff() >= -1e-6).all()) and float(plan.poses[0, 0]) > 0
    assert float(plan.poses[0, 1].abs()) < 0.5, "it starts at the ego, not on the path"


def test_a_stop_along_a_path_that_the_guard_refuses_goes_straight_on(guarded, scripted):
    # Good at 2 m/s, far too tight at 12 m/s.
    scripted.answer = arc(5.0, 8.0, points=9)[1:].float()
    assert run(guarded, status(2.0)).reason == ""
    scripted.answer = RuntimeError("gone")
    assert torch.equal(run(guarded, status(12.0)).plan.poses[:, 1], torch.zeros(8))


@pytest.mark.parametrize("field", ["pose", "velocity", "acceleration"])
def test_an_ego_that_is_nowhere_gets_no_plan(guarded, scripted, field):
    scripted.answer = straight(5.0)
    broken = dataclasses.replace(status(5.0), **{field: np.full(3 if field == "pose" else 2, math.nan)})
    with pytest.raises(SceneError, match="finite"):
        run(guarded, broken)


def test_another_planner_is_taken_over_with_the_path_of_the_one_before(guarded, scripted):
    scripted.answer = arc(20.0, 40.0, points=9)[1:].float()
    run(guarded, status(10.0))
    broken = Scripted()
    broken.answer = RuntimeError("gone")
    guarded.replace(broken)
    assert float(run(guarded, status(10.0)).plan.poses[-1, 1]) > 2.0


def at(seconds, x, speed=5.0):
    return dataclasses.replace(status(speed, (x, 0.0, 0.0)), time_us=round(seconds * 1e6))


def test_a_good_plan_is_driven_on_while_it_is_fresh_then_the_ego_stops(guarded, scripted):
    scripted.answer = straight(5.0)
    run(guarded, at(0.0, 0.0))
    scripted.answer = RuntimeError("gone")
    first = run(guarded, at(0.2, 1.0))
    assert (first.intervention, first.plan.source) == (Intervention.PREVIOUS, PlanSource.FALLBACK)
    assert first.plan.poses[:, 0].tolist() == pytest.approx([2.5 * i for i in range(1, 9)], abs=1e-4)
    later = run(guarded, at(0.7, 3.5))
    assert later.intervention is Intervention.COMFORTABLE_STOP
    assert float(later.plan.poses[-1, 0]) == pytest.approx(6.25, abs=1e-3)


def test_a_good_plan_is_not_driven_on_by_an_ego_that_is_elsewhere(guarded, scripted):
    scripted.answer = straight(5.0)
    run(guarded, at(0.0, 0.0))
    scripted.answer = RuntimeError("gone")
    assert run(guarded, at(0.2, 9.0)).intervention is Intervention.COMFORTABLE_STOP


def test_plans_that_jump_aside_are_measured_and_great_jumps_refused_while_the_one_before_is_fresh(guarded, scripted):
    scripted.answer = straight(10.0)
    assert math.isnan(run(guarded, at(0.0, 0.0, 10.0)).jump_m)
    scripted.answer = arc(-40.0, 40.0, points=9)[1:].float()
    scripted.answer[:, 2] = -scripted.answer[:, 2].abs()
    scripted.answer[:, 1] = -scripted.answer[:, 1].abs()
    result = run(guarded, at(0.1, 1.0, 10.0))
    assert result.intervention is Intervention.PREVIOUS and "jump beside the plan before" in result.reason
    assert result.jump_m > 4.0
    result = run(guarded, at(0.9, 9.0, 10.0))
    assert result.intervention is Intervention.NONE, "what stays is believed in the end"


class Steady(Scripted):
    """Notes which plan before it is told of."""

    def plan_after(self, agent_input, previous):
        self.previous = previous
        return self.plan(agent_input)


def test_the_planner_is_told_of_the_plan_before_while_that_is_fresh():
    steady = Steady()
    guarded = GuardedPlanner(steady, GuardLimits(previous_plan_s=0.5))
    steady.answer, steady.previous = straight(5.0), None
    run(guarded, at(0.0, 0.0))
    assert steady.previous is None, "there was none before the first"
    run(guarded, at(0.2, 1.0))
    torch.testing.assert_close(steady.previous[:7], straight(5.0)[:7].double(), atol=1e-6, rtol=0)
    steady.previous = None
    run(guarded, at(1.0, 5.0))
    assert steady.previous is None, "it was 0.8 s old"
    guarded.reset()
    run(guarded, at(1.1, 5.5))
    assert steady.previous is None, "it was forgotten"
