"""The tree of trajectories: its leaves, its bounds, its probabilities."""

import dataclasses

import pytest
import torch

from pair_drive_core.models import Growth, PairModel
from pair_drive_core.models.path_offsets import EDGES
from pair_drive_core.models.presets import tiny_config
from pair_drive_core.planning.plan import Intention


@pytest.fixture
def grown(model, features, reference):
    sampler = model.reinforcement.sampler
    torch.nn.init.normal_(sampler.policy.score_head.weight, std=0.5)
    torch.nn.init.normal_(sampler.policy.offset_head.weight, std=0.5)
    with torch.no_grad():
        bev = model.reinforcement.backbone(features)
    return sampler, bev, reference


def explore(seed=0, **kwargs):
    return Growth(exploration=1.0, generator=torch.Generator().manual_seed(seed), **kwargs)


@pytest.mark.parametrize("group_size", [2, 5, 15, 40])
def test_leaf_count_is_the_group_size(grown, group_size):
    sampler, bev, reference = grown
    tree = sampler.sample(bev, reference, explore(), group_size)
    assert tree.leaves.shape == (3, group_size, 8, 3)
    assert tree.intentions.shape == (3, group_size - 1, EDGES)


def test_reference_is_always_the_first_leaf(grown):
    sampler, bev, reference = grown
    assert torch.equal(sampler.sample(bev, reference, explore()).leaves[:, 0], reference)


def test_offsets_keep_to_their_intention(grown):
    """Left never shifts right, accelerate never slows down, whatever the network says."""
    sampler, bev, reference = grown
    with torch.no_grad():
        sampler.log_std.fill_(2.0)
    tree = sampler.sample(bev, reference, explore(), 60)
    along, across = tree.offsets.unbind(-1)
    assert (across[tree.intentions == Intention.LEFT] > 0).all()
    assert (across[tree.intentions == Intention.RIGHT] < 0).all()
    assert (along[tree.intentions == Intention.ACCELERATE] > 0).all()
    assert (along[tree.intentions == Intention.DECELERATE] < 0).all()
    limits = sampler.bounds[tree.intentions]
    assert (across >= limits[..., 1, 0]).all()
    assert (across <= limits[..., 1, 1]).all()
    assert set(tree.intentions.unique().tolist()) == {int(i) for i in Intention}


def test_all_left_leaf_lies_left_of_its_reference(model, reference):
    sampler = model.reinforcement.sampler
    from pair_drive_core.models import apply_offsets

    intentions = torch.full((3, 1, EDGES), int(Intention.LEFT))
    offsets = sampler.bounded(intentions, torch.randn(3, 1, EDGES, 2), torch.ones(3))
    offsets[..., 0] = 0.0
    leaf = apply_offsets(reference, offsets, sampler.config.offsets)[:, 0]
    normal = torch.stack((-reference[..., 2].sin(), reference[..., 2].cos()), dim=-1)
    assert (((leaf - reference)[..., :2] * normal).sum(-1) > 0).all()


def test_same_seed_same_tree_and_no_noise_no_seed(grown):
    sampler, bev, reference = grown
    first, second = (sampler.sample(bev, reference, explore(7)) for _ in range(2))
    assert torch.equal(first.grown, second.grown)
    assert not torch.equal(first.grown, sampler.sample(bev, reference, explore(8)).grown)
    assert torch.equal(sampler.sample(bev, reference).grown, sampler.sample(bev, reference).grown)


def test_ratio_is_one_before_any_update(grown):
    """What sampling says of a leaf is what re-evaluation says of it."""
    sampler, bev, reference = grown
    tree = sampler.sample(bev, reference, explore())
    present = sampler.distribution(bev, tree)
    again = sampler.distribution(bev, tree)
    ratio = (present.log_prob(tree.intentions, tree.latents) - again.log_prob(tree.intentions, tree.latents)).exp()
    torch.testing.assert_close(ratio, torch.ones_like(ratio), atol=0, rtol=0)
    intentions = present.log_intention.gather(-1, tree.intentions.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(intentions.sum(-1), tree.log_prob, atol=1e-4, rtol=1e-4)


def test_most_probable_tree_sits_at_the_mean_of_the_policy(grown):
    sampler, bev, reference = grown
    tree = sampler.sample(bev, reference)
    torch.testing.assert_close(sampler.distribution(bev, tree).mean, tree.latents, atol=1e-4, rtol=1e-4)


def test_pruning_keeps_the_most_probable_of_all_paths(grown):
    """With room for every path nothing is pruned; the small tree must then be the best part of the last level."""
    sampler, bev, reference = grown
    everything = sampler.sample(bev, reference, group_size=5**EDGES + 1)
    assert everything.grown.shape[1] == 5**EDGES
    assert everything.log_prob.exp().sum(1).tolist() == pytest.approx([1.0] * 3, abs=1e-3)
    small = sampler.sample(bev, reference, group_size=5)
    assert (small.log_prob[:, 0] <= everything.log_prob[:, 0] + 1e-5).all()
    assert (small.log_prob.diff(dim=1) <= 0).all()


def test_value_decides_what_survives(grown):
    """With a value for little way every surviving leaf is shorter than any that survives with its opposite."""
    sampler, bev, reference = grown

    def less_way(poses):
        return 1.0 - poses[..., -1, 0] / 40.0

    short = sampler.sample(bev, reference, Growth(value=less_way, value_weight=1e4)).grown[0, :, -1, 0]
    much = Growth(value=lambda poses: -less_way(poses), value_weight=1e4)
    far = sampler.sample(bev, reference, much).grown[0, :, -1, 0]
    assert short.max() < reference[0, -1, 0] < far.min()


def test_edges_number_the_shared_part_of_paths(grown):
    sampler, bev, reference = grown
    tree = sampler.sample(bev, reference, explore())
    same_edge = tree.edges.unsqueeze(2) == tree.edges.unsqueeze(1)
    same_past = (tree.latents.unsqueeze(2) == tree.latents.unsqueeze(1)).all(-1).cumprod(-1).bool()
    assert torch.equal(same_edge, same_past)


def test_scenes_of_a_batch_do_not_mix(grown, model, features):
    sampler, bev, reference = grown
    whole = sampler.sample(bev, reference)
    with torch.no_grad():
        alone = model.reinforcement.backbone(features[1:2])
    torch.testing.assert_close(sampler.sample(alone, reference[1:2]).grown, whole.grown[1:2], atol=1e-4, rtol=1e-4)


def test_gradients_reach_every_part_of_the_policy(grown):
    sampler, bev, reference = grown
    tree = sampler.sample(bev, reference, explore())
    sampler.log_prob(bev, tree).sum().backward()
    without = [name for name, p in sampler.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    # Attention is blind to a constant added to its keys.
    assert [name for name in without if "in_proj_bias" not in name] == []


def test_group_of_one_is_refused():
    with pytest.raises(ValueError, match="group_size: expected at least 2"):
        PairModel(tiny_config(group_size=1))


def test_every_first_intention_survives_where_asked(model, features, reference):
    """Two leaves for each way to begin, although the value wants nothing but braking."""
    config = dataclasses.replace(model.reinforcement.sampler.config, kept_per_intention=2)
    model.reinforcement.sampler.config = config
    with torch.no_grad():
        bev = model.reinforcement.backbone(features)
    growth = Growth(value=lambda poses: -poses[..., -1, 0] / 10.0, value_weight=1e4)
    tree = model.reinforcement.sampler.sample(bev, reference, growth)
    counts = torch.stack([(tree.intentions[:, :, 0] == int(i)).sum(1) for i in Intention])
    assert (counts >= 2).all()
    assert counts.sum(0).tolist() == [14, 14, 14]
