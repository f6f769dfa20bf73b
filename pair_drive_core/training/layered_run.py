"""One training from nothing to a checkpoint whose reward model reads imagined layers.

Town shards; one backbone that learns to plan and to imagine; a copy of it for the reinforcement branch; candidates
scored by the exact metric; a head that learns to read what the backbone imagines of them; margin; report. Every stage
goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from pair_drive_core.models.checkpoint import load_checkpoint, save_checkpoint
from pair_drive_core.models.pair_model import PairConfig, PairModel
from pair_drive_core.models.reward_world_model import RewardReader
from pair_drive_core.models.transfuser import TransFuser, TransFuserConfig
from pair_drive_core.training.candidate_scores import CandidateConfig, score_candidates
from pair_drive_core.training.imagined import imagine_all
from pair_drive_core.training.loop import FolderRunner, Runner
from pair_drive_core.training.perception import PerceptionConfig, PerceptionTask
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.reading import ReadingConfig, train_reading
from pair_drive_core.training.run import Watch, origin_of
from pair_drive_core.training.shard_samples import ShardSamples
from pair_drive_core.training.town_shards import MomentConfig, ShardConfig, make_shards
from pair_drive_core.training.trainer_config import TrainerConfig
from pair_drive_core.training.tree_evaluation import PlannerMeans, calibrate, compare, grow_scenes
from pair_drive_core.training.warm_start import take_over, take_over_reinforcement


@dataclass(frozen=True)
class TownRange:
    """Towns by number.

    Attributes:
        first_layout: number of the first street plan.
        towns: how many.
        scenes_a_town: moments taken of each.
        life: seed of their traffic.
    """

    first_layout: int = 0
    towns: int = 144
    scenes_a_town: int = 48
    life: int = 0


@dataclass(frozen=True)
class LayeredSettings:
    """Everything.

    Attributes:
        seed: of all randomness.
        threads: of torch, and processes that make shards.
        folder: of shards and states.
        checkpoint: to write.
        start: checkpoint whose imitation branch training starts from (`take_over`); empty starts from nothing.
        model: both branches. A reward model that reads tokens comes, with its whole branch, from `start`: a new
            imitation policy without retraining reinforcement (paper section 3.4).
        moments: how moments are taken and shown; towns of calibration and report show nobody displaced.
        town: towns that are learnt from.
        calibration: towns for the margin.
        held_out: towns for the report.
        perception: training of the backbone.
        reading_towns: towns whose moments the reward model learns to read.
        candidates: what it learns from.
        reading: its training.
        trainer: precision and processes of the backbone's training; its states come every `perception.save_every`.
    """

    seed: int = 0
    threads: int = 2
    folder: str = "out/nano"
    checkpoint: str = "out/nano/pair.safetensors"
    start: str = ""
    model: PairConfig = field(default_factory=PairConfig)
    moments: MomentConfig = field(default_factory=MomentConfig)
    town: TownRange = field(default_factory=TownRange)
    calibration: TownRange = field(default_factory=lambda: TownRange(40_000, 14, 30))
    held_out: TownRange = field(default_factory=lambda: TownRange(50_000, 15, 40))
    perception: PerceptionConfig = field(default_factory=PerceptionConfig)
    reading_towns: int = 72
    candidates: CandidateConfig = field(default_factory=CandidateConfig)
    reading: ReadingConfig = field(default_factory=ReadingConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    def __post_init__(self) -> None:
        if self.reads_layers and self.model.imitation.backbone != self.model.reinforcement.backbone:
            raise ValueError("model: expected the same backbone in both branches, since one is a copy of the other")
        if not self.reads_layers and not self.start:
            raise ValueError("start: expected a checkpoint whose reward model reads tokens, got none")
        if not isinstance(self.model.imitation, TransFuserConfig):
            raise ValueError(f"model.imitation.kind: expected transfuser, got {self.model.imitation.kind}")
        if self.model.imitation.backbone.world_width < 1:
            raise ValueError("model.imitation.backbone.world_width: expected at least 1, got 0")
        if not 1 <= self.reading_towns <= self.town.towns:
            raise ValueError(f"reading_towns: expected 1 to {self.town.towns}, got {self.reading_towns}")

    @property
    def reads_layers(self) -> bool:
        """Whether the reward model learns to read what the backbone imagines."""
        return self.model.reinforcement.reward.reader.reads_layers


@dataclass(frozen=True)
class LayeredReport:
    """What came of it.

    Attributes:
        checkpoint: the file written.
        results: on the held-out towns, by planner.
        seconds: by stage.
        parameters: number of weights.
    """

    checkpoint: Path
    results: Mapping[str, PlannerMeans]
    seconds: Mapping[str, float]
    parameters: int


def train_layered(
    settings: LayeredSettings, command: str, progress: Progress = silent, runner: Runner | None = None
) -> LayeredReport:
    """Train and write the checkpoint.

    Args:
        settings: everything.
        command: what was typed, for the checkpoint's description.
        progress: is told of every step.
        runner: takes the backbone's updates to their end; None keeps their state in the folder.
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    watch = Watch()
    town = _shards(settings, settings.town, "train", settings.moments, progress)
    calm = replace(settings.moments, displaced_share=0.0)
    calibration = _shards(settings, settings.calibration, "calibration", calm, progress)
    held_out = _shards(settings, settings.held_out, "held_out", calm, progress)
    watch.note("shards")
    model = PairModel(settings.model)
    earlier = load_checkpoint(Path(settings.start)).model if settings.start else None
    if earlier is not None:
        take_over(model, earlier)
    runner = runner or FolderRunner(Path(settings.folder), settings.perception.save_every)
    network = transfuser_of(model)
    runner(PerceptionTask(network, town, settings.perception), settings.seed, progress)
    watch.note("perception")
    if settings.reads_layers:
        model.reinforcement.backbone.load_state_dict(network.backbone.state_dict())
        teach_reading(model, ShardSamples(town.folders[: settings.reading_towns]), settings, progress)
    elif earlier is not None:
        take_over_reinforcement(model, earlier)
    watch.note("reading")
    grown = grow_scenes(model, calibration, progress)
    margin, scores = calibrate(grown)
    model.config = replace(model.config, join=replace(model.config.join, margin=margin))
    results = compare(grow_scenes(model, held_out, progress), margin)
    watch.note("evaluation")
    path = Path(settings.checkpoint)
    save_checkpoint(path, model, describe(settings, command, scores, results, watch.seconds))
    return LayeredReport(path, results, watch.seconds, sum(p.numel() for p in model.parameters()))


def transfuser_of(model: PairModel) -> TransFuser:
    """The imitation branch of a model whose settings say that it is TransFuser."""
    assert isinstance(model.imitation, TransFuser)
    return model.imitation


def teach_reading(
    model: PairModel, samples: ShardSamples, settings: LayeredSettings, progress: Progress = silent
) -> list[float]:
    """Train the reward model of a model whose backbone is trained; answers its loss by epoch."""
    reward = settings.model.reinforcement.reward
    with_features = reward.reader is RewardReader.BOTH
    imagined = imagine_all(transfuser_of(model), samples, with_features=with_features, progress=progress)
    formula = reward.formula
    candidates = score_candidates(samples, imagined.plans, formula, settings.candidates, progress)
    generator = torch.Generator().manual_seed(settings.seed)
    return train_reading(model.reinforcement.reward, imagined, candidates, settings.reading, generator, progress)


def describe(
    settings: LayeredSettings,
    command: str,
    margins: Mapping[float, float],
    results: Mapping[str, PlannerMeans],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """How the checkpoint was made and what it reached; the model's own sizes stand beside it."""
    return {
        **origin_of(settings, command),
        "margins": {f"{margin:g}": score for margin, score in margins.items()},
        "held_out": {name: asdict(means) for name, means in results.items()},
        "seconds": dict(seconds),
    }


def _shards(
    settings: LayeredSettings, towns: TownRange, name: str, moments: MomentConfig, progress: Progress
) -> ShardSamples:
    config = ShardConfig(
        towns.first_layout,
        towns.towns,
        towns.life,
        replace(moments, scenes_a_town=towns.scenes_a_town),
        settings.model.features,
    )
    root = Path(settings.folder) / name
    make_shards(root, config, settings.threads, lambda done, total: progress(f"shards {name}", done, total, {}))
    return ShardSamples.of_folder(root, towns.towns)
