"""A planner's scores as the devkit's scripts write them: the same columns, the same aggregate rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pair_drive_core.evaluation.planner_scores import AVERAGE, COMBINED, STAGE_ONE, STAGE_TWO, PlannerScores

OFFICIAL_NAMES: Mapping[str, str] = {
    "NC": "no_at_fault_collisions",
    "DAC": "drivable_area_compliance",
    "DDC": "driving_direction_compliance",
    "TLC": "traffic_light_compliance",
    "EP": "ego_progress",
    "TTC": "time_to_collision_within_bound",
    "C": "comfort",
    "LK": "lane_keeping",
    "HC": "history_comfort",
    "EC": "two_frame_extended_comfort",
    "PDMS": "score",
    "EPDMS": "score",
}
_AVERAGE_ROW = {"PDMS": "average", "EPDMS": "average_all_frames"}
_STAGE_ROWS = {
    STAGE_ONE: "extended_pdm_score_stage_one",
    STAGE_TWO: "extended_pdm_score_stage_two",
    COMBINED: "extended_pdm_score_combined",
}


def official_csv(scores: PlannerScores) -> str:
    """The text of the CSV file; rows in the order of the scenes, then the aggregates.

    A scene without a score is a row of empty cells whose `valid` is False, and does not count in the means, as in the
    official script.
    """
    return _two_stages(scores) if COMBINED in scores.aggregates else _one_stage(scores)


def _one_stage(scores: PlannerScores) -> str:
    names = [OFFICIAL_NAMES[name] for name in scores.columns]
    rows: list[tuple[str, bool, Sequence[float]]] = [
        (row.token, row.problem is None, row.values) for row in scores.rows
    ]
    average = [scores.aggregates[AVERAGE][name] for name in scores.columns]
    rows.append((_AVERAGE_ROW[scores.columns[-1]], not scores.unscored, average))
    return _text(names, rows)


def _two_stages(scores: PlannerScores) -> str:
    subs = scores.columns[:-1]
    names = [f"{OFFICIAL_NAMES[name]}_{stage}" for stage in ("stage_one", "stage_two") for name in subs]
    nothing = [math.nan] * len(subs)
    rows: list[tuple[str, bool, Sequence[float]]] = []
    for row in scores.rows:
        values = list(row.values[:-1])
        halves = [*nothing, *values] if row.second_stage else [*values, *nothing]
        rows.append((row.token, row.problem is None, [*halves, row.values[-1]]))
    one, two = ([scores.aggregates[stage][name] for name in subs] for stage in (STAGE_ONE, STAGE_TWO))
    halves_of = {STAGE_ONE: [*one, *nothing], STAGE_TWO: [*nothing, *two], COMBINED: [*one, *two]}
    whole = not scores.left_out
    for stage, token in _STAGE_ROWS.items():
        total = scores.aggregates[stage][scores.columns[-1]]
        rows.append((token, whole, [*halves_of[stage], total]))
    return _text([*names, "score"], rows)


def _text(names: Sequence[str], rows: Sequence[tuple[str, bool, Sequence[float]]]) -> str:
    lines = [",".join(("", "token", "valid", *names))]
    for number, (token, valid, values) in enumerate(rows):
        cells = ("" if math.isnan(value) else repr(float(value)) for value in values)
        lines.append(",".join((str(number), token, str(valid), *cells)))
    return "\n".join(lines) + "\n"
