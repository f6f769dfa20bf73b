import dataclasses
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pair_drive_core.driving.planner_settings import (
    PlannerKind,
    PlannerSettings,
    read_parameter_file,
    settings_from_parameters,
)
from pair_drive_core.models import PairConfig, PairModel
from pair_drive_core.models.checkpoint import save_checkpoint
from pair_drive_core.models.configuration import ConfigurationError, config_from_mapping

ROOT = Path(__file__).resolve().parents[2]


def test_the_parameter_file_that_ships_holds_the_defaults():
    settings = read_parameter_file(ROOT / "config" / "planner.yaml")
    assert settings.problems() == []
    assert settings == PlannerSettings()


def test_dotted_names_and_groups_mean_the_same():
    dotted = settings_from_parameters({"sync.max_wait_s": 0.4, "mount.lidar": [0.0] * 5 + [1.0]})
    nested = settings_from_parameters({"sync": {"max_wait_s": 0.4}, "mount": {"lidar": [0.0] * 5 + [1.0]}})
    assert dotted == nested
    assert (dotted.sync.max_wait_s, dotted.mount.lidar[5]) == (0.4, 1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "/**:\n  ros__parameters:\n    chekpoint: x\n",
            "unknown setting 'chekpoint'; available here: planner, ",
        ),
        ("/**:\n  ros__parameters:\n    sync:\n      max_wait_s: soon\n", "'sync.max_wait_s': expected float, got str"),
        ("/**:\n  ros__parameters:\n    planner: best\n", "expected one of parallel, constant_velocity, got 'best'"),
        ("a: 1\n", "expected a ROS 2 parameter file"),
        ("a: [1\n", "not YAML"),
    ],
)
def test_a_parameter_file_that_does_not_fit_is_refused_by_name(tmp_path, text, words):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        read_parameter_file(path)


def test_all_problems_are_told_at_once():
    settings = PlannerSettings(
        planner=PlannerKind.CONSTANT_VELOCITY,
        device="abacus",
        fallback_deceleration_mps2=0.0,
        guard=dataclasses.replace(PlannerSettings().guard, max_speed_mps=-1.0),
    )
    with pytest.raises(ConfigurationError, match=r"max_speed_mps.*fallback_deceleration_mps2.*device.*'abacus'"):
        settings.guarded_planner()


def test_a_planner_that_cannot_plan_is_found_out_before_it_drives(monkeypatch):
    class Broken:
        name = "broken"

        def plan(self, agent_input):
            agent_input.validate()
            raise RuntimeError("CUDA error: no kernel image")

    monkeypatch.setattr(PlannerSettings, "_planner", lambda self: Broken())
    with pytest.raises(ConfigurationError, match=r"broken on 'cpu' cannot plan .*RuntimeError: CUDA error"):
        PlannerSettings().guarded_planner()


def test_a_device_that_this_machine_lacks_is_refused_by_name(tmp_path):
    small = YAML(typ="safe").load((ROOT / "config" / "train_town_small.yaml").read_text())["model"]
    path = tmp_path / "small.safetensors"
    save_checkpoint(path, PairModel(config_from_mapping(PairConfig, small)), {})
    with pytest.raises(ConfigurationError, match="device: cannot use 'xpu'"):
        PlannerSettings(checkpoint=str(path), device="xpu").guarded_planner()


@pytest.mark.parametrize("content", [b"", b"not safetensors", None])
def test_a_checkpoint_that_is_not_there_or_torn_is_refused_by_name(tmp_path, content):
    path = tmp_path / "torn.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=str(path)):
        PlannerSettings(checkpoint=str(path)).guarded_planner()


@pytest.mark.parametrize(
    "text",
    ["%YAML 9.9\n---\na: 1\n", "a: &a 1\nb: *a\n", "a: " + "[" * 2000, "/**: {ros__parameters: [1]}\n"],
)
def test_a_parameter_file_that_is_no_plain_yaml_is_refused(tmp_path, text):
    path = tmp_path / "parameters.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"parameters\.yaml"):
        read_parameter_file(path)
