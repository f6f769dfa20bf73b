"""What lies and stands in the lanes, and how drivers get past it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pair_drive_core.geometry import box_corners, boxes_intersect
from pair_drive_core.town import Town, TownConfig, TownSimulator
from pair_drive_core.town.traffic import flaws
from pair_drive_core.town.traffic.flaws import Flaw, Profile
from pair_drive_core.town.traffic.moments import Moment

BLOCKED = TownConfig(flaw_rate=1e-9, blocked_share=1.0)
DISTURBED = TownConfig(flaw_rate=0.5, blocked_share=0.0, construction_zones=6)


def town_where(config: TownConfig, wanted: str) -> Town:
    """The first town that has something in its scenery."""
    towns = (Town.build(layout, config) for layout in range(40))
    return next(town for town in towns if getattr(town.scenery, wanted))


def touched(simulator: TownSimulator, moment: Moment) -> set[int]:
    """Vehicles whose box shares a point with an obstacle."""
    fleet, things = simulator.fleet, simulator.town.scenery.obstacles
    direction = np.stack((np.cos(moment.pose[:, 2]), np.sin(moment.pose[:, 2])), axis=-1)
    center = moment.pose[:, :2] + fleet.center_m[:, None] * direction
    near = (np.hypot(*np.moveaxis(center[:, None] - things.pose[None, :, :2], -1, 0)) < 12.0).any(0)
    if not near.any():
        return set()
    bodies = (center, moment.pose[:, 2], fleet.length_m, fleet.width_m)
    boxes = (things.pose[near, :2], things.pose[near, 2], things.size[near, 0], things.size[near, 1])
    corners, others = (box_corners(*(torch.from_numpy(a) for a in parts)) for parts in (bodies, boxes))
    return set(boxes_intersect(corners[:, None], others[None]).any(1).nonzero()[:, 0].tolist())


def lanes_now(simulator: TownSimulator, moment: Moment, vehicle: int) -> list[int]:
    along = float(moment.along_m[vehicle])
    return [span.lane for span in moment.spans[vehicle] if span.start_m <= along < span.end_m]


def only(monkeypatch: pytest.MonkeyPatch, flaw: Flaw) -> None:
    """All drivers who are prone to anything are prone to this."""
    monkeypatch.setattr(flaws, "PRONE_TO", {p: () if p is Profile.ATTENTIVE else (flaw,) for p in Profile})


def test_careful_drivers_touch_nothing_in_their_lanes() -> None:
    for layout in (0, 3, 4):
        simulator = TownSimulator(Town.build(layout, BLOCKED), 1)
        assert simulator.town.scenery.detours
        simulator.run(40.0)
        assert not set().union(*(touched(simulator, moment) for moment in simulator.moments[::2]))


def test_a_blocked_lane_is_passed_by_one_side_at_a_time_and_labelled() -> None:
    town = town_where(BLOCKED, "blockages")
    (blockage,) = town.scenery.blockages
    length = town.network.lanes[blockage.oncoming].length_m
    passed: set[int] = set()
    for seed in range(3):
        simulator = TownSimulator(town, seed)
        simulator.run(60.0)
        for moment in simulator.moments:
            around = [v for v in range(len(simulator.fleet)) if lanes_now(simulator, moment, v) == [blockage.lane]]
            aside = {v for v in around if "wrong_side" in moment.flaws.get(v, ())}
            passed |= {100 * seed + v for v in aside}
            beside = {
                v
                for v in range(len(simulator.fleet))
                for span in moment.spans[v]
                if span.lane == blockage.oncoming
                and blockage.start_m < length - (moment.along_m[v] - span.start_m) < blockage.end_m
            }
            assert not (aside and beside and min(len(aside), len(beside)) and _level(simulator, moment, aside, beside))
    assert passed, "nobody got past"


def _level(simulator: TownSimulator, moment: Moment, aside: set[int], beside: set[int]) -> bool:
    """Whether somebody passing is beside somebody who comes."""
    return any(
        float(np.hypot(*(moment.pose[a, :2] - moment.pose[b, :2]))) < simulator.fleet.length_m[a]
        for a in aside
        for b in beside
    )


def test_a_town_without_flaws_blocks_no_lane() -> None:
    assert not Town.build(town_where(BLOCKED, "blockages").layout_seed, TownConfig(flaw_rate=0.0)).scenery.blockages


def test_who_clips_what_lies_in_the_lane_touches_it_and_is_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, Flaw.CLIP)
    town = town_where(DISTURBED, "detours")
    hits: set[tuple[int, int]] = set()
    for seed in range(3):
        simulator = TownSimulator(town, seed)
        simulator.run(30.0)
        for moment in simulator.moments[::2]:
            for vehicle in touched(simulator, moment):
                assert Flaw.CLIP.value in moment.flaws.get(vehicle, ())
                hits.add((seed, vehicle))
    assert hits


def test_who_looks_elsewhere_brakes_with_all_might(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, Flaw.LATE_BRAKE)
    monkeypatch.setattr(flaws, "_INATTENTIVE_SHARE", 1.0)
    simulator = TownSimulator(Town.build(0, DISTURBED), 2)
    simulator.run(60.0)
    braking = [(m, v) for m in simulator.moments for v in np.nonzero(m.acceleration[:, 0] < -9.0)[0].tolist()]
    assert braking
    assert all(Flaw.LATE_BRAKE.value in m.flaws[v] for m, v in braking)
