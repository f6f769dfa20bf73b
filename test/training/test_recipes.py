"""One settings file a policy and a scheme: each builds its networks and makes a first step of every stage."""

from pathlib import Path

import pytest
import torch

from pair_drive_core.models import ConfigurationError, PairModel
from pair_drive_core.models.configuration import config_from_mapping
from pair_drive_core.models.features import Features
from pair_drive_core.training.imitation import train_imitation
from pair_drive_core.training.loop import Loop
from pair_drive_core.training.reward_source import Rewards
from pair_drive_core.training.samples import DrivingSamples
from pair_drive_core.training.scheme_run import SchemeTrainingSettings
from pair_drive_core.training.schemes import SCHEMES, Scheme, SchemeInputs
from pair_drive_core.training.settings import read_mapping, read_settings

CONFIG = Path(__file__).parents[2] / "config"
POLICIES = ("ego_status", "transfuser", "latent_transfuser", "diffusion_drive")
MOMENTS = 20
"""As many as DiffusionDrive needs for its anchors."""


def moments(features):
    """Noise in the sizes that the settings ask for, and straight demonstrations."""
    chance = torch.Generator().manual_seed(0)
    size, rows, columns = features.lidar_size_px, features.image_height_px, features.image_width_px

    def noise(*shape):
        return torch.rand(MOMENTS, *shape, generator=chance)

    human = torch.zeros(MOMENTS, 8, 3)
    human[..., 0] = torch.arange(1, 9) * noise(1).mul(4.0)
    status = torch.nn.functional.pad(human[:, 0, :1] * 2.0, (4, 3))
    seen = Features(noise(3, rows, columns), noise(1, size, size), noise(3, size, size), status)
    return DrivingSamples.from_features([seen], human, torch.zeros(MOMENTS, size // 2, size // 2, dtype=torch.uint8))


def shortness(scenes, trajectories):
    total = torch.exp(-trajectories[..., -1, 0].abs() / 20.0)
    return Rewards(total, total.unsqueeze(-1).expand(*total.shape, 8))


class OneStep:
    """Makes the first update of every stage, of two moments, and tells whose weights it moved."""

    def __init__(self):
        self.stages = []

    def __call__(self, task, seed, progress=None):
        loop = Loop(task, seed)
        before = [parameter.detach().clone() for parameter in task.parameters]
        loop.begin()
        loop.order.at = lambda update: torch.arange(2)
        loop.update_once(loop.optimiser.step)
        loop.finish()
        moved = any(not torch.equal(old, new) for old, new in zip(before, task.parameters, strict=True))
        self.stages.append((task.course.stage, moved))
        return []


@pytest.mark.parametrize("policy", POLICIES)
def test_a_file_a_policy_makes_a_first_step(policy):
    settings = read_settings(CONFIG / "policies" / f"{policy}.yaml")
    kind = {"latent_transfuser": "transfuser"}.get(policy, policy)
    assert settings.model.imitation.kind == kind
    torch.manual_seed(0)
    model, samples, chance = PairModel(settings.model), moments(settings.model.features), torch.Generator()
    assert (policy == "latent_transfuser") == any("latent" in name for name, _ in model.imitation.named_parameters())
    model.imitation.prepare(samples.human, chance)
    runner = OneStep()
    train_imitation(model.imitation, samples, settings.imitation, chance, runner=runner)
    assert runner.stages == [("imitation", True)]
    assert settings.copy_backbone == (model.config.imitation.backbone == model.config.reinforcement.backbone)


@pytest.mark.parametrize("scheme", Scheme)
def test_a_file_a_scheme_makes_a_first_step_of_every_stage(scheme):
    values = read_mapping(CONFIG / "schemes" / f"{scheme.value}.yaml")
    assert values.pop("recipe") == "scheme"
    settings = config_from_mapping(SchemeTrainingSettings, values)
    assert settings.scheme is scheme
    torch.manual_seed(0)
    model, samples, runner = PairModel(settings.model), moments(settings.model.features), OneStep()
    inputs = SchemeInputs(model, samples, shortness, settings.schemes, torch.Generator(), runner=runner)
    SCHEMES[scheme](inputs)
    assert runner.stages and all(moved for _, moved in runner.stages)


def test_a_base_is_changed_group_by_group_and_a_group_of_another_kind_is_replaced(tmp_path):
    (tmp_path / "under.yaml").write_text("a: {kind: one, left: 1, right: 2}\nb: {x: 1, y: 2}\nc: 3\n")
    over = tmp_path / "over.yaml"
    over.write_text("base: under.yaml\na: {kind: two, up: 5}\nb: {y: 7}\n")
    assert read_mapping(over) == {"a": {"kind": "two", "up": 5}, "b": {"x": 1, "y": 7}, "c": 3}
    assert read_mapping(over, ["a.kind=one", "b.x=9"])["a"] == {"kind": "one"}
    (tmp_path / "under.yaml").write_text("base: over.yaml\n")
    with pytest.raises(ConfigurationError, match="expected a base that ends somewhere"):
        read_mapping(over)
    over.write_text("base: 3\n")
    with pytest.raises(ConfigurationError, match="'base': expected the name of a file, got 3"):
        read_mapping(over)
    over.write_text("base: nowhere.yaml\n")
    with pytest.raises(FileNotFoundError, match=r"no settings at .*nowhere"):
        read_mapping(over)
