"""Settings files: the one that ships, and broken ones."""

import dataclasses
import typing
from pathlib import Path

import pytest

from pair_drive_core.models import ConfigurationError, PairModel
from pair_drive_core.training.settings import TrainingSettings, read_settings

NUMBERS = (int, float, int | None, float | None)
SHIPPED = Path(__file__).parents[2] / "config" / "train_town_small.yaml"


def test_shipped_settings_build_a_small_model():
    settings = read_settings(SHIPPED)
    count = sum(p.numel() for p in PairModel(settings.model).parameters())
    assert count * 4 < 6e6
    assert settings.model.imitation.backbone == settings.model.reinforcement.backbone
    assert len({settings.town.split, settings.calibration.split, settings.held_out.split}) == 3


def test_overrides_win():
    settings = read_settings(SHIPPED, ["seed=5", "reinforcement.grpo.clip=0.1", "reinforcement.grpo.scale=fixed"])
    assert settings.seed == 5
    assert settings.reinforcement.grpo.clip == 0.1
    assert settings.reinforcement.grpo.scale.value == "fixed"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("colour=red", "unknown setting 'colour'; available here: seed, threads"),
        ("reinforcement.grpo.clap=1", "unknown setting 'reinforcement.grpo.clap'"),
        ("town.scenes=many", "'town.scenes': expected int, got str 'many'"),
        ("town.scenes=1", "'town.scenes': expected at least 2, got 1"),
        ("seed=-1", "'seed': expected at least 0, got -1"),
        ("fast", "expected key=value, got 'fast'"),
        ("imitation.batch_size=0", "'imitation.batch_size': expected at least 1, got 0"),
        ("reinforcement.epochs=-1", "'reinforcement.epochs': expected at least 1, got -1"),
        ("reinforcement.updates=0", "'reinforcement.updates': expected at least 1, got 0"),
        ("imitation.optimiser.learning_rate=-1", "'imitation.optimiser.learning_rate': expected above 0, got -1"),
        ("reinforcement.grpo.kl.factor=0.5", "'reinforcement.grpo.kl.factor': expected above 1, got 0.5"),
        ("reinforcement.grpo.kl.min_beta=1.0", "expected min_beta <= initial_beta <= max_beta, got 1, 0.05, 10"),
        ("reinforcement.grpo.fixed_scale=0", "'reinforcement.grpo.fixed_scale': expected above 0, got 0"),
        ("model.join.margin=.nan", "'model.join.margin': expected a finite number, got nan"),
        ("model.join.margin=1.5", "'model.join.margin': expected at least 0 and at most 1, got 1.5"),
        ("reinforcement.mix.human=0.9", "'reinforcement.mix': expected reference shares of a sum of at most 1"),
    ],
)
def test_wrong_overrides_are_named(override, message):
    with pytest.raises(ConfigurationError) as error:
        read_settings(SHIPPED, [override])
    assert message in str(error.value)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ConfigurationError) as error:
        read_settings(SHIPPED, ["imitation.epochs=0", "reward_model.augmentation.lidar_drop=1.0", "threads=0"])
    message = str(error.value)
    for wrong in ("'threads'", "'imitation.epochs'", "'reward_model.augmentation.lidar_drop'"):
        assert wrong in message


def numbers_without_bounds(kind, where=""):
    """Every number of a training's settings, by path, that may have any value."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        hint, path = hints[field.name], f"{where}.{field.name}"
        if dataclasses.is_dataclass(hint):
            yield from numbers_without_bounds(hint, path)
        elif "training" in kind.__module__ and hint in NUMBERS and field.name not in getattr(kind, "BOUNDS", {}):
            yield path


def test_every_number_of_a_training_has_bounds():
    assert list(numbers_without_bounds(TrainingSettings)) == []


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no settings at"):
        read_settings(tmp_path / "none.yaml")


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "seed: ${nothing}\n"])
def test_broken_files_are_named(tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"broken\.yaml"):
        read_settings(path)
