"""Settings files: the one that ships, and broken ones."""

from pathlib import Path

import pytest

from pair_drive_core.models import ConfigurationError, PairModel
from pair_drive_core.training.settings import read_settings

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
    ],
)
def test_wrong_overrides_are_named(override, message):
    with pytest.raises(ConfigurationError) as error:
        read_settings(SHIPPED, [override])
    assert message in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no settings at"):
        read_settings(tmp_path / "none.yaml")


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "seed: ${nothing}\n"])
def test_broken_files_are_named(tmp_path, text):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"broken\.yaml"):
        read_settings(path)
