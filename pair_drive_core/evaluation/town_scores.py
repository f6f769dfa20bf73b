"""Agents in towns by number, in several processes, one job a town: a row for each scene and agent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pair_drive_core.datasets.parallel import results_of
from pair_drive_core.evaluation.scene_rows import SceneRow
from pair_drive_core.evaluation.town_agents import LEARNED, ORACLES, AgentPlans, TownAgent, plan_agents
from pair_drive_core.geometry import compose_se2
from pair_drive_core.models.checkpoint import load_checkpoint
from pair_drive_core.models.features import FeatureConfig, Features
from pair_drive_core.models.pair_model import JoinConfig, PairModel
from pair_drive_core.planning import pdm_references
from pair_drive_core.planning.plan_memory import EarlierPlan
from pair_drive_core.policies.joining import join_models
from pair_drive_core.scene import PLAN_INTERVAL_S, Scene, Trajectory
from pair_drive_core.scoring import HumanFilter, Metric, PdmScores, extended_comfort, score
from pair_drive_core.town.data.scenes import KEY_FRAME_STEPS
from pair_drive_core.town.traffic.simulator import STEP_S
from pair_drive_core.training.town_shards import Moment, MomentConfig, moments_of_town

_BATCH = 32
_NO_SENSORS = FeatureConfig(image_height_px=8, image_width_px=16, lidar_size_px=8)
"""What is rendered where nobody looks."""
_TOTAL = {Metric.V1: "PDMS", Metric.V2: "EPDMS"}
_V1_COLUMNS = ("NC", "DAC", "EP", "TTC", "C")


@dataclass(frozen=True)
class TownEvaluation:
    """Which moments of which towns, and who plans in them.

    Attributes:
        layouts: numbers of the towns; any, also outside the splits.
        scenes: moments in all, as evenly over the towns as it goes.
        seed: of traffic, daylight and the choice of moments.
        agents: who.
        checkpoint: of the learned agents.
        consecutive: whether everybody also plans 0.5 s earlier, for EC: how well two plans of an agent agree.
        imitation: whose imitation branch plans instead of the checkpoint's; the reinforcement branch is not trained
            again (paper section 3.4). None takes the checkpoint's own.
        human_filter: whether EPDMS forgives what the human got wrong too.
        join: how the branches are joined; None takes the checkpoint's.
        simulated_s: life of each town.
    """

    layouts: tuple[int, ...]
    scenes: int
    seed: int
    agents: tuple[TownAgent, ...]
    checkpoint: Path | None = None
    human_filter: bool = False
    join: JoinConfig | None = None
    simulated_s: float = 30.0
    imitation: Path | None = None
    consecutive: bool = False

    def __post_init__(self) -> None:
        if not self.layouts or min(self.layouts) < 0 or len(set(self.layouts)) < len(self.layouts):
            raise ValueError(f"layouts: expected different numbers from 0 on, got {list(self.layouts)[:5]}")
        if self.scenes < len(self.layouts):
            raise ValueError(f"scenes: expected at least one a town ({len(self.layouts)}), got {self.scenes}")
        learned = [agent.value for agent in self.agents if agent in LEARNED]
        if learned and self.checkpoint is None:
            raise ValueError(f"agents {', '.join(learned)}: expected a checkpoint, got none")
        if TownAgent.STEADY_PAIR in self.agents and not self.consecutive:
            raise ValueError(f"agent {TownAgent.STEADY_PAIR.value}: expected plans of 0.5 s before too (--consecutive)")
        if self.imitation is not None and self.checkpoint is None:
            raise ValueError("imitation: expected a checkpoint whose reinforcement branch follows it, got none")

    def jobs(self) -> list[TownJob]:
        """One a town."""
        share, rest = divmod(self.scenes, len(self.layouts))
        return [TownJob(self, layout, share + (k < rest)) for k, layout in enumerate(self.layouts)]


@dataclass(frozen=True)
class TownJob:
    """One town of an evaluation."""

    evaluation: TownEvaluation
    layout: int
    scenes: int


def evaluate_towns(
    evaluation: TownEvaluation, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> list[SceneRow]:
    """Score agents in towns.

    Args:
        evaluation: what.
        workers: processes.
        progress: is told towns done and wanted.

    Returns:
        Rows by layout, in the order of the moments; the same for any number of workers.
    """
    jobs = evaluation.jobs()
    done: dict[int, list[SceneRow]] = {}
    for rows in results_of(score_town, jobs, workers):
        done[rows[0].layout] = rows
        if progress is not None:
            progress(len(done), len(jobs))
    return [row for layout in evaluation.layouts for row in done[layout]]


def score_town(job: TownJob) -> list[SceneRow]:
    """All agents in one town's moments."""
    wanted = job.evaluation
    model: PairModel | None = None
    if wanted.checkpoint is not None and LEARNED & set(wanted.agents):
        model = load_checkpoint(wanted.checkpoint).model
        if wanted.imitation is not None:
            model = join_models(load_checkpoint(wanted.imitation).model, model)
    config = MomentConfig(
        scenes_a_town=job.scenes,
        simulated_s=wanted.simulated_s,
        seed=wanted.seed,
        displaced_share=0.0,
        full_picture_share=1.0 if model else 0.0,
    )
    shapes = _NO_SENSORS if model is None else model.config.features
    moments = list(moments_of_town(job.layout, wanted.seed, config, shapes, wanted.consecutive))
    rows: list[SceneRow] = []
    # Those that have a moment before them are judged together: networks see whole batches.
    for followers in (True, False):
        those = [moment for moment in moments if (moment.before is not None) is followers]
        for first in range(0, len(those), _BATCH):
            rows += _score_batch(job, those[first : first + _BATCH], model)
    place = {moment.scene.token: number for number, moment in enumerate(moments)}
    return sorted(rows, key=lambda row: place[row.token])


def _score_batch(job: TownJob, moments: Sequence[Moment], model: PairModel | None) -> list[SceneRow]:
    wanted = job.evaluation
    scenes = [moment.scene for moment in moments]
    earlier = [moment.before for moment in moments if moment.before is not None]
    choosers = [agent for agent in wanted.agents if agent not in ORACLES]
    before = _Judged.of(wanted, choosers, earlier, model, None, (Metric.V2,)) if earlier and choosers else None
    previous = None if before is None else before.moved([moment.scene for moment in earlier], scenes)
    now = _Judged.of(wanted, wanted.agents, moments, model, previous, tuple(Metric))
    rows: list[SceneRow] = []
    for row, scene in enumerate(scenes):
        for agent in wanted.agents:
            values = _values(now.scores, row, now.columns[agent])
            if wanted.consecutive:
                values["EC"] = math.nan if before is None else now.agreement(before, row, agent)
            rows.append(SceneRow(scene.token, job.layout, agent.value, values))
    return rows


@dataclass(frozen=True)
class _Judged:
    """All agents' plans in some moments, scored."""

    plans: AgentPlans
    columns: Mapping[TownAgent, slice]
    scores: dict[Metric, PdmScores]

    @staticmethod
    def of(
        wanted: TownEvaluation,
        agents: Sequence[TownAgent],
        moments: Sequence[Moment],
        model: PairModel | None,
        previous: Tensor | None,
        metrics: Sequence[Metric],
    ) -> _Judged:
        scenes = [moment.scene for moment in moments]
        features = Features.concatenate([moment.features for moment in moments])
        references = {metric: pdm_references(scenes, metric) for metric in metrics}
        plans = plan_agents(agents, scenes, features, references[Metric.V2], model, wanted.join, previous)
        poses, columns = plans.stacked()
        forgiving = HumanFilter.FIXED if wanted.human_filter else HumanFilter.OFF
        scores = {
            metric: score(scenes, poses, metric, reference=reference, human_filter=forgiving)
            for metric, reference in references.items()
        }
        return _Judged(plans, columns, scores)

    def moved(self, then: Sequence[Scene], now: Sequence[Scene]) -> Tensor | None:
        """(B, 8, 3): these plans of both branches, seen from later moments; None where nobody asks for them."""
        plans = self.plans.plans.get(TownAgent.STEADY_PAIR)
        if plans is None:
            return None
        seen: list[Tensor] = []
        for plan, here, there in zip(plans, then, now, strict=True):
            knots = compose_se2(here.ego.pose, Trajectory(plan.double()).with_start())
            seen.append(EarlierPlan(here.time_us, knots, PLAN_INTERVAL_S).seen_from(there.ego.pose, there.time_us))
        return torch.stack(seen)

    def agreement(self, before: _Judged, row: int, agent: TownAgent) -> float:
        """EC of an agent's plan with the one before; NaN of an oracle, which has no plan of its own."""
        if agent in ORACLES:
            return math.nan
        now, then = (judged.scores[Metric.V2].states[row, judged.columns[agent]] for judged in (self, before))
        return float(extended_comfort(now, then, KEY_FRAME_STEPS * STEP_S)[0][0])


def _values(judged: dict[Metric, PdmScores], row: int, column: slice) -> dict[str, float]:
    """Totals and sub-scores of a scene; of several candidates those of the best, for each metric its own."""
    values: dict[str, float] = {}
    for metric, scores in judged.items():
        total: Tensor = scores.total[row, column]
        best = int(torch.argmax(total))
        values[_TOTAL[metric]] = float(total[best])
        for name in _V1_COLUMNS if metric is Metric.V1 else metric.sub_score_names:
            key = f"v1 {name}" if metric is Metric.V1 else name
            values[key] = float(scores.sub[row, column][best, metric.sub_score_names.index(name)])
    return values
