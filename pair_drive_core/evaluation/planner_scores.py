"""How one planner did: a row a scene, two-frame comfort between neighbours, and the official aggregates."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from pair_drive_core.evaluation.benchmark_scenes import BenchmarkScene
from pair_drive_core.evaluation.score_settings import ScoreSettings
from pair_drive_core.geometry import compose_se2, transform_points
from pair_drive_core.scene import SceneError
from pair_drive_core.scoring import HumanFilter, Metric, PdmScores
from pair_drive_core.scoring.aggregation import (
    AGGREGATE_NAMES,
    ScoredFrames,
    TwoStageGroup,
    aggregate_one_stage,
    aggregate_two_stage,
)

AVERAGE, STAGE_ONE, STAGE_TWO, COMBINED = "average", "stage one", "stage two", "combined"
_OPEN_LOGS = 8


@dataclass(frozen=True)
class FrameRow:
    """One scene.

    Attributes:
        token: the scene.
        log_name: its log.
        second_stage: whether it is a synthetic scene that follows a first-stage scene.
        values: numbers by `PlannerScores.columns`; NaN where one is not known, all where there is no score.
        problem: why there is no score; None where there is one.
        causes: in words, why points were lost, where that was asked for.
        weight: share within its group of a two-stage benchmark, else 1.
    """

    token: str
    log_name: str
    second_stage: bool
    values: tuple[float, ...]
    problem: str | None = None
    causes: tuple[str, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True)
class PlannerScores:
    """How one planner did.

    Attributes:
        name: of the planner.
        columns: sub-scores, EC (v2) and the total.
        rows: in the order of the scenes.
        aggregates: of `AVERAGE`, or of `STAGE_ONE`, `STAGE_TWO` and `COMBINED`; each by column, NaN where nothing is
            known.
        left_out: groups of a two-stage benchmark that lack a scored frame, named by their first frame.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[FrameRow, ...]
    aggregates: Mapping[str, Mapping[str, float]]
    left_out: tuple[str, ...] = ()

    @property
    def means(self) -> Mapping[str, float]:
        """The result: of both stages together where there are two."""
        return self.aggregates[AVERAGE if AVERAGE in self.aggregates else COMBINED]

    @property
    def totals(self) -> dict[str, float]:
        """Totals by scene token; NaN where there is no score."""
        return {row.token: row.values[-1] for row in self.rows}

    @property
    def unscored(self) -> tuple[FrameRow, ...]:
        """Rows without a score."""
        return tuple(row for row in self.rows if row.problem is not None)

    def to_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        frames = {
            row.token: {
                "log": row.log_name,
                **{name: _known(value) for name, value in zip(self.columns, row.values, strict=True)},
                **({"problem": row.problem} if row.problem else {}),
                **({"causes": list(row.causes)} if row.causes else {}),
            }
            for row in self.rows
        }
        aggregates = {key: {n: _known(v) for n, v in means.items()} for key, means in self.aggregates.items()}
        return {
            "planner": self.name,
            "means": {name: _known(value) for name, value in self.means.items()},
            "aggregates": aggregates,
            "totals": {token: _known(total) for token, total in self.totals.items()},
            "frames": frames,
            "unscored": [{"token": row.token, "problem": row.problem} for row in self.unscored],
            "groups_left_out": list(self.left_out),
        }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


@dataclass(frozen=True)
class _Frame:
    """What comparing a frame with others needs."""

    row: int
    log_name: str
    time_s: float
    counted: Tensor
    states: Tensor
    endpoint: Tensor
    start: Tensor


class ScoreTable:
    """Collects one planner's scenes."""

    def __init__(self, name: str, settings: ScoreSettings) -> None:
        self.name, self._settings = name, settings
        v1 = settings.metric is Metric.V1
        self.columns = (*settings.metric.sub_score_names, "PDMS") if v1 else AGGREGATE_NAMES
        self._rows: list[FrameRow] = []
        self._open: OrderedDict[str, list[_Frame]] = OrderedDict()
        self._closed: set[str] = set()

    def add(
        self, entry: BenchmarkScene, poses: Tensor, judged: PdmScores, place: tuple[int, int], causes: tuple[str, ...]
    ) -> None:
        """Add a scored plan.

        Args:
            entry: the scene.
            poses: (P, 3), the plan, ego frame.
            judged: holds its scores.
            place: indices of scene and candidate in `judged`.
            causes: why points were lost.

        Raises:
            SceneError: if scenes of the same log come far apart.
        """
        values = judged.sub[place].double().tolist()
        v2 = self._settings.metric is Metric.V2
        values += [math.nan] if v2 else []
        values.append(float(judged.total[place]))
        if v2:
            self._keep(entry, poses, judged, place)
        self._rows.append(FrameRow(entry.scene.token, entry.log_name, entry.second_stage, tuple(values), None, causes))

    def add_problem(self, entry: BenchmarkScene, problem: str) -> None:
        """Add a scene without a score."""
        nothing = (math.nan,) * len(self.columns)
        self._rows.append(FrameRow(entry.scene.token, entry.log_name, entry.second_stage, nothing, problem))

    def extend(self, other: ScoreTable) -> None:
        """Append what was scored elsewhere, of other logs."""
        offset = len(self._rows)
        self._rows += other._rows
        for name, frames in other._open.items():
            self._open.setdefault(name, []).extend(replace(frame, row=frame.row + offset) for frame in frames)

    def _keep(self, entry: BenchmarkScene, poses: Tensor, judged: PdmScores, place: tuple[int, int]) -> None:
        ego = entry.scene.ego.pose.double()
        states = judged.states[place].double()
        counted = judged.unfiltered if self._settings.human_filter is HumanFilter.OLD else judged.sub
        frame = _Frame(
            len(self._rows),
            entry.log_name,
            entry.scene.time_us * 1e-6,
            counted[place].double(),
            torch.cat((compose_se2(ego, states[..., :3]), states[..., 3:]), dim=-1),
            transform_points(ego, poses[-1:, :2].double())[0],
            ego[:2],
        )
        if entry.log_name in self._closed:
            raise SceneError(f"scene {entry.scene.token}: the scenes of log {entry.log_name} do not come together")
        self._open.setdefault(entry.log_name, []).append(frame)
        self._open.move_to_end(entry.log_name)
        if not self._settings.groups and len(self._open) > _OPEN_LOGS:
            self._close(next(iter(self._open)))

    def close(self) -> None:
        """Compare neighbours of all logs that are whole; only for one stage."""
        if not self._settings.groups:
            for name in list(self._open):
                self._close(name)

    def _close(self, log_name: str) -> None:
        frames = self._open.pop(log_name)
        self._closed.add(log_name)
        result = aggregate_one_stage(self._scored(frames)).frames
        for i, frame in enumerate(frames):
            ec = float(result.columns[i, -2]) if bool(result.comfort_known[i]) else math.nan
            self._set(frame.row, ec, float(result.columns[i, -1]))

    def _set(self, row: int, ec: float, total: float, weight: float = 1.0) -> None:
        old = self._rows[row]
        self._rows[row] = replace(old, values=(*old.values[:-2], ec, total), weight=weight)

    def _scored(self, frames: Sequence[_Frame]) -> ScoredFrames:
        def stacked(name: str) -> Tensor:
            return torch.stack([getattr(frame, name) for frame in frames])

        return ScoredFrames(
            tuple(self._rows[frame.row].token for frame in frames),
            tuple(frame.log_name for frame in frames),
            torch.tensor([frame.time_s for frame in frames], dtype=torch.float64),
            stacked("counted"),
            stacked("states"),
            stacked("endpoint"),
            stacked("start"),
        )

    def result(self) -> PlannerScores:
        """Rows and aggregates.

        Raises:
            SceneError: if two stages do not fit together.
        """
        if self._settings.groups:
            return self._two_stages()
        self.close()
        columns = torch.tensor([row.values for row in self._rows if row.problem is None], dtype=torch.float64)
        means = columns.nanmean(0).tolist() if len(columns) else [math.nan] * len(self.columns)
        average = dict(zip(self.columns, means, strict=True))
        return PlannerScores(self.name, self.columns, tuple(self._rows), {AVERAGE: average})

    def _two_stages(self) -> PlannerScores:
        frames = {self._rows[frame.row].token: frame for part in self._open.values() for frame in part}
        whole = [group for group in self._settings.groups if all(token in frames for token in tokens_of(group))]
        left_out = tuple(group.now for group in self._settings.groups if group not in whole)
        aggregates = {key: dict.fromkeys(self.columns, math.nan) for key in (STAGE_ONE, STAGE_TWO, COMBINED)}
        if whole:
            kept = [frames[token] for group in whole for token in tokens_of(group)]
            scored = self._scored(kept)
            result = aggregate_two_stage(scored, whole)
            shown = torch.tensor([self._rows[frame.row].values[: scored.sub.shape[1]] for frame in kept])
            shown_result = aggregate_two_stage(replace(scored, sub=shown.double()), whole)
            for key, of_counted, of_shown in (
                (STAGE_ONE, result.stage_one, shown_result.stage_one),
                (STAGE_TWO, result.stage_two, shown_result.stage_two),
                (COMBINED, result.combined, shown_result.combined),
            ):
                aggregates[key] = dict(zip(self.columns, [*of_shown[:-1].tolist(), float(of_counted[-1])], strict=True))
            for i, frame in enumerate(kept):
                ec, total = result.frames.columns[i, -2:].tolist()
                self._set(frame.row, ec, total, float(result.frames.weight[i]))
        return PlannerScores(self.name, self.columns, tuple(self._rows), aggregates, left_out)


def tokens_of(group: TwoStageGroup) -> tuple[str, ...]:
    """All frames of a group."""
    return (group.now, group.previous, *(token for pair in group.second for token in pair))
