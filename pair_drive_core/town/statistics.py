"""How a town's scenes score and what they are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pair_drive_core.geometry import relative_se2
from pair_drive_core.planning.constant_velocity import ConstantVelocityPlanner
from pair_drive_core.planning.pdm_closed import pdm_references
from pair_drive_core.scene import Scene, SceneError
from pair_drive_core.scoring import Metric, PdmScores, score
from pair_drive_core.town.town_scenes import TownScene

PLANNERS = ("human", "constant velocity", "PDM-Closed")
HUMAN_BAD_BELOW = 0.85
"""Scenes whose demonstration scores less are `human-bad` (paper, section 4)."""
SPEED_EDGES_MPS = (0.0, 0.1, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0)
_SCENES_AT_ONCE = 64


@dataclass(frozen=True)
class SubScoreValues:
    """How often a sub-score takes its values.

    Attributes:
        name: of the sub-score.
        mean: over all scenes.
        zero: share of scenes with exactly 0.
        between: share with neither 0 nor 1.
        one: share with exactly 1.
    """

    name: str
    mean: float
    zero: float
    between: float
    one: float


@dataclass(frozen=True)
class TownStatistics:
    """What a set of scenes is like.

    Attributes:
        scenes: how many.
        values: by metric and planner, the sub-scores and the total (named "total").
        human_bad: by metric, share of the scenes whose demonstration scores below 0.85.
        commands: share of each driving command.
        speeds: share of the scenes in each interval of `SPEED_EDGES_MPS`.
        flaws: share of the scenes with each flaw; "any" for those with at least one.
        flawed_total: by metric, mean score of the demonstrations with a flaw and of those without.
    """

    scenes: int
    values: dict[Metric, dict[str, tuple[SubScoreValues, ...]]]
    human_bad: dict[Metric, float]
    commands: dict[str, float]
    speeds: tuple[float, ...]
    flaws: dict[str, float]
    flawed_total: dict[Metric, tuple[float, float]]


def town_statistics(scenes: Sequence[TownScene]) -> TownStatistics:
    """Score the human, constant velocity and PDM-Closed in all scenes, and count what else they hold.

    Raises:
        SceneError: if there are no scenes.
    """
    if not scenes:
        raise SceneError("town_statistics: expected at least one scene, got none")
    values, bad, flawed = {}, {}, {}
    faulty = np.array([bool(s.scene.flaws) for s in scenes])
    for metric in Metric:
        columns, totals = _score_all([s.scene for s in scenes], metric)
        values[metric] = {
            planner: tuple(_values(name, column[:, k]) for name, column in (*columns.items(), ("total", totals)))
            for k, planner in enumerate(PLANNERS)
        }
        human = totals[:, 0].numpy()
        bad[metric] = float((human < HUMAN_BAD_BELOW).mean())
        flawed[metric] = (_mean(human[faulty]), _mean(human[~faulty]))
    count = len(scenes)
    commands = Counter(s.command.name.lower() for s in scenes)
    kinds = Counter(flaw for s in scenes for flaw in s.scene.flaws) + Counter({"any": int(faulty.sum())})
    speed = np.array([float(s.scene.ego.velocity.norm()) for s in scenes])
    shares = np.histogram(speed, SPEED_EDGES_MPS)[0] / count
    return TownStatistics(
        count,
        values,
        bad,
        {name: n / count for name, n in commands.most_common()},
        tuple(shares.tolist()),
        {name: n / count for name, n in kinds.most_common()},
        flawed,
    )


def _score_all(scenes: list[Scene], metric: Metric) -> tuple[dict[str, Tensor], Tensor]:
    """By sub-score (S, 3), and the totals (S, 3), in the order of `PLANNERS`."""
    parts: list[PdmScores] = []
    for first in range(0, len(scenes), _SCENES_AT_ONCE):
        chunk = scenes[first : first + _SCENES_AT_ONCE]
        reference = pdm_references(chunk, metric)
        plans = torch.stack([_plans(scene, reference[i]) for i, scene in enumerate(chunk)])
        # The human is judged like everybody else: forgiving what the human did would hide the flaws.
        judged = [replace(scene, human=None) for scene in chunk]
        parts.append(score(judged, plans, metric, reference=reference))
    names = parts[0].names
    columns = {name: torch.cat([p.sub[..., i] for p in parts]) for i, name in enumerate(names)}
    return columns, torch.cat([p.total for p in parts])


def _plans(scene: Scene, reference: Tensor) -> Tensor:
    """(3, 8, 3): the plans of `PLANNERS` in one scene."""
    if scene.human is None:
        raise SceneError(f"{scene.token}: expected a demonstration, the scene has none")
    pdm = relative_se2(scene.ego.pose, reference[5::5])
    constant = ConstantVelocityPlanner().plan_scene(scene).poses
    return torch.stack((scene.human.poses.to(pdm), constant.to(pdm), pdm))


def _values(name: str, column: Tensor) -> SubScoreValues:
    zero, one = float((column == 0.0).double().mean()), float((column == 1.0).double().mean())
    return SubScoreValues(name, float(column.mean()), zero, max(1.0 - zero - one, 0.0), one)


def _mean(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    return float(values.mean()) if len(values) else float("nan")
