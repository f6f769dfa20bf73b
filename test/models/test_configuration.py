"""Configurations to and from mappings."""

import re

import pytest

from pair_drive_core.models import (
    ConfigurationError,
    PairConfig,
    RewardFormula,
    RewardModelConfig,
    SamplerConfig,
    config_from_mapping,
    config_to_mapping,
)
from pair_drive_core.models.presets import tiny_config


@pytest.mark.parametrize("config", [PairConfig(), tiny_config()])
def test_round_trip(config):
    assert config_from_mapping(PairConfig, config_to_mapping(config)) == config


def test_missing_settings_keep_their_defaults():
    assert config_from_mapping(SamplerConfig, {"group_size": 9}) == SamplerConfig(group_size=9)


def test_integers_serve_as_floats_and_text_as_enumeration():
    assert config_from_mapping(SamplerConfig, {"min_std": 1}).min_std == 1.0
    assert config_from_mapping(RewardModelConfig, {"formula": "epdms"}).formula is RewardFormula.EPDMS


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"imitation": {"colour": 1}}, "unknown setting 'imitation.colour'; available here: backbone, decoder_layers"),
        ({"features": {"lidar_size_px": "big"}}, "'features.lidar_size_px': expected int, got str 'big'"),
        ({"features": {"lidar_size_px": True}}, "expected int, got bool"),
        ({"features": 3}, "'features': expected a group of settings, got 3"),
        ({"reinforcement": {"reward": {"formula": "x"}}}, "expected one of pdms, epdms, got 'x'"),
        ({"imitation": {"backbone": {"camera_anchors": [1]}}}, "expected 2 entries, got 1"),
    ],
)
def test_wrong_settings_are_named(values, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        config_from_mapping(PairConfig, values)
