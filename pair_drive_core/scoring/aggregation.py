"""From scored frames to the numbers of a benchmark: EPDMS with extended comfort, one stage or pseudo closed loop."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.scene import STATE_SIZE, SceneError
from pair_drive_core.scene.validation import require_finite, require_shape
from pair_drive_core.scoring.extended_comfort import MAX_INTERVAL_S, extended_comfort
from pair_drive_core.scoring.formula import total_score
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.simulation.sampling import SIMULATION_STEPS, STEP_S

KERNEL_VARIANCE_M2 = 0.1
"""sigma^2 of the Gaussian kernel that weighs second-stage scenes."""
AGGREGATE_NAMES = (*Metric.V2.sub_score_names, "EC", "EPDMS")
"""Columns of every aggregate."""


@dataclass(frozen=True)
class ScoredFrames:
    """F frames and how one planner did in each.

    Attributes:
        tokens: F different names.
        log_names: the log that each was taken from.
        time_s: (F,) float64, t0.
        sub: (F, 8), EPDMS sub-scores in the order of `Metric.V2`, after the human filter.
        states: (F, 41, 11), simulated states of the plan, global frame.
        endpoint: (F, 2), last pose of the plan itself (not of its simulation), global, m.
        start: (F, 2), rear axle at t0, global, m.
    """

    tokens: tuple[str, ...]
    log_names: tuple[str, ...]
    time_s: Tensor
    sub: Tensor
    states: Tensor
    endpoint: Tensor
    start: Tensor

    def validate(self) -> ScoredFrames:
        """Check that all fields speak of the same frames.

        Raises:
            SceneError: naming the field at fault.
        """
        count = len(self.tokens)
        if count == 0:
            raise SceneError("ScoredFrames.tokens: expected at least one frame, got none")
        if len(set(self.tokens)) != count:
            raise SceneError(
                f"ScoredFrames.tokens: expected every token once, got {count - len(set(self.tokens))} repeats"
            )
        if len(self.log_names) != count:
            raise SceneError(f"ScoredFrames.log_names: expected {count} names, got {len(self.log_names)}")
        shapes: dict[str, tuple[int, ...]] = {
            "time_s": (count,),
            "sub": (count, len(Metric.V2.sub_score_names)),
            "states": (count, SIMULATION_STEPS, STATE_SIZE),
            "endpoint": (count, 2),
            "start": (count, 2),
        }
        for name, shape in shapes.items():
            require_shape(f"ScoredFrames.{name}", getattr(self, name), shape)
            require_finite(f"ScoredFrames.{name}", getattr(self, name))
        return self


@dataclass(frozen=True)
class TwoStageGroup:
    """A first-stage frame, the frame before it, and the synthetic scenes that follow 4 s later.

    Attributes:
        now: token of the first-stage frame.
        previous: token of the frame 0.5 s before.
        second: pairs of tokens: the scene that follows `now` and the one that follows `previous`.
    """

    now: str
    previous: str
    second: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FrameTotals:
    """Every frame's total.

    Attributes:
        tokens: F names.
        columns: (F, 10), columns of `AGGREGATE_NAMES`; EC is zero where it is not known.
        comfort_known: (F,) bool, whether there is a previous frame to compare with.
        weight: (F,), share within its group; 1 in the first stage.
    """

    tokens: tuple[str, ...]
    columns: Tensor
    comfort_known: Tensor
    weight: Tensor


@dataclass(frozen=True)
class OneStageResult:
    """Scores of a one-stage benchmark (official `run_pdm_score_one_stage`).

    Attributes:
        frames: every frame's totals.
        previous: token -> token of the frame before it, where there is one.
        mean: (10,), mean over frames; EC over the frames where it is known (zero where there is none).
    """

    frames: FrameTotals
    previous: Mapping[str, str]
    mean: Tensor


@dataclass(frozen=True)
class TwoStageResult:
    """Scores of a pseudo closed loop (official `run_pdm_score`).

    Attributes:
        frames: every frame's totals.
        combined: (10,), mean over groups of stage one times stage two, column by column.
        stage_one: (10,), mean over first-stage frames.
        stage_two: (10,), mean over first-stage frames of the weighted second stage.
    """

    frames: FrameTotals
    combined: Tensor
    stage_one: Tensor
    stage_two: Tensor


def gaussian_weights(endpoint: Tensor, starts: Tensor) -> Tensor:
    """How much each second-stage scene counts: a Gaussian of its distance from where the plan ended, normalised.

    Where the plan ended far from all of them (the sum is as good as zero), all count the same.

    Args:
        endpoint: (2,), m.
        starts: (Q, 2), m, Q >= 1.

    Returns:
        (Q,), adds up to 1.
    """
    distance2 = (starts - endpoint).square().sum(-1)
    weight = torch.exp(-distance2 / (2.0 * KERNEL_VARIANCE_M2))
    total = weight.sum()
    # 1e-8 is the absolute tolerance of numpy.isclose, which the official code asks.
    if bool(total <= 1e-8):
        return torch.full_like(weight, 1.0 / weight.shape[0])
    return weight / total


def aggregate_one_stage(frames: ScoredFrames) -> OneStageResult:
    """Score independent frames; extended comfort where the log holds the frame before, at most 0.55 s earlier.

    Raises:
        SceneError: naming the malformed field of `frames`.
    """
    frames.validate()
    previous = infer_previous_frames(frames)
    row = {token: i for i, token in enumerate(frames.tokens)}
    pairs = [(row[now], row[before]) for now, before in previous.items()]
    totals = _totals(frames, pairs, torch.ones_like(frames.time_s), both=False)
    mean = totals.columns.mean(0)
    known = totals.comfort_known
    comfort = AGGREGATE_NAMES.index("EC")
    mean[comfort] = totals.columns[known, comfort].sum() / max(int(known.sum()), 1)
    return OneStageResult(totals, previous, mean)


def infer_previous_frames(frames: ScoredFrames) -> dict[str, str]:
    """For each frame the one before it in its log, at most 0.55 s earlier (official `infer_start_adjacent_mapping`).

    Where the official code stops with an error, at gaps of exactly 0.55 s or too short to shift a plan by a step, the
    frames are not adjacent here.
    """
    previous: dict[str, str] = {}
    by_log: dict[str, list[int]] = {}
    for i, name in enumerate(frames.log_names):
        by_log.setdefault(name, []).append(i)
    for rows in by_log.values():
        ordered = sorted(rows, key=lambda i: float(frames.time_s[i]))
        for before, now in itertools.pairwise(ordered):
            if _comparable(frames, now, before):
                previous[frames.tokens[now]] = frames.tokens[before]
    return previous


def aggregate_two_stage(frames: ScoredFrames, groups: Sequence[TwoStageGroup]) -> TwoStageResult:
    """Score a pseudo closed loop: per group stage one times the weighted mean of stage two, then the mean over groups.

    Args:
        frames: all frames of both stages.
        groups: at least one; together they must name every frame exactly once.

    Raises:
        SceneError: if a group has no second stage, a token is missing, left over or named twice, or the frames of a
            pair are not 0.05 to 0.55 s apart.
    """
    frames.validate()
    row = _rows_of_groups(frames, groups)
    weight = torch.ones_like(frames.time_s)
    pairs: list[tuple[int, int]] = []
    for group in groups:
        pairs.append((row[group.now], row[group.previous]))
        pairs.extend((row[now], row[before]) for now, before in group.second)
        for first, second in _stages(group, row):
            weight[second] = gaussian_weights(frames.endpoint[first], frames.start[second])
    _check_gaps(frames, pairs)
    totals = _totals(frames, pairs, weight, both=True)
    ones, twos, products = [], [], []
    for group in groups:
        parts = []
        for first, second in _stages(group, row):
            share = weight[second]
            ones.append(totals.columns[first])
            twos.append((totals.columns[second] * share[:, None]).sum(0) / share.sum())
            parts.append(ones[-1] * twos[-1])
        products.append((parts[0] + parts[1]) / 2.0)
    return TwoStageResult(totals, *(torch.stack(rows).mean(0) for rows in (products, ones, twos)))


def _stages(group: TwoStageGroup, row: Mapping[str, int]) -> tuple[tuple[int, list[int]], ...]:
    """The two chains of a group: a first-stage row and the rows of the scenes that follow it."""
    now, before = [row[a] for a, _ in group.second], [row[b] for _, b in group.second]
    return (row[group.now], now), (row[group.previous], before)


def _rows_of_groups(frames: ScoredFrames, groups: Sequence[TwoStageGroup]) -> dict[str, int]:
    """Row of every token, after checking that the groups name each frame once."""
    if not groups:
        raise SceneError("aggregate_two_stage: expected at least one group, got none")
    row = {token: i for i, token in enumerate(frames.tokens)}
    named: set[str] = set()
    for group in groups:
        if not group.second:
            raise SceneError(f"TwoStageGroup {group.now}: expected second-stage scenes, got none")
        for token in (group.now, group.previous, *(t for pair in group.second for t in pair)):
            if token not in row:
                raise SceneError(f"TwoStageGroup {group.now}: no scored frame {token}")
            if token in named:
                raise SceneError(f"TwoStageGroup {group.now}: frame {token} is named twice")
            named.add(token)
    if len(named) != len(row):
        left = [token for token in frames.tokens if token not in named]
        raise SceneError(f"aggregate_two_stage: {len(left)} frames belong to no group, e.g. {left[:3]}")
    return row


def _overlap(frames: ScoredFrames, now: int, before: int) -> int:
    """Steps by which two plans are shifted against each other; Python's rounding of halves is the official one."""
    return round(float(frames.time_s[now] - frames.time_s[before]) / STEP_S)


def _comparable(frames: ScoredFrames, now: int, before: int) -> bool:
    gap = float(frames.time_s[now] - frames.time_s[before])
    return _overlap(frames, now, before) > 0 and gap < MAX_INTERVAL_S


def _check_gaps(frames: ScoredFrames, pairs: Sequence[tuple[int, int]]) -> None:
    for now, before in pairs:
        if not _comparable(frames, now, before):
            gap = float(frames.time_s[now] - frames.time_s[before])
            raise SceneError(
                f"frames {frames.tokens[before]} and {frames.tokens[now]}: expected the first 0.05 to "
                f"{MAX_INTERVAL_S} s before the second, got {gap:.3f} s"
            )


def _totals(frames: ScoredFrames, pairs: Sequence[tuple[int, int]], weight: Tensor, both: bool) -> FrameTotals:
    """Totals with the extended comfort of each pair (now, before); `both` gives it to the earlier frame, too."""
    comfort = torch.zeros_like(frames.sub[:, 0])
    known = torch.zeros(len(frames.tokens), dtype=torch.bool)
    by_overlap: dict[int, list[tuple[int, int]]] = {}
    for pair in pairs:
        by_overlap.setdefault(_overlap(frames, *pair), []).append(pair)
    for overlap, group in by_overlap.items():
        now, before = (torch.tensor(side, dtype=torch.int64) for side in zip(*group, strict=True))
        good, _ = extended_comfort(frames.states[now], frames.states[before], overlap * STEP_S)
        for side in (now, before) if both else (now,):
            comfort[side], known[side] = good.to(comfort), True
    total = total_score(frames.sub, Metric.V2, torch.where(known, comfort, torch.nan))
    columns = torch.cat((frames.sub, comfort[:, None], total[:, None]), dim=-1)
    return FrameTotals(frames.tokens, columns, known, weight)
