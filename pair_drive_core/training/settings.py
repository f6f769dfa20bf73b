"""Everything that one training is told, and where it is read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pair_drive_core.models.bounds import AT_LEAST_ZERO, Bound, require_bounds
from pair_drive_core.models.configuration import ConfigurationError, config_from_mapping
from pair_drive_core.models.pair_model import PairConfig
from pair_drive_core.town.data.splits import TownSplit
from pair_drive_core.training.imitation import ImitationConfig
from pair_drive_core.training.navsim_samples import NavsimTrainingData
from pair_drive_core.training.reinforcement import ReinforcementTrainingConfig
from pair_drive_core.training.reward_model import RewardModelTrainingConfig
from pair_drive_core.training.town_samples import TownDataConfig
from pair_drive_core.training.trainer_config import TrainerConfig


@dataclass(frozen=True)
class TrainingSettings:
    """One training of both branches on town scenes.

    Attributes:
        seed: of weights, data and every draw; the same seed gives the same checkpoint on the same machine.
        threads: of torch; a different number can change the last digits.
        checkpoint: file to write.
        model: sizes.
        town: moments to learn from.
        calibration: moments of other towns, to find the margin of the join.
        held_out: moments of yet other towns, to report on.
        copy_backbone: whether the reinforcement branch's backbone starts from a copy of the trained imitation branch's
            weights instead of from chance; from there on the two are trained apart.
        imitation: training of the imitation branch.
        reward_model: training of the reward world model, before reinforcement.
        reinforcement: training of the tree sampler.
        navsim: a NAVSIM data set that takes the place of all three; None takes towns.
        imagenet: file of ResNet weights with torchvision's names that the camera encoders start from; empty for none.
        trainer: precision, processes, states on disk.
    """

    seed: int = 0
    threads: int = 1
    checkpoint: str = "out/train/pair.safetensors"
    model: PairConfig = field(default_factory=PairConfig)
    town: TownDataConfig = field(default_factory=TownDataConfig)
    calibration: TownDataConfig = field(default_factory=lambda: TownDataConfig(TownSplit.VAL, scenes=300))
    held_out: TownDataConfig = field(default_factory=lambda: TownDataConfig(TownSplit.TEST, scenes=400))
    copy_backbone: bool = True
    imitation: ImitationConfig = field(default_factory=ImitationConfig)
    reward_model: RewardModelTrainingConfig = field(default_factory=RewardModelTrainingConfig)
    reinforcement: ReinforcementTrainingConfig = field(default_factory=ReinforcementTrainingConfig)
    navsim: NavsimTrainingData | None = None
    imagenet: str = ""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)

    BOUNDS: ClassVar[Mapping[str, Bound]] = {"seed": AT_LEAST_ZERO, "threads": Bound(1, 1024)}

    def __post_init__(self) -> None:
        require_bounds(self)


def read_settings(path: Path, overrides: Sequence[str] = ()) -> TrainingSettings:
    """Read a YAML file and apply `key.subkey=value` overrides; see `read_mapping`."""
    return config_from_mapping(TrainingSettings, read_mapping(path, overrides))


def read_mapping(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The settings of a YAML file after `key.subkey=value` overrides, as plain values.

    Raises:
        FileNotFoundError: if there is no such file.
        ConfigurationError: naming what does not fit.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no settings at {path}")
    wrong = [text for text in overrides if "=" not in text]
    if wrong:
        raise ConfigurationError(f"overrides: expected key=value, got {wrong[0]!r}")
    try:
        loaded = OmegaConf.load(path)
        if not isinstance(loaded, DictConfig):
            raise ConfigurationError(f"{path}: expected a group of settings, got a list")
        merged = OmegaConf.merge(loaded, OmegaConf.from_dotlist(list(overrides)))
        values: Any = OmegaConf.to_container(merged, resolve=True)
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigurationError(f"{path}: {error}") from None
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: expected a group of settings, got {type(values).__name__}")
    return {str(key): value for key, value in values.items()}
