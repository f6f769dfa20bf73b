"""Vehicles on rails."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pair_drive_core.scene import ObjectType, PackedRings, SceneError
from pair_drive_core.simulation.idm import IdmParameters
from pair_drive_core.simulation.rail_path import RailPath
from pair_drive_core.simulation.traffic_idm import IdmTraffic

CAR_LENGTH = 4.6


def drive(roads, objects, lanes=None, policy=None, **scene):
    lanes = lanes or roads.one_lane(200.0, points=201, shift=scene.get("shift", (0.0, 0.0)))
    scene = roads.road(objects, speed=0.0, lanes=lanes, **scene)
    return (policy or IdmTraffic()).simulate(scene, roads.standing(scene))


def test_a_vehicle_stops_behind_the_standing_ego(roads):
    tracks = drive(roads, [("car", ObjectType.VEHICLE, (-22.0, 0.3, 0.0), 5.0)])
    front = tracks.states[1:, 0, 0] + CAR_LENGTH / 2.0
    assert (tracks.states[1:, 0, 1] == 0.0).all(), "it drives on the centre line"
    # The official ego box is centred on the rear axle.
    assert front.max() < -5.176 / 2.0
    assert tracks.states[40, 0, 3] < 2.0


def test_a_vehicle_on_a_free_road_takes_the_speed_limit_as_its_wish(roads):
    ahead = ("car", ObjectType.VEHICLE, (20.0, 0.0, 0.0), 9.0)
    slow = drive(roads, [ahead], lanes=roads.one_lane(limit=5.0, length=1000.0))
    fast = drive(roads, [ahead], lanes=roads.one_lane(limit=30.0, length=1000.0))
    unknown = drive(roads, [ahead], lanes=roads.one_lane(limit=float("nan"), length=1000.0))
    assert slow.states[40, 0, 3] < 7.0
    assert fast.states[40, 0, 3] > 12.0
    assert 9.0 < unknown.states[40, 0, 3] < 10.0, "10 m/s where no limit is known"


def test_on_a_lane_without_a_limit_the_wish_is_that_of_the_vehicle_placed_before(roads):
    """The official loop overwrites its own default."""
    known, unknown = roads.one_lane(limit=4.0), roads.one_lane(limit=float("nan"), shift=(0.0, 30.0))
    lanes = replace(
        known,
        tokens=("known", "unknown"),
        is_connector=torch.tensor([False, False]),
        roadblocks=("a", "b"),
        centerlines=PackedRings.from_sequences([known.centerlines[0], unknown.centerlines[0]]),
        rings=PackedRings.from_sequences([known.rings[0], unknown.rings[0]]),
        speed_limits_mps=torch.cat((known.speed_limits_mps, unknown.speed_limits_mps)),
        successors=((), ()),
    )
    cars = [
        ("limited", ObjectType.VEHICLE, (20.0, 0.0, 0.0), 4.0),
        ("unlimited", ObjectType.VEHICLE, (20.0, 30.0, 0.0), 4.0),
    ]
    after = drive(roads, cars, lanes=lanes)
    before = drive(roads, cars[::-1], lanes=lanes)
    assert after.states[40, 1, 3] <= 4.0
    assert before.states[40, 0, 3] > 6.0


def test_a_follower_brakes_for_its_leader_and_not_the_other_way_round(roads):
    pair = [
        ("leader", ObjectType.VEHICLE, (30.0, 0.0, 0.0), 2.0),
        ("follower", ObjectType.VEHICLE, (6.0, 0.0, 0.0), 7.0),
    ]
    tracks = drive(roads, pair)
    alone = drive(roads, pair[:1])
    gap = tracks.states[:, 0, 0] - tracks.states[:, 1, 0] - CAR_LENGTH
    assert gap.min() > 0.0
    assert tracks.states[40, 1, 3] < 5.0
    torch.testing.assert_close(tracks.states[:, 0], alone.states[:, 0])


def test_what_is_off_the_rails_is_shown_only_where_it_is_parked_or_far_from_its_lane(roads):
    lanes = roads.one_lane()
    wide = torch.tensor([[-50.0, -6.0], [150.0, -6.0], [150.0, 6.0], [-50.0, 6.0]], dtype=torch.float64)
    lanes = replace(lanes, rings=PackedRings.from_sequences([wide]))
    tracks = drive(
        roads,
        [
            ("parked", ObjectType.VEHICLE, (20.0, 15.0, 0.0), 0.0),
            ("crossing a field", ObjectType.VEHICLE, (20.0, -15.0, 0.0), 3.0),
            ("far from the centre line", ObjectType.VEHICLE, (60.0, 5.0, 0.0), 3.0),
            ("inside the ego", ObjectType.VEHICLE, (0.0, 0.0, 0.0), 0.0),
        ],
        lanes=lanes,
    )
    assert tracks.present[0].all(), "the row at t0 is what was observed"
    assert tracks.present[1:].all(0).tolist() == [True, False, True, False]
    assert (tracks.states[1:, 2] == tracks.states[0, 2]).all(), "it stands still"


def test_vehicles_out_of_reach_vanish_for_good(roads):
    near = IdmTraffic(radius_m=40.0)
    tracks = drive(roads, [("car", ObjectType.VEHICLE, (35.0, 0.0, 0.0), 8.0)], policy=near)
    there = tracks.present[:, 0].tolist()
    assert there[:5] == [True] * 5
    assert there[-5:] == [False] * 5
    assert there == sorted(there, reverse=True)


def test_a_lane_too_short_for_a_rail_carries_nobody(roads):
    tracks = drive(roads, [("car", ObjectType.VEHICLE, (20.0, 0.0, 0.0), 8.0)], lanes=roads.one_lane(points=2))
    assert not tracks.present[1:].any()


def test_a_far_away_scene_behaves_the_same(roads):
    cars = [("a", ObjectType.VEHICLE, (30.0, 0.2, 0.0), 2.0), ("b", ObjectType.VEHICLE, (15.0, 0.1, 0.0), 8.0)]
    here = drive(roads, cars)
    shift = (300_000.0, 4_000_000.0)
    there = drive(roads, cars, shift=shift)
    torch.testing.assert_close(there.states[..., :2] - torch.tensor(shift), here.states[..., :2], atol=1e-6, rtol=0.0)


def test_bad_input_is_refused_by_name(roads):
    scene = roads.road(lanes=None)
    with pytest.raises(SceneError, match="lane graph"):
        IdmTraffic().simulate(scene, roads.standing(scene))
    scene = roads.road()
    with pytest.raises(SceneError, match="ego_states"):
        IdmTraffic().simulate(scene, roads.standing(scene)[:40])
    with pytest.raises(SceneError, match="finite"):
        IdmTraffic().simulate(scene, torch.full((41, 11), float("nan")))
    with pytest.raises(SceneError, match="headway_s"):
        IdmTraffic(IdmParameters(headway_s=0.0)).simulate(scene, roads.standing(scene))


def test_acceleration_of_the_intelligent_driver_worked_by_hand():
    driver = IdmParameters(
        min_gap_m=2.0, headway_s=1.0, max_acceleration_mps2=1.0, max_deceleration_mps2=4.0, exponent=4.0
    )
    # Wanted gap 2 + 6 * 1 + 6 * (6 - 2) / (2 * 2) = 14; 1 - (6 / 12)^4 - (14 / 28)^2 = 0.6875.
    assert driver.acceleration(6.0, 12.0, 28.0, 2.0) == pytest.approx(0.6875)
    np.testing.assert_allclose(driver.acceleration([0.0, 12.0], 12.0, 1e9, 0.0), [1.0, 0.0], atol=1e-6)
    assert driver.acceleration(10.0, 12.0, -5.0, 0.0) == -4.0, "never harder than the limit, however near the leader"


def test_rails_drop_repeated_points_and_the_last_one():
    line = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [3.0, 4.0, 1.5], [3.0, 9.0, 1.5]])
    rail = RailPath.from_centerline(line)
    assert rail.points.tolist() == [[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]
    assert rail.progress.tolist() == [0.0, 3.0, 7.0]
    assert rail.state_at(5.0) == pytest.approx((3.0, 2.0, 0.75))
    assert rail.rest(2.0).tolist() == [[2.0, 0.0], [3.0, 0.0], [3.0, 4.0]]
    assert rail.between(1.0, 4.0).tolist() == [[1.0, 0.0], [3.0, 0.0], [3.0, 1.0]]
