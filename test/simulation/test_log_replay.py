"""Key frames at 10 Hz, and the past."""

import math

import numpy as np
import pytest
import torch

from pair_drive_core.scene import EgoHistory, ObjectType, SceneError, TrackedObjects
from pair_drive_core.simulation import past_states, replay_objects


def objects(tracks, kinds=None):
    """Tracks as lists of 11 states (x, y, heading, vx, vy) or None."""
    present = torch.tensor([[state is not None for state in track] for track in tracks]).T
    states = torch.tensor([[state or (0,) * 5 for state in track] for track in tracks], dtype=torch.float64).transpose(
        0, 1
    )
    kinds = kinds or [ObjectType.VEHICLE] * len(tracks)
    return TrackedObjects(
        tuple(f"track {i}" for i in range(len(tracks))),
        torch.tensor([int(kind) for kind in kinds]),
        torch.ones(len(tracks), 3, dtype=torch.float64),
        states,
        present,
        0.5,
    )


def test_states_between_key_frames_are_linear():
    track = [(2.0 * frame, 1.0, 0.1 * frame, 4.0, 0.0) for frame in range(11)]
    replayed = replay_objects(objects([track]), 9)
    assert replayed.states.shape == (41, 1, 5)
    np.testing.assert_allclose(replayed.states[:, 0, 0], 4.0 * np.arange(41) * 0.1, atol=1e-12)
    np.testing.assert_allclose(replayed.states[:, 0, 2], 0.2 * np.arange(41) * 0.1, atol=1e-12)


def test_a_track_exists_between_its_first_and_last_observation():
    track = [None, None, (0.0,) * 5, None, (4.0, 0.0, 0.0, 0.0, 0.0), *[None] * 6]
    replayed = replay_objects(objects([track]), 9)
    assert replayed.present[:, 0].nonzero()[:, 0].tolist() == list(range(10, 21))
    assert float(replayed.states[15, 0, 0]) == pytest.approx(2.0), "the gap is bridged"


def test_a_track_seen_once_exists_at_all_steps():
    track = [None] * 4 + [(7.0, 8.0, 3.0, 1.0, 2.0)] + [None] * 6
    replayed = replay_objects(objects([track]), 9)
    assert replayed.present.all()
    assert (replayed.states[:, 0] == torch.tensor([7.0, 8.0, 3.0, 1.0, 2.0], dtype=torch.float64)).all()


def test_headings_turn_the_short_way_round():
    track = [(0.0, 0.0, math.pi - 0.1, 0.0, 0.0), (0.0, 0.0, -math.pi + 0.1, 0.0, 0.0), *[None] * 9]
    heading = replay_objects(objects([track]), 9).states[:6, 0, 2]
    np.testing.assert_allclose(
        heading.abs().numpy(),
        [math.pi - 0.1, math.pi - 0.06, math.pi - 0.02] * 1 + [math.pi - 0.02, math.pi - 0.06, math.pi - 0.1],
        atol=1e-12,
    )


def test_headings_unwrap_across_several_turns_and_gaps():
    turning = [(0.0, 0.0, math.remainder(1.2 * frame, 2 * math.pi), 0.0, 0.0) for frame in range(11)]
    heading = replay_objects(objects([turning]), 11).states[:, 0, 2]
    expected = 2.4 * np.arange(51) * 0.1
    np.testing.assert_allclose(np.exp(1j * heading.numpy()), np.exp(1j * expected), atol=1e-12)


def test_static_objects_have_no_speed():
    cone = [(0.0, 0.0, 0.0, 3.0, 0.0)] * 11
    assert (replay_objects(objects([cone], [ObjectType.TRAFFIC_CONE]), 9).states[..., 3:] == 0).all()


def test_rows_are_sorted_by_first_appearance_and_unseen_tracks_left_out():
    seen_late, seen_first, unseen = [None] * 3 + [(0.0,) * 5] * 8, [(0.0,) * 5] * 11, [None] * 10 + [(0.0,) * 5]
    replayed = replay_objects(objects([seen_late, unseen, seen_first]), 9)
    assert replayed.tokens == ("track 2", "track 0")


def test_too_few_key_frames_are_refused():
    with pytest.raises(SceneError, match="at least 11 key frames"):
        replay_objects(TrackedObjects.empty(9, 0.5), 11)


@pytest.mark.parametrize(("span_us", "rows"), [(1_500_000, 14), (1_500_001, 15), (1_499_999, 14)])
def test_the_past_ends_two_samples_before_now(span_us, rows):
    time = torch.tensor([5_000_000, 5_500_000, 6_000_000, 5_000_000 + span_us])
    pose = torch.stack(((time - 5_000_000) * 1e-5, torch.zeros(4), torch.zeros(4)), dim=-1).double()
    past = past_states(EgoHistory(time, pose, torch.zeros(4, 2).double(), torch.zeros(4, 2).double()))
    assert past.shape == (rows, 11)
    np.testing.assert_allclose(past[:, 0], np.arange(rows) * 1.0, atol=1e-9)
    assert (past[:, 9:] == 0).all()
