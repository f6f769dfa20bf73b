"""Background traffic that does not react, and the official tracks of all policies."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pair_drive_core.scene import ObjectType, SceneError
from pair_drive_core.simulation.traffic import LogReplayTraffic, TrafficPolicy
from pair_drive_core.simulation.traffic_constant_velocity import ConstantVelocityTraffic
from pair_drive_core.simulation.traffic_idm import IdmTraffic

POLICIES = {"log": LogReplayTraffic(), "cv": ConstantVelocityTraffic(), "idm": IdmTraffic()}


def as_array(tracks, tokens):
    """(41, n, 5) in the order of `tokens`, NaN where absent."""
    out = np.full((41, len(tokens), 5), np.nan)
    for i, token in enumerate(tracks.tokens):
        there = tracks.present[:, i].numpy()
        out[there, tokens.index(token)] = tracks.states[there, i].numpy()
    return out


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", ["0005", "0006", "0012"])
def test_tracks_are_the_official_ones(traffic_case, name, policy):
    case = traffic_case(name)
    tokens = [str(t) for t in case.arrays["track_token"]]
    for ego, official in zip(case.arrays["sim_states"], case.arrays[f"{policy}_tracks"], strict=False):
        tracks = POLICIES[policy].simulate(case.scene, torch.from_numpy(ego)).validate()
        ours = as_array(tracks, tokens)
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(official))
        error = np.nan_to_num(ours - official)
        error[..., 2] = (error[..., 2] + np.pi) % (2.0 * np.pi) - np.pi
        assert np.abs(error).max() < 1e-6
        assert tracks.interval_s == 0.1


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_policies_share_one_interface(policy):
    assert isinstance(policy, TrafficPolicy)


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_an_empty_road_stays_empty(roads, policy):
    scene = roads.road()
    tracks = policy.simulate(scene, roads.standing(scene)).validate()
    assert tracks.states.shape == (41, 0, 5)


def test_log_replay_removes_for_good_what_touches_the_ego_at_the_start(roads):
    scene = roads.road(
        [
            ("overlapping", ObjectType.VEHICLE, (3.0, 0.0, 0.0), 5.0),
            ("touching later", ObjectType.PEDESTRIAN, (-30.0, 0.0, 0.0), 10.0),
        ]
    )
    assert LogReplayTraffic().simulate(scene, roads.standing(scene)).tokens == ("touching later",)


def test_constant_velocity_keeps_what_touches_the_ego_and_follows_the_velocity(roads):
    scene = roads.road([("car", ObjectType.VEHICLE, (3.0, 0.0, 0.5), 6.0)])
    scene.objects.states[:, 0, 3:] = torch.tensor([0.0, 2.0])
    tracks = ConstantVelocityTraffic().simulate(scene, roads.standing(scene))
    torch.testing.assert_close(tracks.states[40, 0], torch.tensor([3.0, 8.0, 0.5, 0.0, 2.0], dtype=torch.float64))


def test_vehicles_that_come_later_never_exist_but_others_do(roads):
    late = [False] * 3 + [True] * 8
    once = [False] * 8 + [True] + [False] * 2
    scene = roads.road(
        [
            ("late car", ObjectType.VEHICLE, (40.0, 0.0, 0.0), 5.0, late),
            ("late walker", ObjectType.PEDESTRIAN, (40.0, 9.0, 0.0), 1.0, late),
            ("seen once", ObjectType.BICYCLE, (60.0, 9.0, 0.0), 1.0, once),
        ]
    )
    tracks = ConstantVelocityTraffic().simulate(scene, roads.standing(scene))
    assert tracks.tokens == ("late walker", "seen once")
    assert tracks.present[:, 0].tolist() == [False] * 15 + [True] * 26
    assert tracks.present[:, 1].tolist() == [False] + [True] * 40


def test_a_scene_without_enough_key_frames_is_refused(roads):
    scene = roads.road([("car", ObjectType.VEHICLE, (30.0, 0.0, 0.0), 5.0)])
    objects = scene.objects
    short = replace(scene, objects=replace(objects, states=objects.states[:3], present=objects.present[:3]))
    for policy in (LogReplayTraffic(), ConstantVelocityTraffic()):
        with pytest.raises(SceneError, match="9 key frames, got 3"):
            policy.simulate(short, roads.standing(scene))
