"""Schemes and imitation policies on the same moments, with the same number of steps: one run, one small JSON.

A run that is in the results is not made again; one that was killed goes on from the states of its stages.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.evaluation.town_agents import TownAgent, plan_agents
from pair_drive_core.models.bounds import AT_LEAST_ONE, AT_LEAST_ZERO, Bound, require_bounds
from pair_drive_core.models.checkpoint import load_checkpoint, save_checkpoint
from pair_drive_core.models.diffusion_drive import DiffusionDriveConfig
from pair_drive_core.models.ego_status import EgoStatusConfig
from pair_drive_core.models.imitation_policies import ImitationPolicyConfig
from pair_drive_core.models.pair_model import JoinConfig, PairConfig, PairModel
from pair_drive_core.models.reward_world_model import RewardFormula, head_names
from pair_drive_core.models.transfuser import TransFuser, TransFuserConfig
from pair_drive_core.policies.joining import join_models
from pair_drive_core.scene import Scene
from pair_drive_core.training.imagined import ImaginedSamples, SeenSamples, imagine_all, load_imagined, save_imagined
from pair_drive_core.training.loop import FolderRunner
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.samples import ordered_batches
from pair_drive_core.training.schemes import SCHEMES, PlanBy, Scheme, SchemeInputs, SchemeSettings
from pair_drive_core.training.shard_samples import ShardSamples
from pair_drive_core.training.simulated_rewards import SimulatedRewards
from pair_drive_core.training.tree_evaluation import GrownScenes, calibrate, grow_scenes

TOTALS = ("PDMS", "EPDMS")
GIVEN = (TownAgent.HUMAN, TownAgent.CONSTANT_VELOCITY, TownAgent.PDM_CLOSED)
"""Agents that learn nothing."""


class Policy(str, Enum):
    """Which imitation policy; the human's own plans stand in for one where nothing is trained."""

    TRANSFUSER = "transfuser"
    LATENT_TRANSFUSER = "latent_transfuser"
    DIFFUSION_DRIVE = "diffusion_drive"
    EGO_STATUS = "ego_status"
    HUMAN = "human"


@dataclass(frozen=True)
class ExperimentSettings:
    """What all runs share.

    Attributes:
        threads: of torch.
        folder: of states and checkpoints, which are not kept.
        train: folder of the shards to learn from.
        calibration: folder of the shards for the margin.
        held_out: folder of the shards that are reported on.
        first_town: place of the first shard of `train` that is learnt from.
        towns: of `train`, learnt from.
        calibration_towns: of `calibration`.
        held_out_towns: of `held_out`.
        perception: checkpoint whose imitation branch's backbone all runs share and none trains, and whose sizes they
            have; what it makes of all moments is computed once. Empty trains every backbone.
        model: both branches, with TransFuser, where there is no `perception`; the other policies take its sizes.
        join: how the branches are joined; margins are calibrated, one a policy.
        schemes: the stages, and the budget that all schemes have.
        anchors: of DiffusionDrive.
        save_every: updates between two states.
    """

    threads: int = 1
    folder: str = "out/experiments"
    train: str = "out/nano_fine/train"
    calibration: str = "out/nano_fine/calibration"
    held_out: str = "out/nano_fine/held_out"
    first_town: int = 0
    towns: int = 12
    calibration_towns: int = 7
    held_out_towns: int = 15
    perception: str = ""
    model: PairConfig = field(default_factory=PairConfig)
    join: JoinConfig = field(default_factory=JoinConfig)
    schemes: SchemeSettings = field(default_factory=SchemeSettings)
    anchors: int = 20
    save_every: int = 100

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "threads": AT_LEAST_ONE,
        "first_town": AT_LEAST_ZERO,
        "towns": AT_LEAST_ONE,
        "calibration_towns": AT_LEAST_ONE,
        "held_out_towns": AT_LEAST_ONE,
        "anchors": AT_LEAST_ONE,
        "save_every": AT_LEAST_ONE,
    }

    def __post_init__(self) -> None:
        require_bounds(self)


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


def all_experiments(seeds: Sequence[int], shared_perception: bool = False) -> list[Experiment]:
    """Every scheme with TransFuser, every policy by imitation, and PaIR on each without retraining.

    Args:
        seeds: one set of runs each.
        shared_perception: leaves out the policy that looks at other inputs and so needs a backbone of its own.
    """
    trained = [policy for policy in Policy if policy is not Policy.HUMAN]
    if shared_perception:
        trained.remove(Policy.LATENT_TRANSFUSER)
    found: list[Experiment] = []
    for seed in seeds:
        found += [Experiment(scheme, Policy.TRANSFUSER, seed) for scheme in Scheme]
        found += [Experiment(Scheme.IL, policy, seed) for policy in trained if policy is not Policy.TRANSFUSER]
        found += [Experiment(None, policy, seed) for policy in (*trained, Policy.HUMAN)]
    return found


@dataclass(frozen=True)
class Moments:
    """Moments and their simulation.

    Attributes:
        samples: what networks learn from or are judged in.
    """

    samples: ShardSamples | SeenSamples

    def __len__(self) -> int:
        """Number of moments."""
        return len(self.samples)

    @cached_property
    def scenes(self) -> list[Scene]:
        """Of all moments."""
        return [self.samples.scene(i) for i in range(len(self.samples))]

    @cached_property
    def pdms(self) -> SimulatedRewards:
        """PDMS."""
        return SimulatedRewards(self.scenes, RewardFormula.PDMS)

    @cached_property
    def epdms(self) -> SimulatedRewards:
        """EPDMS, human filter off."""
        return SimulatedRewards(self.scenes, RewardFormula.EPDMS)

    @property
    def both(self) -> tuple[SimulatedRewards, SimulatedRewards]:
        """In the order of `TOTALS`."""
        return self.pdms, self.epdms


class Laboratory:
    """What the runs of one process share, made when it is asked for first.

    Args:
        settings: of all runs.
        progress: is told what takes time.
    """

    def __init__(self, settings: ExperimentSettings, progress: Progress = silent) -> None:
        self.settings, self._progress = settings, progress

    @cached_property
    def train(self) -> Moments:
        """Moments to learn from."""
        settings = self.settings
        return self._moments("train", settings.train, settings.first_town, settings.towns)

    @cached_property
    def calibration(self) -> Moments:
        """Moments for margins."""
        return self._moments("calibration", self.settings.calibration, 0, self.settings.calibration_towns)

    @cached_property
    def held_out(self) -> Moments:
        """Moments that are reported on."""
        return self._moments("held_out", self.settings.held_out, 0, self.settings.held_out_towns)

    @cached_property
    def perception(self) -> PairModel | None:
        """Whose backbone looks for all."""
        return load_checkpoint(Path(self.settings.perception)).model if self.settings.perception else None

    @cached_property
    def perception_digest(self) -> str:
        """Which backbone looks for all; empty where each has its own."""
        path = self.settings.perception
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] if path else ""

    @property
    def config(self) -> PairConfig:
        """Of both branches, with TransFuser."""
        sizes = self.settings.model if self.perception is None else self.perception.config
        return replace(sizes, join=self.settings.join)

    def build(self, policy: Policy) -> PairModel:
        """Both branches, not trained, with the shared backbone where there is one."""
        config = self.config
        model = PairModel(replace(config, imitation=_policy(config, policy, self.settings.anchors)))
        if self.perception is not None and self.perception.imitation.backbone is not None:
            for branch in (model.imitation, model.reinforcement):
                self._share(branch.backbone, self.perception.imitation.backbone)
        return model

    @staticmethod
    def _share(backbone: nn.Module | None, shared: nn.Module) -> None:
        if backbone is not None:
            backbone.load_state_dict(shared.state_dict())
            backbone.requires_grad_(requires_grad=False)

    def _moments(self, name: str, folder: str, first: int, towns: int) -> Moments:
        shards = ShardSamples(ShardSamples.folders_of(Path(folder))[first : first + towns])
        return Moments(shards if self.perception is None else SeenSamples(shards, self._imagined(name, shards)))

    def _imagined(self, name: str, shards: ShardSamples) -> ImaginedSamples:
        assert self.perception is not None
        if not isinstance(self.perception.imitation, TransFuser):
            raise ValueError(f"perception: expected a checkpoint of transfuser, got {self.settings.perception}")
        of = f"{self.perception_digest} {shards.folders[0].name} to {shards.folders[-1].name}, {len(shards)} moments"
        path = Path(self.settings.folder) / "seen" / f"{name}.safetensors"
        if not path.is_file():
            network = self.perception.imitation
            save_imagined(path, imagine_all(network, shards, with_features=True, progress=self._progress), of)
        return load_imagined(path, of)


def _transfuser(config: PairConfig) -> TransFuserConfig:
    if not isinstance(config.imitation, TransFuserConfig):
        raise ValueError(f"model.imitation.kind: expected transfuser, got {config.imitation.kind}")
    return config.imitation


def _policy(config: PairConfig, policy: Policy, anchors: int) -> ImitationPolicyConfig:
    """An imitation policy of the model's sizes."""
    base, features = _transfuser(config), config.features
    if policy is Policy.LATENT_TRANSFUSER:
        return replace(base, backbone=replace(base.backbone, latent_lidar_px=features.lidar_size_px))
    if policy is Policy.EGO_STATUS:
        return EgoStatusConfig()
    if policy is Policy.DIFFUSION_DRIVE:
        return DiffusionDriveConfig(
            backbone=base.backbone,
            anchors=anchors,
            layers=base.decoder_layers,
            heads=base.decoder_heads,
            feed_forward=base.decoder_feed_forward,
            range_m=features.lidar_range_m,
            ahead_m=features.lidar_ahead_m,
        )
    return base


def run_experiment(
    experiment: Experiment,
    laboratory: Laboratory,
    results: Path,
    about: Mapping[str, Any],
    progress: Progress = silent,
) -> Path:
    """Make a run that is not in the results yet.

    Args:
        experiment: which.
        laboratory: what all share.
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
    settings = laboratory.settings
    torch.set_num_threads(settings.threads)
    torch.manual_seed(experiment.seed)
    started = time.perf_counter()
    history: Mapping[str, list[float]] = {}
    if experiment.scheme is None:
        model, agent = _joined(experiment, settings), PlanBy.PAIR
    else:
        model, agent, history = _train(experiment.scheme, experiment, laboratory, progress)
    who = TownAgent.HUMAN_PAIR if experiment.policy is Policy.HUMAN else TownAgent(agent.value)
    margin = 0.0
    if agent is not PlanBy.IMITATION:
        margin = calibrate(_grown(model, laboratory.calibration, experiment.policy))[0]
        model.config = replace(model.config, join=replace(model.config.join, margin=margin))
    if experiment.scheme is not None:
        save_checkpoint(_checkpoint(settings, experiment.name), model, {"experiment": experiment.name})
    report = {
        "name": experiment.name,
        "scheme": "joined" if experiment.scheme is None else experiment.scheme.value,
        "policy": experiment.policy.value,
        "seed": experiment.seed,
        **_shared_facts(laboratory, about),
        "weights": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        "seconds": round(time.perf_counter() - started, 1),
        "margin": margin,
        "history": {stage: [round(value, 4) for value in values] for stage, values in history.items()},
        "held_out": _judge(model, who, laboratory.held_out),
    }
    return _write(path, report)


def judge_given(laboratory: Laboratory, results: Path, about: Mapping[str, Any]) -> list[Path]:
    """Score, on the same moments, those who learn nothing; one JSON each."""
    torch.set_num_threads(laboratory.settings.threads)
    paths: list[Path] = []
    for agent in GIVEN:
        path = results / f"given.{agent.value}.json"
        paths.append(path)
        if path.is_file():
            continue
        report = {
            "name": path.stem,
            "scheme": "given",
            "policy": agent.value,
            "seed": 0,
            **_shared_facts(laboratory, about),
            "budget": 0,
            "seconds": 0.0,
            "held_out": _judge(None, agent, laboratory.held_out),
        }
        _write(path, report)
    return paths


def _shared_facts(laboratory: Laboratory, about: Mapping[str, Any]) -> dict[str, Any]:
    settings = laboratory.settings
    return {
        **about,
        "torch": torch.__version__,
        "threads": settings.threads,
        "perception": laboratory.perception_digest,
        "moments": len(laboratory.train),
        "budget": settings.schemes.budget,
    }


def _write(path: Path, report: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, (json.dumps(report, sort_keys=True) + "\n").encode())
    return path


def _parallel(seed: int) -> Experiment:
    return Experiment(Scheme.PARALLEL, Policy.TRANSFUSER, seed)


def _checkpoint(settings: ExperimentSettings, name: str) -> Path:
    return Path(settings.folder) / name / "model.safetensors"


def _joined(experiment: Experiment, settings: ExperimentSettings) -> PairModel:
    """The branch of the parallel run behind a policy, nothing trained again."""
    branch = load_checkpoint(_checkpoint(settings, _parallel(experiment.seed).name)).model
    if experiment.policy is Policy.HUMAN:
        return branch
    own = Experiment(Scheme.IL, experiment.policy, experiment.seed).name
    return join_models(load_checkpoint(_checkpoint(settings, own)).model, branch)


def _train(
    scheme: Scheme, experiment: Experiment, laboratory: Laboratory, progress: Progress
) -> tuple[PairModel, PlanBy, Mapping[str, list[float]]]:
    settings, moments = laboratory.settings, laboratory.train
    formula = laboratory.config.reinforcement.reward.formula
    model = laboratory.build(experiment.policy)
    generator = torch.Generator().manual_seed(experiment.seed)
    model.imitation.prepare(moments.samples.human, generator)
    rewards = moments.pdms if formula is RewardFormula.PDMS else moments.epdms
    runner = FolderRunner(Path(settings.folder) / experiment.name, settings.save_every)
    inputs = SchemeInputs(model, moments.samples, rewards, settings.schemes, generator, progress, runner)
    result = SCHEMES[scheme](inputs)
    return model.eval(), result.plan_by, result.history


def _grown(model: PairModel, moments: Moments, policy: Policy) -> GrownScenes:
    reference = "human" if policy is Policy.HUMAN else "imitation"
    return grow_scenes(model, moments.samples, reference=reference, rewards=moments.both)


@torch.inference_mode()
def _judge(model: PairModel | None, agent: TownAgent, moments: Moments) -> dict[str, dict[str, Any]]:
    """Scores of an agent's plan, of the imitation plan behind it and of the human, for each moment."""
    wanted = {"human": TownAgent.HUMAN, **({} if model is None else {"imitation": TownAgent.IMITATION}), "plan": agent}
    scored: dict[str, list[Tensor]] = {name: [] for name in wanted}
    parts: dict[str, list[Tensor]] = {name: [] for name in wanted}
    samples = moments.samples
    for index in ordered_batches(len(samples), 20):
        scenes = [moments.scenes[int(i)] for i in index]
        references = torch.stack([scene.reference for scene in scenes if scene.reference is not None])
        plans = plan_agents(list(wanted.values()), scenes, samples.features(index), references, model).plans
        for name, who in wanted.items():
            both = [score(index, plans[who].unsqueeze(1)) for score in moments.both]
            scored[name].append(torch.stack([rewards.total[:, 0] for rewards in both], dim=1))
            parts[name].append(both[-1].sub_scores[:, 0])
    heads = head_names(RewardFormula.EPDMS)
    return {
        name: {
            **{
                label: {"mean": round(float(column.mean()), 4), "scenes": [round(v, 3) for v in column.tolist()]}
                for label, column in zip(TOTALS, torch.cat(totals).unbind(1), strict=True)
            },
            "sub_scores": {
                head: round(value, 4)
                for head, value in zip(heads, torch.cat(parts[name]).mean(0).tolist(), strict=True)
            },
        }
        for name, totals in scored.items()
    }
