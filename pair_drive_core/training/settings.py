"""Everything that one training is told, and where it is read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml
from omegaconf import OmegaConf
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

    A file may start from another one: `base: FILE`, relative to it, whose settings it changes. A group of another
    `kind` takes the place of the whole group, since it has other settings.

    Raises:
        FileNotFoundError: if there is no such file.
        ConfigurationError: naming what does not fit.
    """
    wrong = [text for text in overrides if "=" not in text]
    if wrong:
        raise ConfigurationError(f"overrides: expected key=value, got {wrong[0]!r}")
    try:
        merged = _read(path, ())
        changes = OmegaConf.to_container(OmegaConf.from_dotlist(list(overrides)))
        values: Any = OmegaConf.to_container(OmegaConf.create(_merged(merged, changes)), resolve=True)
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigurationError(f"{path}: {error}") from None
    return {str(key): value for key, value in values.items()}


def _read(path: Path, followed: tuple[Path, ...]) -> dict[Any, Any]:
    """A file's settings over those of its base, interpolations not resolved yet."""
    if not path.is_file():
        raise FileNotFoundError(f"no settings at {path}")
    if path.resolve() in followed:
        raise ConfigurationError(f"{path}: expected a base that ends somewhere, got one that leads back here")
    values: Any = OmegaConf.to_container(OmegaConf.load(path))
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: expected a group of settings, got {type(values).__name__}")
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise ConfigurationError(f"{path}: 'base': expected the name of a file, got {base!r}")
    under: dict[Any, Any] = _merged(_read(path.parent / base, (*followed, path.resolve())), values)
    return under


def _merged(under: Any, over: Any) -> Any:  # noqa: ANN401 - what YAML holds
    """One group of settings over another."""
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    if "kind" in over and over["kind"] != under.get("kind", over["kind"]):
        return over
    return {**under, **{key: _merged(under[key], value) if key in under else value for key, value in over.items()}}
