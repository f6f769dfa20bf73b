"""Reinforcement: trees grown by the present policy, simulated, and the policy moved towards their better leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from pair_drive_core.models.bev_backbone import BevFeatures
from pair_drive_core.models.bounds import AT_LEAST_ONE, AT_LEAST_ZERO, Bound
from pair_drive_core.models.features import Features
from pair_drive_core.models.pair_model import ReinforcementBranch
from pair_drive_core.models.tree import EdgeDistribution, TrajectoryTree
from pair_drive_core.models.tree_sampler import Growth
from pair_drive_core.training.advantages import EQUAL_REWARDS, EdgeAdvantages, edge_advantages, group_advantages
from pair_drive_core.training.epochs import count_updates, run_epochs
from pair_drive_core.training.grpo import AdaptiveBeta, GrpoConfig, GrpoLoss, grpo_loss, weighted_mean
from pair_drive_core.training.optimisation import Optimiser, OptimiserConfig
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.references import ReferenceMix, draw_references, random_leaves
from pair_drive_core.training.reward_model import reward_model_loss
from pair_drive_core.training.reward_source import RewardSource
from pair_drive_core.training.samples import DrivingSamples


@dataclass(frozen=True)
class ReinforcementTrainingConfig:
    """Training of the tree sampler; the reward world model keeps learning from the same leaves.

    Attributes:
        epochs: passes over the scenes.
        batch_size: scenes (groups) a rollout.
        updates: gradient steps on each rollout.
        exploration: noise while growing.
        value_weight: nats that a predicted reward of 1 is worth in pruning while training.
        extra_candidates: random leaves on top, scored for the reward world model only.
        reward_weight: of the reward world model's loss.
        train_backbone: whether backbone and F_BEV keep learning; without, an update costs half.
        mix: references.
        grpo: the objective.
        optimiser: AdamW.
    """

    epochs: int = 5
    batch_size: int = 32
    updates: int = 2
    exploration: float = 1.0
    value_weight: float = 3.0
    extra_candidates: int = 6
    reward_weight: float = 1.0
    train_backbone: bool = True
    mix: ReferenceMix = field(default_factory=ReferenceMix)
    grpo: GrpoConfig = field(default_factory=GrpoConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "epochs": AT_LEAST_ONE,
        "batch_size": AT_LEAST_ONE,
        "updates": AT_LEAST_ONE,
        "exploration": AT_LEAST_ZERO,
        "value_weight": AT_LEAST_ZERO,
        "extra_candidates": AT_LEAST_ZERO,
        "reward_weight": AT_LEAST_ZERO,
    }


@dataclass(frozen=True)
class Rollout:
    """Trees of one batch of scenes, simulated.

    Attributes:
        features: network inputs.
        bev: F_BEV that the trees were grown on, without gradients.
        tree: as grown.
        previous: the policy that grew it.
        credit: advantages of its edges.
        candidates: (B, K, 8, 3), all simulated trajectories.
        sub_scores: (B, K, S), of these.
        mean_reward: of the grown leaves.
        best_reward: mean over scenes of the best leaf's reward.
    """

    features: Features
    bev: BevFeatures
    tree: TrajectoryTree
    previous: EdgeDistribution
    credit: EdgeAdvantages
    candidates: Tensor
    sub_scores: Tensor
    mean_reward: float
    best_reward: float


def roll_out(
    branch: ReinforcementBranch,
    features: Features,
    reference: Tensor,
    scenes: Tensor,
    rewards: RewardSource,
    config: ReinforcementTrainingConfig,
    generator: torch.Generator,
) -> Rollout:
    """Grow trees with the present policy and simulate their leaves.

    Args:
        branch: in evaluation mode.
        features: of B moments.
        reference: (B, 8, 3), roots.
        scenes: (B,) int64, places of the moments in the data set.
        rewards: the simulation.
        config: settings.
        generator: of randomness.
    """
    with torch.no_grad():
        bev: BevFeatures = branch.backbone(features)
        growth = Growth(
            config.exploration, lambda poses: branch.reward.predict(bev, poses).reward, config.value_weight, generator
        )
        tree = branch.sampler.sample(bev, reference, growth)
        previous = branch.sampler.distribution(bev, tree).detach()
    group = tree.leaves
    extra = random_leaves(reference, config.extra_candidates, branch.sampler.config.offsets, generator)
    candidates = torch.cat((group, extra), dim=1)
    scored = rewards(scenes, candidates)
    total = scored.total[:, : group.shape[1]]
    credit = credit_of(total, tree, config.grpo)
    return Rollout(
        features=features,
        bev=bev,
        tree=tree,
        previous=previous,
        credit=credit,
        candidates=candidates,
        sub_scores=scored.sub_scores,
        mean_reward=float(total[:, 1:].mean()),
        best_reward=float(total.amax(1).mean()),
    )


def credit_of(total: Tensor, tree: TrajectoryTree, config: GrpoConfig) -> EdgeAdvantages:
    """Advantages of the edges of trees whose leaves scored (B, G); the reference is one of the group.

    Groups in which nothing can be learnt (see `GrpoConfig`) weigh nothing.
    """
    families = None
    if config.within_intention:
        # The reference has no intention: it stands with those that keep to it.
        keep = torch.zeros_like(tree.intentions[:, :1, 0])
        families = torch.cat((keep, tree.intentions[:, :, 0]), dim=1)
    advantage = group_advantages(total, config.scale, config.fixed_scale, families)
    credit = edge_advantages(advantage[:, 1:], tree.edges)
    counted = total[:, 0] < config.train_below
    if config.drop_equal_groups:
        counted &= total.amax(1) - total.amin(1) > EQUAL_REWARDS
    return EdgeAdvantages(credit.advantage, credit.weight * counted.reshape(-1, 1, 1))


def update_loss(
    branch: ReinforcementBranch, rollout: Rollout, config: ReinforcementTrainingConfig, beta: float
) -> tuple[GrpoLoss, Tensor]:
    """GRPO's loss and the reward world model's on one rollout."""
    bev = branch.backbone(rollout.features) if config.train_backbone else rollout.bev
    present = branch.sampler.distribution(bev, rollout.tree)
    policy = grpo_loss(
        present,
        rollout.previous,
        rollout.tree.intentions,
        rollout.tree.latents,
        rollout.credit,
        config.grpo,
        beta,
    )
    return policy, reward_model_loss(branch.reward(bev, rollout.candidates), rollout.sub_scores)


@torch.no_grad()
def divergence_of(branch: ReinforcementBranch, rollout: Rollout, config: ReinforcementTrainingConfig) -> float:
    """KL(the policy that grew the trees || the present one), nats an edge; told after the steps that it judges."""
    bev = branch.backbone(rollout.features) if config.train_backbone else rollout.bev
    present = branch.sampler.distribution(bev, rollout.tree)
    return float(weighted_mean(present.kl_from(rollout.previous), rollout.credit.weight))


def train_reinforcement(
    branch: ReinforcementBranch,
    samples: DrivingSamples,
    imitation: Tensor,
    rewards: RewardSource,
    config: ReinforcementTrainingConfig,
    generator: torch.Generator,
    progress: Progress = silent,
) -> list[float]:
    """Train sampler, backbone and reward heads in place.

    Normalisation statistics stay as the reward model's training left them, so that the policy that grows a tree and
    the one that is updated differ by their weights alone.

    Args:
        branch: the reinforcement branch.
        samples: inputs and demonstrations.
        imitation: (S, 8, 3), the imitation branch's plans.
        rewards: the simulation.
        config: settings.
        generator: of randomness.
        progress: is told of every rollout.

    Returns:
        The mean reward of the grown leaves in each epoch.
    """
    heads = [*branch.sampler.parameters(), *branch.reward.parameters()]
    parameters = list(branch.parameters()) if config.train_backbone else heads
    rollouts = count_updates(len(samples), config.batch_size, config.epochs)
    optimiser = Optimiser(parameters, config.optimiser, rollouts * config.updates)
    beta = AdaptiveBeta(config.grpo.kl)
    offsets = branch.sampler.config.offsets

    def update(index: Tensor) -> dict[str, float]:
        reference = draw_references(samples.human[index], imitation[index], config.mix, offsets, generator)
        rollout = roll_out(branch, samples.features(index), reference, index, rewards, config, generator)
        for _ in range(config.updates):
            policy, reward = update_loss(branch, rollout, config, beta.value)
            optimiser.step(policy.total + config.reward_weight * reward)
        kl = divergence_of(branch, rollout, config)
        beta.update(kl)
        return {
            "leaves": rollout.mean_reward,
            "best": rollout.best_reward,
            "KL": kl,
            "beta": beta.value,
            "entropy": float(policy.entropy),
            "BCE": float(reward.detach()),
        }

    branch.eval()
    return run_epochs("reinforcement", len(samples), config.batch_size, config.epochs, generator, progress, update)
