"""The arithmetic of reinforcement, worked by hand on a tree of three leaves.

        root
       /    \\
      a      b          leaves 0 and 1 go through a, leaf 2 through b
     / \\      \\
    0   1      2        rewards 1.0, 0.5, 0.0
"""

import math

import pytest
import torch

from pair_drive_core.models import EdgeDistribution
from pair_drive_core.models.tree_groups import EdgeDecisions
from pair_drive_core.training.advantages import AdvantageScale, edge_advantages, group_advantages
from pair_drive_core.training.grpo import AdaptiveBeta, GrpoConfig, KlConfig, clipped_objective, grpo_loss

REWARDS = torch.tensor([[1.0, 0.5, 0.0]])
EDGES = torch.tensor([[[0, 0], [0, 1], [1, 2]]])
ROOT = math.sqrt(1.5)  # (1.0 - 0.5) / sqrt((0.25 + 0 + 0.25) / 3)


def distribution(probabilities, means=0.0, stds=1.0, shape=(1, 3, 2)):
    log_intention = torch.tensor(probabilities).log().expand(*shape, -1)
    return EdgeDistribution(log_intention, torch.full((*shape, 2), means), torch.full((*shape, 2), stds))


def test_advantages_of_the_leaves():
    assert group_advantages(REWARDS, AdvantageScale.STANDARD)[0].tolist() == pytest.approx([ROOT, 0.0, -ROOT])
    assert group_advantages(REWARDS, AdvantageScale.FIXED, 0.25)[0].tolist() == pytest.approx([2.0, 0.0, -2.0])


def test_a_group_of_one_has_nobody_to_be_better_than():
    for scale in AdvantageScale:
        assert group_advantages(torch.tensor([[0.7], [0.2]]), scale).tolist() == [[0.0], [0.0]]


def test_a_group_of_equals_has_no_advantage():
    assert group_advantages(torch.full((1, 3), 0.7), AdvantageScale.STANDARD).abs().max() < 1e-3


def test_advantages_do_not_depend_on_the_order_of_leaves():
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        group_advantages(REWARDS[:, order], AdvantageScale.STANDARD),
        group_advantages(REWARDS, AdvantageScale.STANDARD)[:, order],
    )


def test_shared_edges_get_the_mean_and_count_once():
    credit = edge_advantages(torch.tensor([[2.0, 0.0, -2.0]]), EDGES)
    assert credit.advantage[0].tolist() == [[1.0, 2.0], [1.0, 0.0], [-2.0, -2.0]]
    assert credit.weight[0].tolist() == [[0.5, 1.0], [0.5, 1.0], [1.0, 1.0]]


def test_ratio_is_clipped_only_where_it_would_go_too_far():
    """Ratios 1.5 and 0.5 with epsilon 0.2: gains are capped at 1.2 A, losses of a bad edge at 0.8 A."""
    log_prob = torch.tensor([1.5, 0.5, 1.5, 0.5]).log()
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0])
    objective = clipped_objective(log_prob, torch.zeros(4), advantage, 0.2)
    assert objective.tolist() == pytest.approx([1.2, 0.5, -1.5, -0.8])


def test_log_probability_of_an_edge():
    """Intention of probability 1/4, latents one and zero standard deviations off: ln 1/4 - 1/2 - ln 2 pi."""
    edge = EdgeDistribution(torch.tensor([0.25, 0.75]).log(), torch.tensor([1.0, 0.0]), torch.ones(2))
    log_prob = edge.log_prob(torch.tensor(0), torch.tensor([2.0, 0.0]))
    assert log_prob.item() == pytest.approx(math.log(0.25) - 0.5 - math.log(2 * math.pi))


def test_kl_of_the_intentions():
    """Previous (1/2, 1/2), present (1/4, 3/4): 1/2 ln 2 + 1/2 ln 2/3."""
    kl = distribution([0.25, 0.75]).kl_from(distribution([0.5, 0.5]))
    assert kl[0, 0, 0].item() == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3))


def test_kl_of_the_latents():
    """Two coordinates, each with mean moved by 1/2 and deviation doubled: 2 (ln 2 + (1 + 1/4) / 8 - 1/2)."""
    kl = distribution([0.5, 0.5], 0.5, 2.0).kl_from(distribution([0.5, 0.5]))
    assert kl[0, 0, 0].item() == pytest.approx(2 * (math.log(2) + 1.25 / 8 - 0.5))
    assert distribution([0.5, 0.5]).kl_from(distribution([0.5, 0.5])).abs().max() == 0


def test_whole_loss():
    """All edges took intention 0 (1/2 before, 3/4 now, ratio 1.5): clipped at 1.2 where the advantage is positive.

    Weighted objective: level 1: a twice half of 1.2 * 1, b -1.5 * 2; level 2: 1.2 * 2, 0, -1.5 * 2; five edges.
    """
    config = GrpoConfig(scale=AdvantageScale.FIXED, fixed_scale=0.25, entropy_weight=0.1)
    credit = edge_advantages(group_advantages(REWARDS, config.scale, config.fixed_scale), EDGES)
    intentions, latents = torch.zeros(1, 3, 2, dtype=torch.int64), torch.zeros(1, 3, 2, 2)
    present, previous = (EdgeDecisions(distribution(p), intentions, latents) for p in ([0.75, 0.25], [0.5, 0.5]))
    loss = grpo_loss(present, previous, credit, config, beta=0.3)
    policy = -((1.2 - 3.0) + (2.4 + 0.0 - 3.0)) / 5
    kl = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert loss.policy.item() == pytest.approx(policy)
    assert loss.kl.item() == pytest.approx(kl)
    assert loss.entropy.item() == pytest.approx(entropy)
    assert loss.clipped.item() == pytest.approx(1.0)
    assert loss.total.item() == pytest.approx(policy + 0.3 * kl - 0.1 * entropy)


def test_gradient_of_the_first_update_is_the_advantage():
    """At ratio 1 the slope of the objective in an edge's log-probability is its advantage."""
    log_prob = torch.zeros(3, requires_grad=True)
    advantage = torch.tensor([2.0, 0.0, -2.0])
    clipped_objective(log_prob, torch.zeros(3), advantage, 0.2).sum().backward()
    assert log_prob.grad.tolist() == [2.0, 0.0, -2.0]


def test_beta_follows_the_measured_kl():
    beta = AdaptiveBeta(KlConfig(initial_beta=0.1, target=0.02, factor=2.0, min_beta=0.05, max_beta=0.3))
    assert beta.update(0.05) == pytest.approx(0.2)  # above 0.04: doubled
    assert beta.update(0.03) == pytest.approx(0.2)  # between 0.01 and 0.04: kept
    assert beta.update(0.05) == pytest.approx(0.3)  # doubled, held at the greatest
    for _ in range(5):
        beta.update(0.001)
    assert beta.value == pytest.approx(0.05)


def test_the_upper_side_of_the_clip_may_be_another_one():
    """Ratio 1.5: capped at 1.2 or, where the upper epsilon is 0.28, at 1.28; the lower side stays at 0.8."""
    log_prob, advantage = torch.tensor([1.5, 0.5]).log(), torch.tensor([1.0, -1.0])
    objective = clipped_objective(log_prob, torch.zeros(2), advantage, 0.2, 0.28)
    assert objective.tolist() == pytest.approx([1.28, -0.8])


def test_families_are_told_from_their_own_mean():
    """Families {1.0, 0.5} and {0.0}: 0.25 above, 0.25 below, alone."""
    families = torch.tensor([[3, 3, 1]])
    advantage = group_advantages(REWARDS, AdvantageScale.FIXED, 0.25, families)
    assert advantage[0].tolist() == pytest.approx([1.0, -1.0, 0.0])


def test_beta_may_begin_at_either_of_its_bounds():
    for least, first, most in ((0.05, 0.05, 1.0), (0.01, 1.0, 1.0)):
        assert KlConfig(initial_beta=first, min_beta=least, max_beta=most).problems() == []
    assert KlConfig(initial_beta=0.01, min_beta=0.05).problems() != []
