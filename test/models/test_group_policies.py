"""What GRPO trains: nothing has moved before an update, and what has moved since is told."""

import dataclasses

import pytest
import torch

from pair_drive_core.models import PairModel
from pair_drive_core.models.diffusion_drive import DiffusionDrive, DiffusionDriveConfig
from pair_drive_core.models.ego_status import EgoStatusConfig, EgoStatusPolicy
from pair_drive_core.models.group_policy import Moments
from pair_drive_core.models.imitation_policies import groups_of
from pair_drive_core.models.presets import tiny_config
from pair_drive_core.models.stochastic_plan import StochasticPlanConfig
from pair_drive_core.models.transfuser import TransFuser
from pair_drive_core.models.tree_groups import TreeGroups


def policy_of(name):
    torch.manual_seed(0)
    tiny, spread = tiny_config(), StochasticPlanConfig()
    if name == "tree":
        branch = PairModel(tiny).reinforcement.eval()
        return branch, TreeGroups(branch, 1.0, 0.0, True)
    networks = {
        "transfuser": lambda: TransFuser(tiny.imitation),
        "ego status": lambda: EgoStatusPolicy(EgoStatusConfig(hidden=8)),
        "diffusion": lambda: DiffusionDrive(
            DiffusionDriveConfig(backbone=tiny.imitation.backbone, anchors=5, heads=2, feed_forward=16)
        ),
    }
    network = networks[name]().eval()
    return network, groups_of(network, 15, spread)


@pytest.mark.parametrize("name", ["tree", "transfuser", "ego status", "diffusion"])
def test_before_an_update_all_ratios_are_one_and_afterwards_the_policy_has_moved(name, features, reference):
    network, policy = policy_of(name)
    moments = Moments(features, reference)
    draw = policy.sample(moments, torch.Generator().manual_seed(0))
    again = policy.sample(moments, torch.Generator().manual_seed(0))
    assert draw.leaves.shape == (3, 15, 8, 3)
    assert torch.equal(draw.leaves, again.leaves)
    assert (draw.leaves[:, 1:] - draw.leaves[:, :1]).abs().amax((2, 3)).min() > 0.0
    with torch.no_grad():
        previous = policy.decisions(moments, draw).detach()
    present = policy.decisions(moments, draw)
    torch.testing.assert_close(present.log_prob(), previous.log_prob(), rtol=0, atol=1e-4)
    assert present.kl_from(previous).abs().max() < 1e-6
    assert present.log_prob().shape == draw.numbers.shape == present.entropy().shape
    assert draw.families.shape == draw.leaves.shape[:2]
    # A step up the first draw's probability makes it more probable, and is a divergence.
    (-present.log_prob()[:, 0].sum()).backward()
    moving = [parameter for parameter in network.parameters() if parameter.grad is not None]
    norm = torch.stack([parameter.grad.norm() for parameter in moving]).norm()
    with torch.no_grad():
        for parameter in moving:
            parameter -= 2e-5 * parameter.grad / norm
        moved = policy.decisions(moments, draw)
    gained = (moved.log_prob() - previous.log_prob())[:, 0].sum()
    assert gained.item() == pytest.approx(2e-5 * norm.item(), rel=0.2)
    divergence = moved.kl_from(previous)
    assert divergence.min() >= -1e-6
    assert divergence.max() > 0.0


def test_chains_of_one_anchor_share_its_choice_and_their_steps_are_their_own(features, reference):
    _, policy = policy_of("diffusion")
    draw = policy.sample(Moments(features, reference), torch.Generator().manual_seed(0))
    assert torch.equal(draw.numbers[..., 0], draw.anchors)
    assert torch.equal(draw.numbers[0, :, 1], torch.arange(14))
    assert torch.equal(draw.families[:, 1:], draw.anchors)


def test_the_probability_of_a_chain_by_hand(features, reference):
    """The choice of the anchor, and two steps of four coefficients each, told from their own means."""
    _, policy = policy_of("diffusion")
    moments = Moments(features, reference)
    draw = policy.sample(moments, torch.Generator().manual_seed(0))
    with torch.no_grad():
        decisions = policy.decisions(moments, draw)
        logits = policy.network.plans(policy.network.backbone(features)).logits
    choice = torch.log_softmax(logits, dim=1)[1, draw.anchors[1, 2]]
    std = torch.tensor([2.0, 0.6])
    step = torch.distributions.Normal(0.0, std).log_prob(draw.coefficients[1][1, 2]).sum()
    log_prob = decisions.log_prob()[1, 2]
    assert log_prob[0].item() == pytest.approx(choice.item(), abs=1e-5)
    assert log_prob[2].item() == pytest.approx(step.item(), abs=1e-4)


def test_the_status_alone_decides_for_the_ego_status_policy(features):
    network = EgoStatusPolicy(EgoStatusConfig(hidden=8)).eval()
    blind = dataclasses.replace(features, camera=0 * features.camera, lidar=0 * features.lidar)
    assert torch.equal(network(features), network(blind))
    assert not torch.equal(network(features)[0], network(features)[1])


def test_the_latent_variant_sees_no_lidar_but_pictures(features):
    config = tiny_config().imitation
    backbone = dataclasses.replace(config.backbone, latent_lidar_px=32)
    network = TransFuser(dataclasses.replace(config, backbone=backbone)).eval()
    assert torch.equal(network(features), network(dataclasses.replace(features, lidar=0 * features.lidar)))
    assert not torch.equal(network(features), network(dataclasses.replace(features, camera=0 * features.camera)))
