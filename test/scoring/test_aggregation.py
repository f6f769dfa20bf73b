"""One-stage and two-stage benchmarks."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pair_drive_core.scene import SceneError
from pair_drive_core.scoring.aggregation import (
    AGGREGATE_NAMES,
    ScoredFrames,
    TwoStageGroup,
    aggregate_one_stage,
    aggregate_two_stage,
    gaussian_weights,
)

OFFICIAL = (
    "no_at_fault_collisions",
    "drivable_area_compliance",
    "driving_direction_compliance",
    "traffic_light_compliance",
    "ego_progress",
    "time_to_collision_within_bound",
    "lane_keeping",
    "history_comfort",
    "two_frame_extended_comfort",
    "score",
)
GOLDEN = Path(__file__).parents[1] / "golden" / "aggregation.npz"


def tables():
    with np.load(GOLDEN) as archive:
        return json.loads(str(archive["tables"])), archive["states"]


def frames_of(rows, states):
    def sub(row):
        if "ego_progress" in row:
            return [row[name] for name in OFFICIAL[:8]]
        return [row["multiplicative_metrics_prod"], 1.0, 1.0, 1.0, *row["weighted_metrics"][:4]]

    def point(name):
        return torch.tensor([[r.get(f"{name}_x", 0.0), r.get(f"{name}_y", 0.0)] for r in rows], dtype=torch.float64)

    return ScoredFrames(
        tuple(row["token"] for row in rows),
        tuple(row["log_name"] for row in rows),
        torch.tensor([row["start_time"] for row in rows], dtype=torch.float64),
        torch.tensor([sub(row) for row in rows], dtype=torch.float64),
        torch.from_numpy(states[[row["states"] for row in rows]]),
        point("endpoint"),
        point("start_point"),
    )


def groups_of(mapping):
    return [TwoStageGroup(now, before, tuple(map(tuple, pairs))) for (now, before), pairs in mapping]


@pytest.mark.parametrize("index", range(3))
def test_two_stage_tables_are_the_official_ones(index):
    data, states = tables()
    table = data["two_stage"][index]
    result = aggregate_two_stage(frames_of(table["rows"], states), groups_of(table["mapping"]))
    official = {row["token"]: row for row in table["per_token"]}
    for token, columns, weight in zip(
        result.frames.tokens, result.frames.columns.tolist(), result.frames.weight.tolist(), strict=True
    ):
        assert columns[-2] == official[token]["two_frame_extended_comfort"]
        assert columns[-1] == pytest.approx(official[token]["score"], abs=1e-12)
        assert weight == pytest.approx(official[token]["weight"], abs=1e-12)
    for part in ("combined", "stage_one", "stage_two"):
        wanted = [table[part][name] for name in OFFICIAL]
        np.testing.assert_allclose(getattr(result, part).numpy(), wanted, atol=1e-12, rtol=0.0)


@pytest.mark.parametrize("index", range(2))
def test_one_stage_tables_are_the_official_ones(index):
    data, states = tables()
    table = data["one_stage"][index]
    result = aggregate_one_stage(frames_of(table["rows"], states))
    assert dict(result.previous) == table["adjacent"]
    official = {row["token"]: row for row in table["per_token"]}
    for token, columns, known in zip(
        result.frames.tokens, result.frames.columns.tolist(), result.frames.comfort_known.tolist(), strict=True
    ):
        assert known == (official[token]["two_frame_extended_comfort"] is not None)
        assert columns[-1] == pytest.approx(official[token]["score"], abs=1e-12)
    assert result.mean[-1].item() == pytest.approx(table["mean_score"], abs=1e-12)


def frames(count, gap_s=0.5, ep=1.0):
    """Frames of one log that stand still and have perfect scores but for progress."""
    sub = torch.ones(count, 8, dtype=torch.float64)
    sub[:, 4] = ep
    return ScoredFrames(
        tuple("abcdefgh"[:count]),
        ("log",) * count,
        torch.arange(count, dtype=torch.float64) * gap_s,
        sub,
        torch.zeros(count, 41, 11, dtype=torch.float64),
        torch.zeros(count, 2, dtype=torch.float64),
        torch.zeros(count, 2, dtype=torch.float64),
    )


def test_two_stages_worked_by_hand():
    # a, b: stage one; c, d follow a and b. All comfortable: total = (5 EP + 11) / 16.
    four = frames(4)
    four.sub[:, 4] = torch.tensor([1.0, 0.2, 0.6, 0.0])
    result = aggregate_two_stage(four, [TwoStageGroup("b", "a", (("d", "c"),))])
    one, two = AGGREGATE_NAMES.index("EP"), AGGREGATE_NAMES.index("EPDMS")
    assert result.stage_one[one] == pytest.approx(0.6)
    assert result.stage_two[one] == pytest.approx(0.3)
    assert result.combined[one] == pytest.approx((0.2 * 0.0 + 1.0 * 0.6) / 2.0)
    assert result.combined[two] == pytest.approx((12.0 / 16 * 11.0 / 16 + 14.0 / 16) / 2.0)


def test_a_frame_without_a_previous_one_drops_the_weight_of_extended_comfort():
    result = aggregate_one_stage(frames(3, gap_s=0.5, ep=0.3))
    assert result.frames.comfort_known.tolist() == [False, True, True]
    assert result.frames.columns[:, -1].tolist() == pytest.approx([10.5 / 14.0, 12.5 / 16.0, 12.5 / 16.0])
    assert result.mean[AGGREGATE_NAMES.index("EC")] == 1.0


@pytest.mark.parametrize("gap_s, adjacent", [(0.0, False), (0.04, False), (0.1, True), (0.5499, True), (0.55, False)])
def test_only_frames_within_half_a_second_are_compared(gap_s, adjacent):
    assert (aggregate_one_stage(frames(2, gap_s=gap_s)).previous == {"b": "a"}) is adjacent


def test_frames_of_different_logs_are_never_compared():
    two = frames(2)
    assert aggregate_one_stage(replace(two, log_names=("one", "other"))).previous == {}


def test_gaussian_weights_by_hand_and_far_away():
    end = torch.tensor([1.0, 1.0], dtype=torch.float64)
    near = gaussian_weights(end, torch.tensor([[1.0, 1.0], [1.0, 1.2]], dtype=torch.float64))
    share = 1.0 / (1.0 + math.exp(-0.04 / 0.2))
    assert near.tolist() == pytest.approx([share, 1.0 - share])
    far = gaussian_weights(end, torch.tensor([[9.0, 1.0], [1.0, 30.0], [50.0, 50.0]], dtype=torch.float64))
    assert far.tolist() == pytest.approx([1 / 3] * 3)


def test_order_of_frames_and_place_on_earth_change_nothing():
    data, states = tables()
    table = data["two_stage"][2]
    groups, rows = groups_of(table["mapping"]), table["rows"]
    result = aggregate_two_stage(frames_of(rows, states), groups)
    moved = frames_of(rows[::-1], states)
    shift = torch.tensor([1000.0, -2000.0], dtype=torch.float64)
    moved = replace(moved, endpoint=moved.endpoint + shift, start=moved.start + shift)
    torch.testing.assert_close(aggregate_two_stage(moved, groups[::-1]).combined, result.combined, atol=1e-9, rtol=0.0)


def group(*second):
    return TwoStageGroup("b", "a", second)


@pytest.mark.parametrize(
    "groups, complaint",
    [
        ([], "at least one group"),
        ([group()], "second-stage scenes, got none"),
        ([group(("d", "nobody"))], "no scored frame nobody"),
        ([group(("d", "a"))], "a is named twice"),
        ([TwoStageGroup("b", "a", (("d", "c"),)), TwoStageGroup("d", "c", (("b", "a"),))], "named twice"),
        ([TwoStageGroup("a", "b", (("d", "c"),))], "0.05 to 0.55 s before the second, got -0.500 s"),
    ],
)
def test_bad_groups_are_refused(groups, complaint):
    with pytest.raises(SceneError, match=complaint):
        aggregate_two_stage(frames(4), groups)


def test_frames_left_over_are_refused():
    with pytest.raises(SceneError, match="1 frames belong to no group"):
        aggregate_two_stage(frames(5), [group(("d", "c"))])


def test_bad_frames_are_refused():
    two = frames(2)
    with pytest.raises(SceneError, match="every token once"):
        aggregate_one_stage(replace(two, tokens=("a", "a")))
    with pytest.raises(SceneError, match="endpoint"):
        aggregate_one_stage(replace(two, endpoint=torch.full((2, 2), float("nan"))))
    with pytest.raises(SceneError, match="states"):
        aggregate_one_stage(replace(two, states=two.states[:, :40]))
