from __future__ import annotations

import numpy as np
import pytest
import torch

from pair_drive_core.geometry import box_corners, boxes_intersect
from pair_drive_core.scene import SceneError
from pair_drive_core.town import SceneCutter, Town, TownConfig, TownSimulator
from pair_drive_core.town.streets.signals import ALL_RED_S, YELLOW_S, Light, SignalPlan
from pair_drive_core.town.traffic.flaws import Flaw
from pair_drive_core.town.traffic.moments import Moment

CAREFUL = TownConfig(vehicles=30, demonstrators=10, flaw_rate=0.0)


def overlaps(simulator: TownSimulator, moment: Moment) -> list[tuple[int, int]]:
    """Pairs of vehicles (moving or parked) whose boxes share a point."""
    fleet, parked = simulator.fleet, simulator.town.scenery.parked
    direction = np.stack((np.cos(moment.pose[:, 2]), np.sin(moment.pose[:, 2])), axis=-1)
    center = np.concatenate((moment.pose[:, :2] + fleet.center_m[:, None] * direction, parked.pose[:, :2]))
    heading = np.concatenate((moment.pose[:, 2], parked.pose[:, 2]))
    length = np.concatenate((fleet.length_m, parked.size[:, 0]))
    width = np.concatenate((fleet.width_m, parked.size[:, 1]))
    corners = box_corners(*(torch.from_numpy(a) for a in (center, heading, length, width)))
    hit = boxes_intersect(corners[: len(fleet), None], corners[None])
    return [(a, b) for a, b in hit.nonzero().tolist() if a < b]


@pytest.mark.parametrize("layout", [0, 3, 20003])
def test_nobody_overlaps_at_the_start(layout: int) -> None:
    simulator = TownSimulator(Town.build(layout, TownConfig(warm_up_s=0.0)), 1)
    assert overlaps(simulator, simulator.now) == []


def test_careful_drivers_hardly_ever_touch() -> None:
    simulator = TownSimulator(Town.build(1, CAREFUL), 2)
    simulator.run(40.0)
    touching = {pair for moment in simulator.moments[::3] for pair in overlaps(simulator, moment)}
    assert len(touching) <= 1


def test_careful_drivers_do_not_cross_a_line_at_red() -> None:
    simulator = TownSimulator(Town.build(0, CAREFUL), 5)
    simulator.run(60.0)
    lanes, plans = simulator.town.network.lanes, simulator.town.plans
    front = simulator.fleet.front_m
    crossings = at_red = 0
    for before, after in zip(simulator.moments[:-1], simulator.moments[1:], strict=True):
        for vehicle in range(len(simulator.fleet)):
            if before.spans[vehicle] is not after.spans[vehicle]:
                continue
            low, high = (m.along_m[vehicle] + front[vehicle] for m in (before, after))
            for span in after.spans[vehicle]:
                plan = plans.get(lanes[span.lane].junction) if lanes[span.lane].junction is not None else None
                if plan is not None and low < span.start_m <= high:
                    crossings += 1
                    at_red += plan.light(lanes[span.lane].arm, after.time_s) is Light.RED
    assert crossings > 10
    assert at_red == 0


def test_traffic_flows() -> None:
    simulator = TownSimulator(Town.build(0, CAREFUL), 5)
    simulator.run(60.0)
    speed = np.stack([m.speed_mps for m in simulator.moments])
    assert 2.5 < speed.mean() < 9.0
    assert (speed.max(0) < 0.1).sum() <= 2


def test_motion_is_continuous_and_within_what_cars_can_do() -> None:
    simulator = TownSimulator(Town.build(3, CAREFUL), 5)
    simulator.run(30.0)
    pose = np.stack([m.pose for m in simulator.moments])
    speed = np.stack([m.speed_mps for m in simulator.moments])
    acceleration = np.stack([m.acceleration for m in simulator.moments])
    moved = np.hypot(*np.moveaxis(np.diff(pose[..., :2], axis=0), -1, 0))
    expected = 0.05 * (speed[1:] + speed[:-1])
    assert np.abs(moved - expected).max() < 0.12
    assert np.abs(np.diff(speed, axis=0)).max() <= 0.75
    assert np.abs(acceleration[..., 1]).max() < 4.0
    assert (acceleration[..., 0] < -4.0).mean() < 0.01


def test_the_same_seed_gives_the_same_life_and_another_seed_another() -> None:
    def life(seed: int) -> np.ndarray:
        simulator = TownSimulator(Town.build(2), seed)
        simulator.run(5.0)
        return np.stack([m.pose for m in simulator.moments])

    assert np.array_equal(life(1), life(1))
    assert not np.array_equal(life(1), life(2))


def test_forgotten_moments_leave_the_others_their_numbers() -> None:
    simulator = TownSimulator(Town.build(0, CAREFUL), 5)
    simulator.run(9.0)
    moments, cutter = simulator.moments, SceneCutter(simulator)
    kept, scene = moments[30], cutter.scene_at(38)
    moments.forget_before(20)
    assert (len(moments), moments.first, moments[30]) == (91, 20, kept)
    assert moments[-1] is simulator.now
    assert moments[29:32:2] == [moments[29], moments[31]]
    assert [m.time_s for m in moments] == [moments[k].time_s for k in range(20, 91)]
    assert cutter.steps == range(35, 41)
    assert cutter.scene_at(38).token == scene.token
    with pytest.raises(IndexError, match="expected 20 to 90, got 19"):
        moments[19]
    with pytest.raises(SceneError, match="step"):
        cutter.scene_at(34)


def test_flawed_drives_are_labelled_and_absent_at_rate_zero() -> None:
    wild = TownSimulator(Town.build(5, TownConfig(flaw_rate=0.5)), 1)
    wild.run(60.0)
    seen = {label for m in wild.moments for labels in m.flaws.values() for label in labels}
    assert len(seen) >= 3
    assert seen <= {flaw.value for flaw in Flaw}
    tame = TownSimulator(Town.build(5, TownConfig(flaw_rate=0.0)), 1)
    tame.run(20.0)
    assert all(not m.flaws for m in tame.moments)


def test_the_ego_can_be_driven_from_outside_and_is_seen_by_others() -> None:
    simulator = TownSimulator(Town.build(0, CAREFUL), 5)
    pose = simulator.now.pose[0].copy()
    for k in range(20):
        pose = pose + np.array([0.3 * np.cos(pose[2]), 0.3 * np.sin(pose[2]), 0.0])
        simulator.set_ego(pose, np.array([3.0, 0.0]), np.array([0.1 * k, 0.0]))
        moment = simulator.step()
        assert np.allclose(moment.pose[0], pose, atol=1e-5)
    assert moment.speed_mps[0] == pytest.approx(3.0)
    assert moment.acceleration[0, 0] == pytest.approx(1.9)
    assert simulator.flaws_at(0, 0) == ()


@pytest.mark.parametrize(
    ("pose", "message"),
    [(np.array([0.0, np.nan, 0.0]), "finite"), (np.zeros(2), r"expected shapes \(3,\)")],
)
def test_a_bad_ego_pose_is_refused(pose: np.ndarray, message: str) -> None:
    simulator = TownSimulator(Town.build(0, TownConfig(warm_up_s=0.0)), 5)
    with pytest.raises(SceneError, match=message):
        simulator.set_ego(pose, np.zeros(2), np.zeros(2))


def test_a_signal_plan_gives_each_axis_its_turn() -> None:
    plan = SignalPlan((10.0, 8.0), 0.0)
    assert plan.cycle_s == 18.0 + 2 * (YELLOW_S + ALL_RED_S)
    assert plan.light(0, 5.0) is Light.GREEN
    assert plan.light(2, 10.5) is Light.YELLOW
    assert plan.light(0, 13.5) is Light.RED
    assert plan.light(1, 13.5) is Light.RED
    assert plan.light(1, 14.6) is Light.GREEN
    for time in np.arange(0.0, 60.0, 0.25):
        assert Light.RED in (plan.light(0, time), plan.light(1, time))
    light, rest = plan.light_and_rest(1, 0.0)
    assert light is Light.RED
    assert plan.light(1, rest + 0.01) is Light.GREEN
