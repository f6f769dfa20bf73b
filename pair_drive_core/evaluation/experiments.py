"""Schemes and imitation policies on the same shards, with the same number of steps: one run, one small JSON.

A run that is in the results is not made again; one that was killed goes on from the states of its stages.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.evaluation.town_agents import TownAgent, plan_agents
from pair_drive_core.models.bounds import AT_LEAST_ONE, Bound, require_bounds
from pair_drive_core.models.checkpoint import load_checkpoint, save_checkpoint
from pair_drive_core.models.diffusion_drive import DiffusionDriveConfig
from pair_drive_core.models.ego_status import EgoStatusConfig
from pair_drive_core.models.imitation_policies import ImitationPolicyConfig
from pair_drive_core.models.pair_model import PairConfig, PairModel
from pair_drive_core.models.reward_world_model import RewardFormula
from pair_drive_core.models.transfuser import TransFuserConfig
from pair_drive_core.policies.joining import join_models
from pair_drive_core.training.loop import FolderRunner
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.samples import ordered_batches
from pair_drive_core.training.schemes import SCHEMES, PlanBy, Scheme, SchemeInputs, SchemeSettings
from pair_drive_core.training.shard_samples import ShardSamples
from pair_drive_core.training.simulated_rewards import SimulatedRewards
from pair_drive_core.training.tree_evaluation import calibrate, grow_scenes

TOTALS = ("PDMS", "EPDMS")


class Policy(str, Enum):
    """Which imitation policy."""

    TRANSFUSER = "transfuser"
    LATENT_TRANSFUSER = "latent_transfuser"
    DIFFUSION_DRIVE = "diffusion_drive"
    EGO_STATUS = "ego_status"


@dataclass(frozen=True)
class ExperimentSettings:
    """What all runs share.

    Attributes:
        threads: of torch.
        folder: of states and checkpoints, which are not kept.
        train: folder of the shards to learn from.
        calibration: folder of the shards for the margin.
        held_out: folder of the shards that are reported on.
        towns: of `train`, learnt from.
        calibration_towns: of `calibration`.
        held_out_towns: of `held_out`.
        model: both branches, with TransFuser; the other policies take its sizes.
        schemes: the stages, and the budget that all schemes have.
        anchors: of DiffusionDrive.
        save_every: updates between two states.
    """

    threads: int = 1
    folder: str = "out/experiments"
    train: str = "out/nano_fine/train"
    calibration: str = "out/nano_fine/calibration"
    held_out: str = "out/nano_fine/held_out"
    towns: int = 12
    calibration_towns: int = 7
    held_out_towns: int = 15
    model: PairConfig = field(default_factory=PairConfig)
    schemes: SchemeSettings = field(default_factory=SchemeSettings)
    anchors: int = 20
    save_every: int = 100

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "threads": AT_LEAST_ONE,
        "towns": AT_LEAST_ONE,
        "calibration_towns": AT_LEAST_ONE,
        "held_out_towns": AT_LEAST_ONE,
        "anchors": AT_LEAST_ONE,
        "save_every": AT_LEAST_ONE,
    }

    def __post_init__(self) -> None:
        require_bounds(self)

    def policy(self, policy: Policy) -> ImitationPolicyConfig:
        """An imitation policy of the model's sizes."""
        base = self.model.imitation
        if not isinstance(base, TransFuserConfig):
            raise ValueError(f"model.imitation.kind: expected transfuser, got {base.kind}")
        features = self.model.features
        if policy is Policy.LATENT_TRANSFUSER:
            return replace(base, backbone=replace(base.backbone, latent_lidar_px=features.lidar_size_px))
        if policy is Policy.EGO_STATUS:
            return EgoStatusConfig()
        if policy is Policy.DIFFUSION_DRIVE:
            return DiffusionDriveConfig(
                backbone=base.backbone,
                anchors=self.anchors,
                layers=base.decoder_layers,
                heads=base.decoder_heads,
                feed_forward=base.decoder_feed_forward,
                range_m=features.lidar_range_m,
                ahead_m=features.lidar_ahead_m,
            )
        return base


@dataclass(frozen=True)
class Experiment:
    """One run.

    Attributes:
        scheme: how it is trained; None joins the policy's `il` run and the `parallel` run, training nothing.
        policy: what imitates.
        seed: of all randomness.
    """

    scheme: Scheme | None
    policy: Policy
    seed: int

    @property
    def name(self) -> str:
        """Of the JSON and the checkpoint."""
        kind = "pair_on" if self.scheme is None else self.scheme.value
        return f"{kind}.{self.policy.value}.seed{self.seed}"


def all_experiments(seeds: Sequence[int]) -> list[Experiment]:
    """Every scheme with TransFuser, every policy by imitation, and PaIR on each without retraining."""
    found: list[Experiment] = []
    for seed in seeds:
        found += [Experiment(scheme, Policy.TRANSFUSER, seed) for scheme in Scheme]
        others = [policy for policy in Policy if policy is not Policy.TRANSFUSER]
        found += [Experiment(Scheme.IL, policy, seed) for policy in others]
        found += [Experiment(None, policy, seed) for policy in Policy]
    return found


def run_experiment(
    experiment: Experiment,
    settings: ExperimentSettings,
    results: Path,
    about: Mapping[str, Any],
    progress: Progress = silent,
) -> Path:
    """Make a run that is not in the results yet.

    Args:
        experiment: which.
        settings: what all share.
        results: folder of the JSONs.
        about: what else the JSON says, such as command and commit.
        progress: is told of every update.

    Returns:
        The JSON.

    Raises:
        FileNotFoundError: if a run that this one joins was not made.
    """
    path = results / f"{experiment.name}.json"
    if path.is_file():
        return path
    torch.set_num_threads(settings.threads)
    torch.manual_seed(experiment.seed)
    started = time.perf_counter()
    history: Mapping[str, list[float]] = {}
    if experiment.scheme is None:
        parts = (Experiment(Scheme.IL, experiment.policy, experiment.seed).name, _parallel(experiment.seed).name)
        model, agent = join_models(*(load_checkpoint(_checkpoint(settings, name)).model for name in parts)), PlanBy.PAIR
    else:
        model, agent, history = _train(experiment.scheme, experiment, settings, progress)
    trained = time.perf_counter() - started
    report = {
        "name": experiment.name,
        "scheme": "joined" if experiment.scheme is None else experiment.scheme.value,
        "policy": experiment.policy.value,
        "seed": experiment.seed,
        **about,
        "torch": torch.__version__,
        "threads": settings.threads,
        "moments": len(_shards(settings.train, settings.towns)),
        "budget": settings.schemes.budget,
        "weights": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": round(trained, 1),
        "margin": model.config.join.margin,
        "history": {stage: [round(value, 4) for value in values] for stage, values in history.items()},
        "held_out": _judge(model, agent, _shards(settings.held_out, settings.held_out_towns)),
    }
    results.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (json.dumps(report, sort_keys=True) + "\n").encode())
    return path


def _parallel(seed: int) -> Experiment:
    return Experiment(Scheme.PARALLEL, Policy.TRANSFUSER, seed)


def _checkpoint(settings: ExperimentSettings, name: str) -> Path:
    return Path(settings.folder) / name / "model.safetensors"


def _shards(folder: str, towns: int) -> ShardSamples:
    return ShardSamples.of_folder(Path(folder), towns)


def _train(
    scheme: Scheme, experiment: Experiment, settings: ExperimentSettings, progress: Progress
) -> tuple[PairModel, PlanBy, Mapping[str, list[float]]]:
    """Train, find the margin, keep the checkpoint."""
    samples = _shards(settings.train, settings.towns)
    model = PairModel(replace(settings.model, imitation=settings.policy(experiment.policy)))
    generator = torch.Generator().manual_seed(experiment.seed)
    model.imitation.prepare(samples.human, generator)
    formula = settings.model.reinforcement.reward.formula
    rewards = SimulatedRewards([samples.scene(i) for i in range(len(samples))], formula, progress)
    runner = FolderRunner(Path(settings.folder) / experiment.name, settings.save_every)
    result = SCHEMES[scheme](SchemeInputs(model, samples, rewards, settings.schemes, generator, progress, runner))
    model.eval()
    if result.plan_by is not PlanBy.IMITATION:
        grown = grow_scenes(model, _shards(settings.calibration, settings.calibration_towns), progress)
        model.config = replace(model.config, join=replace(model.config.join, margin=calibrate(grown)[0]))
    save_checkpoint(_checkpoint(settings, experiment.name), model, {"experiment": experiment.name})
    return model, result.plan_by, result.history


@torch.inference_mode()
def _judge(model: PairModel, agent: PlanBy, samples: ShardSamples) -> dict[str, dict[str, Any]]:
    """Scores of the scheme's plan, of the imitation plan behind it and of the human, for each moment."""
    wanted = dict.fromkeys((TownAgent.HUMAN, TownAgent.IMITATION, TownAgent(agent.value)))
    scored: dict[TownAgent, list[Tensor]] = {who: [] for who in wanted}
    for index in ordered_batches(len(samples), 20):
        scenes = [samples.scene(int(i)) for i in index]
        references = torch.zeros(len(index), 1, 3)
        plans = plan_agents(list(wanted), scenes, samples.features(index), references, model).plans
        every = torch.arange(len(index))
        both = [SimulatedRewards(scenes, formula) for formula in RewardFormula]
        for who, plan in plans.items():
            scored[who].append(torch.stack([score(every, plan.unsqueeze(1)).total[:, 0] for score in both], dim=1))
    report: dict[str, dict[str, Any]] = {}
    for who, parts in scored.items():
        totals = torch.cat(parts)
        name = "plan" if who.value == agent.value else who.value
        report[name] = {
            label: {"mean": round(float(column.mean()), 4), "scenes": [round(v, 3) for v in column.tolist()]}
            for label, column in zip(TOTALS, totals.unbind(1), strict=True)
        }
    return report
