"""One training by any scheme of any imitation policy, from town scenes to a checkpoint; see `schemes`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from pair_drive_core.models.bounds import AT_LEAST_ZERO, Bound, require_bounds
from pair_drive_core.models.checkpoint import save_checkpoint
from pair_drive_core.models.pair_model import PairConfig, PairModel
from pair_drive_core.models.reward_world_model import RewardFormula
from pair_drive_core.town.data.splits import TownSplit
from pair_drive_core.training.calibration import Calibration, calibrate_margin
from pair_drive_core.training.loop import Runner, run_task
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.run import TrainingReport, Watch, origin_of
from pair_drive_core.training.schemes import SCHEMES, PlanBy, Scheme, SchemeInputs, SchemeResult, SchemeSettings
from pair_drive_core.training.simulated_rewards import SimulatedRewards
from pair_drive_core.training.town_evaluation import evaluate
from pair_drive_core.training.town_samples import TownDataConfig, collect_town_samples
from pair_drive_core.training.trainer_config import TrainerConfig


@dataclass(frozen=True)
class SchemeTrainingSettings:
    """One training by one scheme.

    Attributes:
        seed: of weights, data and every draw.
        threads: of torch.
        checkpoint: file to write.
        scheme: how the networks learn.
        model: sizes; `model.imitation.kind` picks the imitation policy.
        town: moments to learn from.
        calibration: moments of other towns, to find the margin of the join.
        held_out: moments of yet other towns, to report on.
        schemes: the stages and their budget.
        trainer: precision, processes, states on disk.
    """

    seed: int = 0
    threads: int = 1
    checkpoint: str = "out/scheme/pair.safetensors"
    scheme: Scheme = Scheme.PARALLEL
    model: PairConfig = field(default_factory=PairConfig)
    town: TownDataConfig = field(default_factory=TownDataConfig)
    calibration: TownDataConfig = field(default_factory=lambda: TownDataConfig(TownSplit.VAL, scenes=300))
    held_out: TownDataConfig = field(default_factory=lambda: TownDataConfig(TownSplit.TEST, scenes=600))
    schemes: SchemeSettings = field(default_factory=SchemeSettings)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    BOUNDS: ClassVar[Mapping[str, Bound]] = {"seed": AT_LEAST_ZERO, "threads": Bound(1, 1024)}

    def __post_init__(self) -> None:
        require_bounds(self)


def train_by_scheme(
    settings: SchemeTrainingSettings, command: str, progress: Progress = silent, runner: Runner = run_task
) -> TrainingReport:
    """Train and write the checkpoint.

    Args:
        settings: everything.
        command: what was typed, for the checkpoint's description.
        progress: is told of every step.
        runner: takes each stage to its end.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    model, watch = PairModel(settings.model), Watch()
    generator = torch.Generator().manual_seed(settings.seed)
    features, formula = settings.model.features, settings.model.reinforcement.reward.formula
    town = collect_town_samples(settings.town, features, settings.seed, progress, "town")
    watch.note("scenes")
    model.imitation.prepare(town.samples.human, generator)
    rewards = SimulatedRewards(town.scenes, formula, progress)
    inputs = SchemeInputs(model, town.samples, rewards, settings.schemes, generator, progress, runner)
    result = SCHEMES[settings.scheme](inputs)
    model.eval()
    watch.note(settings.scheme.value)
    calibration: Calibration | None = None
    if result.plan_by is not PlanBy.IMITATION:
        other = collect_town_samples(settings.calibration, features, settings.seed, progress, "calibration")
        calibration = calibrate_margin(model, other.samples, SimulatedRewards(other.scenes, formula))
        model.config = replace(model.config, join=replace(model.config.join, margin=calibration.best_margin))
    unseen = collect_town_samples(settings.held_out, features, settings.seed, progress, "held-out")
    results = {
        metric.value: evaluate(model, unseen.samples, SimulatedRewards(unseen.scenes, metric))
        for metric in RewardFormula
    }
    watch.note("evaluation")
    path = Path(settings.checkpoint)
    about = _description(settings, command, result, calibration)
    held_out = {name: {k: asdict(v) for k, v in table.items()} for name, table in results.items()}
    save_checkpoint(path, model, {**about, "held_out": held_out, "seconds": dict(watch.seconds)})
    return TrainingReport(path, results, watch.seconds, sum(p.numel() for p in model.parameters()))


def _description(
    settings: SchemeTrainingSettings, command: str, result: SchemeResult, calibration: Calibration | None
) -> dict[str, Any]:
    return {
        **origin_of(settings, command),
        "plan_by": result.plan_by.value,
        "history": {stage: list(values) for stage, values in result.history.items()},
        "calibration": None if calibration is None else asdict(calibration),
    }
