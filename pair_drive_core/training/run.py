"""One training from nothing to a checkpoint: town scenes, imitation, reward model, reinforcement, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pair_drive_core.models.checkpoint import save_checkpoint
from pair_drive_core.models.configuration import config_to_mapping
from pair_drive_core.models.imagenet import load_imagenet
from pair_drive_core.models.pair_model import PairModel, ReinforcementBranch
from pair_drive_core.models.reward_world_model import RewardFormula
from pair_drive_core.training.calibration import Calibration, calibrate_margin
from pair_drive_core.training.imitation import imitation_plans, train_imitation
from pair_drive_core.training.loop import Runner, run_task
from pair_drive_core.training.navsim_samples import StreamedRewards
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.reinforcement import train_reinforcement
from pair_drive_core.training.reward_model import train_reward_model
from pair_drive_core.training.samples import Samples
from pair_drive_core.training.schemes.parallel import copy_backbone
from pair_drive_core.training.settings import TrainingSettings
from pair_drive_core.training.simulated_rewards import SimulatedRewards
from pair_drive_core.training.town_evaluation import PlannerResult, evaluate
from pair_drive_core.training.town_samples import TownDataConfig, collect_town_samples


@dataclass(frozen=True)
class TrainingReport:
    """What came of a training.

    Attributes:
        checkpoint: the file written.
        results: on the held-out scenes, by formula and planner.
        seconds: by stage.
        parameters: number of weights.
    """

    checkpoint: Path
    results: Mapping[str, Mapping[str, PlannerResult]]
    seconds: Mapping[str, float]
    parameters: int


class Watch:
    """Seconds between its calls, by stage.

    Attributes:
        seconds: so far.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def note(self, stage: str) -> None:
        """A stage ends now."""
        now = time.perf_counter()
        self.seconds[stage], self._last = round(now - self._last, 1), now


def origin_of(settings: object, command: str) -> dict[str, Any]:
    """What every checkpoint's description begins with; the model's own sizes stand beside it.

    Args:
        settings: a training's, with `seed` and `model`.
        command: what was typed.
    """
    plain = config_to_mapping(settings)
    del plain["model"]
    return {"command": command, "seed": plain["seed"], "torch": torch.__version__, "settings": plain}


def train(
    settings: TrainingSettings, command: str, progress: Progress = silent, runner: Runner = run_task
) -> TrainingReport:
    """Train both branches and write the checkpoint.

    What reinforcement made of the branch is kept only if it plans at least as well on the calibration's towns.

    Args:
        settings: everything.
        command: what was typed, for the checkpoint's description.
        progress: is told of every step.
        runner: takes each stage to its end.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    model = PairModel(settings.model)
    branch, watch = model.reinforcement, Watch()

    town, calibration, held_out = _moments(settings, progress)
    watch.note("scenes")
    formula = settings.model.reinforcement.reward.formula
    rewards = town.rewards(formula, progress)
    watch.note("references")
    if settings.imagenet:
        load_imagenet_into(model, Path(settings.imagenet))
    model.imitation.prepare(town.samples.human, torch.Generator().manual_seed(settings.seed))
    train_imitation(model.imitation, town.samples, settings.imitation, generator, progress, runner)
    plans = imitation_plans(model.imitation, town.samples)
    watch.note("imitation")
    if settings.copy_backbone and not copy_backbone(model):
        raise ValueError("copy_backbone: expected the same backbone in both branches, got different ones")
    train_reward_model(branch, town.samples, plans, rewards, settings.reward_model, generator, progress, runner)
    watch.note("reward model")
    calibration_rewards = calibration.rewards(formula)
    before = calibrate_margin(model, calibration.samples, calibration_rewards)
    weights_before = deepcopy(branch.state_dict())
    train_reinforcement(branch, town.samples, plans, rewards, settings.reinforcement, generator, progress, runner)
    watch.note("reinforcement")

    margins = calibrate_margin(model, calibration.samples, calibration_rewards)
    kept = keep_better(branch, weights_before, before, margins)
    model.config = replace(model.config, join=replace(model.config.join, margin=kept.best_margin))
    results = {metric.value: evaluate(model, held_out.samples, held_out.rewards(metric)) for metric in RewardFormula}
    watch.note("evaluation")
    path = Path(settings.checkpoint)
    calibrations = {"reward model": before, "reinforcement": margins}
    save_checkpoint(path, model, _description(settings, command, calibrations, results, watch.seconds))
    return TrainingReport(path, results, watch.seconds, sum(p.numel() for p in model.parameters()))


@dataclass(frozen=True)
class _Moments:
    """Moments and where they are scored."""

    samples: Samples
    rewards: Callable[..., SimulatedRewards | StreamedRewards]


def _moments(settings: TrainingSettings, progress: Progress) -> tuple[_Moments, _Moments, _Moments]:
    """To learn from, to find the margin on, to report on."""
    features, data = settings.model.features, settings.navsim
    if data is not None:

        def streamed(split: str) -> _Moments:
            samples = data.samples(split, features)
            return _Moments(samples, lambda formula, _=silent: StreamedRewards(samples, formula))

        return streamed(data.train), streamed(data.calibration), streamed(data.held_out)

    def made(config: TownDataConfig, stage: str) -> _Moments:
        town = collect_town_samples(config, features, settings.seed, progress, stage)
        return _Moments(town.samples, partial(SimulatedRewards, town.scenes))

    return (
        made(settings.town, "town"),
        made(settings.calibration, "calibration"),
        made(settings.held_out, "held-out"),
    )


def load_imagenet_into(model: PairModel, path: Path) -> None:
    """Let the camera encoders of both branches start from ImageNet's weights."""
    for backbone in (model.imitation.backbone, model.reinforcement.backbone):
        if backbone is not None:
            load_imagenet(backbone.camera, path)


def keep_better(
    branch: ReinforcementBranch, earlier: Mapping[str, Tensor], before: Calibration, after: Calibration
) -> Calibration:
    """Put a branch back to its earlier weights if it planned better with them; answers the calibration that holds."""
    if max(after.scores) >= max(before.scores):
        return after
    branch.load_state_dict(earlier)
    return before


def _description(
    settings: TrainingSettings,
    command: str,
    calibrations: Mapping[str, Calibration],
    results: Mapping[str, Mapping[str, PlannerResult]],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """How the checkpoint was made and what it reached; the model's own sizes stand beside it."""
    return {
        **origin_of(settings, command),
        "calibrations": {stage: asdict(calibration) for stage, calibration in calibrations.items()},
        "held_out": {name: {k: asdict(v) for k, v in table.items()} for name, table in results.items()},
        "seconds": dict(seconds),
    }
