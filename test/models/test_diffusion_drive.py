"""DiffusionDrive: its anchors, its schedule, and that it is the same every time."""

import dataclasses

import pytest
import torch

from pair_drive_core.models import PairConfig, PairModel, config_from_mapping, config_to_mapping
from pair_drive_core.models.configuration import ConfigurationError
from pair_drive_core.models.diffusion_drive import Denoised, DiffusionDrive, DiffusionDriveConfig, trajectory_anchors
from pair_drive_core.models.ego_status import EgoStatusConfig
from pair_drive_core.models.presets import tiny_config


@pytest.fixture
def network():
    torch.manual_seed(0)
    backbone = tiny_config().imitation.backbone
    config = DiffusionDriveConfig(backbone=backbone, anchors=4, heads=2, feed_forward=16)
    return DiffusionDrive(config).eval()


def test_anchors_are_the_centres_of_what_was_driven():
    """Two bundles, one straight on and one to the left, and a centre for each."""
    generator = torch.Generator().manual_seed(0)
    straight, left = torch.zeros(8, 3), torch.zeros(8, 3)
    straight[:, 0] = left[:, 1] = torch.arange(1.0, 9.0)
    bundles = torch.cat([path + 0.01 * torch.randn(20, 8, 3, generator=generator) for path in (straight, left)])
    anchors = trajectory_anchors(bundles, 2, generator)
    order = anchors[:, -1, 0].argsort(descending=True)
    torch.testing.assert_close(anchors[order], torch.stack((straight, left))[..., :2], rtol=0, atol=0.02)
    with pytest.raises(ValueError, match="anchors: expected at least 3 demonstrations, got 2"):
        trajectory_anchors(bundles[:2], 3, generator)


def test_a_step_of_the_schedule_keeps_the_noise_and_lowers_its_share(network):
    """From x_8 = sqrt(kept_8) x + sqrt(1 - kept_8) n, knowing x, to x_4 of the same n."""
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.rand(1, 4, 8, 2, generator=generator) - 0.5, torch.randn(1, 4, 8, 2, generator=generator)
    poses = torch.cat((network.metres(clean), torch.zeros(1, 4, 8, 1)), dim=-1)
    at = [network.kept[k].sqrt() * clean + (1 - network.kept[k]).sqrt() * noise for k in (8, 4)]
    found = network.less_noisy(at[0], Denoised(poses, torch.zeros(1, 4)), 8, 4)
    torch.testing.assert_close(found, at[1], rtol=0, atol=1e-4)
    assert network.steps() == [8, 4]
    assert network.kept[0].item() == pytest.approx(1.0 - 1e-4)


def test_metres_and_back(network):
    ends = torch.tensor([[-2.0, -30.0], [66.0, 30.0]])
    torch.testing.assert_close(network.normalised(ends), torch.tensor([[-1.0, -1.0], [1.0, 1.0]]))
    torch.testing.assert_close(network.metres(network.normalised(ends)), ends)


def test_a_plan_is_the_same_every_time_and_the_most_probable(network, features):
    with torch.no_grad():
        plan, again = network(features), network(features)
        found = network.plans(network.backbone(features))
    assert torch.equal(plan, again)
    best = found.logits.argmax(1)
    assert torch.equal(plan, found.poses[torch.arange(3), best])


@pytest.mark.parametrize(
    "imitation",
    [
        DiffusionDriveConfig(backbone=tiny_config().imitation.backbone, anchors=4, heads=2, feed_forward=16),
        EgoStatusConfig(hidden=8),
        tiny_config().imitation,
    ],
)
def test_every_policy_is_known_by_its_kind(imitation, features):
    config = dataclasses.replace(tiny_config(), imitation=imitation)
    again = config_from_mapping(PairConfig, config_to_mapping(config))
    assert again == config
    assert PairModel(again).eval().imitation(features).shape == (3, 8, 3)


def test_an_unknown_kind_is_refused_with_those_there_are():
    with pytest.raises(ConfigurationError, match=r"'imitation.kind': expected one of transfuser, diffusion_drive, eg"):
        config_from_mapping(PairConfig, {"imitation": {"kind": "other"}})


def test_a_policy_that_reads_another_map_than_there_is_is_refused():
    tiny = tiny_config()
    wrong = DiffusionDriveConfig(backbone=tiny.imitation.backbone, ahead_m=16.0)
    with pytest.raises(ValueError, match=r"imitation.range_m, ahead_m: expected \(32.0, 0.0\) as in features"):
        dataclasses.replace(tiny, imitation=wrong)
