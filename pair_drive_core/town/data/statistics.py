"""How a town's scenes score and what they are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pair_drive_core.datasets.parallel import results_of
from pair_drive_core.geometry import relative_se2
from pair_drive_core.planning.constant_velocity import ConstantVelocityPlanner
from pair_drive_core.planning.pdm_closed import pdm_references
from pair_drive_core.scene import Scene, SceneError
from pair_drive_core.scoring import Metric, PdmScores, extended_comfort, score
from pair_drive_core.town.data.scenes import KEY_FRAME_STEPS
from pair_drive_core.town.data.splits import TownSplit
from pair_drive_core.town.data.town_scenes import scene_pairs_of_town
from pair_drive_core.town.streets.curves import FloatArray
from pair_drive_core.town.traffic.simulator import STEP_S, TownConfig

PLANNERS = ("human", "constant velocity", "PDM-Closed")
HUMAN_BAD_BELOW = 0.85
"""Scenes whose demonstration scores less are `human-bad` (paper, section 4)."""
SPEED_EDGES_MPS = (0.0, 0.1, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0)
SCENES_A_TOWN = 24
EXTENDED_COMFORT, TOTAL = "EC", "total"
_THREE_VALUED = ("NC", "DDC")
_CONTINUOUS = ("EP", TOTAL)


@dataclass(frozen=True)
class SubScoreValues:
    """How often a sub-score takes its values.

    Attributes:
        name: of the sub-score.
        mean: over all scenes that have it.
        zero: share of scenes with exactly 0.
        between: share with neither 0 nor 1.
        one: share with exactly 1.
    """

    name: str
    mean: float
    zero: float
    between: float
    one: float

    @property
    def not_taken(self) -> tuple[str, ...]:
        """Values that the sub-score can take and never took: of 0, 1/2 and 1; a continuous one must vary."""
        if self.name in _CONTINUOUS:
            return () if self.between > 0.0 else ("between",)
        shares = {"0": self.zero, "1/2": self.between if self.name in _THREE_VALUED else 1.0, "1": self.one}
        return tuple(value for value, share in shares.items() if share == 0.0)


@dataclass(frozen=True)
class ScoredScenes:
    """Scores of the three `PLANNERS` in S scenes, and what the scenes hold.

    Attributes:
        columns: by metric and sub-score (the total included), (S, 3); EC is NaN where there is no earlier frame.
        commands: by scene, name of the driving command.
        speed_mps: (S,).
        flaws: by scene, what its driver does wrong.
    """

    columns: dict[Metric, dict[str, FloatArray]]
    commands: tuple[str, ...]
    speed_mps: FloatArray
    flaws: tuple[tuple[str, ...], ...]


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

    @property
    def not_taken(self) -> tuple[str, ...]:
        """Each value that a sub-score can take and never took, with its metric and planner."""
        return tuple(
            f"{metric.value} {planner} {values.name} = {value}"
            for metric, planners in self.values.items()
            for planner, columns in planners.items()
            for values in columns
            for value in values.not_taken
        )


@dataclass(frozen=True)
class _Job:
    split: TownSplit
    number: int
    count: int
    config: TownConfig


def score_split(
    split: TownSplit,
    scenes: int,
    config: TownConfig,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> TownStatistics:
    """Score the human, constant velocity and PDM-Closed in scenes of a split, and count what else they hold.

    Args:
        split: which towns.
        scenes: how many scenes in all.
        config: what towns hold.
        workers: processes.
        progress: told the scenes done and the scenes wanted.

    Raises:
        SceneError: if no scenes are asked for.
    """
    towns = -(-scenes // SCENES_A_TOWN)
    jobs = [_Job(split, n, min(SCENES_A_TOWN, scenes - n * SCENES_A_TOWN), config) for n in range(towns)]
    parts: list[ScoredScenes] = []
    for part in results_of(_score_town, jobs, workers):
        parts.append(part)
        if progress is not None:
            progress(sum(len(p.commands) for p in parts), scenes)
    return town_statistics(parts)


def town_statistics(parts: Sequence[ScoredScenes]) -> TownStatistics:
    """Count over all parts, in whatever order they come.

    Raises:
        SceneError: if there are no scenes.
    """
    count = sum(len(part.commands) for part in parts)
    if not count:
        raise SceneError("town_statistics: expected at least one scene, got none")
    flaws = [scene for part in parts for scene in part.flaws]
    faulty = np.array([bool(scene) for scene in flaws])
    values, bad, flawed = {}, {}, {}
    for metric in Metric:
        columns = {name: np.concatenate([p.columns[metric][name] for p in parts]) for name in parts[0].columns[metric]}
        values[metric] = {
            planner: tuple(_values(name, column[:, k]) for name, column in columns.items())
            for k, planner in enumerate(PLANNERS)
        }
        human = columns[TOTAL][:, 0]
        bad[metric] = float((human < HUMAN_BAD_BELOW).mean())
        flawed[metric] = (_mean(human[faulty]), _mean(human[~faulty]))
    commands = Counter(command for part in parts for command in part.commands)
    kinds = Counter({"any": int(faulty.sum())}) + Counter(flaw for scene in flaws for flaw in scene)
    speed = np.concatenate([part.speed_mps for part in parts])
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


def _score_town(job: _Job) -> ScoredScenes:
    pairs = list(scene_pairs_of_town(job.split, job.number, job.count, job.config))
    scenes = [now.scene for now, _ in pairs]
    followers = [i for i, (_, before) in enumerate(pairs) if before is not None]
    columns: dict[Metric, dict[str, FloatArray]] = {}
    for metric in Metric:
        scores = _score(scenes, metric)
        columns[metric] = {name: scores.sub[..., i].double().numpy() for i, name in enumerate(scores.names)}
        columns[metric][TOTAL] = scores.total.double().numpy()
        if metric is Metric.V2:
            comfort = torch.full((len(scenes), len(PLANNERS)), torch.nan, dtype=torch.float64)
            if followers:
                before = _score([scene for _, scene in pairs if scene is not None], metric)
                comfort[followers] = _extended_comfort(scores.states[followers], before.states)
            columns[metric][EXTENDED_COMFORT] = comfort.numpy()
    speed = np.array([float(scene.ego.velocity.norm()) for scene in scenes])
    commands = tuple(now.status.command.name.lower() for now, _ in pairs)
    return ScoredScenes(columns, commands, speed, tuple(scene.flaws for scene in scenes))


def _score(scenes: list[Scene], metric: Metric) -> PdmScores:
    """(S, 3) plans scored, in the order of `PLANNERS`."""
    reference = pdm_references(scenes, metric)
    plans = torch.stack([_plans(scene, reference[i]) for i, scene in enumerate(scenes)])
    # The human is judged like everybody else: forgiving what the human did would hide the flaws.
    judged = [replace(scene, human=None) for scene in scenes]
    return score(judged, plans, metric, reference=reference)


def _extended_comfort(now: Tensor, before: Tensor) -> Tensor:
    """(F, 3): EC of each planner's rollouts (F, 3, 41, 11) of two frames."""
    comfort, _ = extended_comfort(now.flatten(0, 1), before.flatten(0, 1), KEY_FRAME_STEPS * STEP_S)
    return comfort.reshape(now.shape[:2]).double()


def _plans(scene: Scene, reference: Tensor) -> Tensor:
    """(3, 8, 3): the plans of `PLANNERS` in one scene."""
    if scene.human is None:
        raise SceneError(f"{scene.token}: expected a demonstration, the scene has none")
    pdm = relative_se2(scene.ego.pose, reference[5::5])
    constant = ConstantVelocityPlanner().plan_scene(scene).poses
    return torch.stack((scene.human.poses.to(pdm), constant.to(pdm), pdm))


def _values(name: str, column: FloatArray) -> SubScoreValues:
    known = column[~np.isnan(column)]
    zero, one = known == 0.0, known == 1.0
    shares = (_mean(part.astype(np.float64)) for part in (zero, ~zero & ~one, one))
    return SubScoreValues(name, _mean(known), *shares)


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
