"""Trees of trajectories as groups that GRPO can learn from (paper section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.models.bev_backbone import BevFeatures
from pair_drive_core.models.group_policy import Moments
from pair_drive_core.models.pair_model import ReinforcementBranch
from pair_drive_core.models.tree import EdgeDistribution, TrajectoryTree
from pair_drive_core.models.tree_sampler import Growth


@dataclass(frozen=True)
class GrownGroup:
    """Trees and what they were grown on.

    Attributes:
        tree: leaf 0 is the reference.
        bev: F_BEV without gradients.
    """

    tree: TrajectoryTree
    bev: BevFeatures

    @property
    def leaves(self) -> Tensor:
        """(B, G, 8, 3): the reference and the grown leaves."""
        return self.tree.leaves

    @property
    def numbers(self) -> Tensor:
        """(B, L, 4): edges; leaves that share one share its number."""
        return self.tree.edges

    @property
    def families(self) -> Tensor:
        """(B, G): the first intention. The reference has none: it stands with those that keep to it."""
        keep = torch.zeros_like(self.tree.intentions[:, :1, 0])
        return torch.cat((keep, self.tree.intentions[:, :, 0]), dim=1)


@dataclass(frozen=True)
class EdgeDecisions:
    """The policy at the edges (B, L, E) that were drawn.

    Attributes:
        policy: at the nodes that the edges leave.
        intentions: (B, L, E) int64, taken.
        latents: (B, L, E, 2), drawn.
        bev: F_BEV that the policy looked at; the reward world model learns from the same. None where nobody does.
    """

    policy: EdgeDistribution
    intentions: Tensor
    latents: Tensor
    bev: BevFeatures | None = None

    def log_prob(self) -> Tensor:
        """See `Decisions`."""
        return self.policy.log_prob(self.intentions, self.latents)

    def kl_from(self, previous: EdgeDecisions) -> Tensor:
        """See `Decisions`; exact for intentions and latents."""
        return self.policy.kl_from(previous.policy)

    def entropy(self) -> Tensor:
        """Of the intentions."""
        return -(self.policy.log_intention.exp() * self.policy.log_intention).sum(-1)

    def detach(self) -> EdgeDecisions:
        """See `Decisions`; what the policy looked at is let go."""
        return EdgeDecisions(self.policy.detach(), self.intentions, self.latents)


class TreeGroups:
    """The reinforcement branch as a policy of groups.

    Args:
        branch: in evaluation mode, so that the policy that grows a tree and the one that is updated differ by their
            weights alone.
        exploration: noise while growing.
        value_weight: nats that a predicted reward of 1 is worth in pruning.
        train_backbone: whether F_BEV is computed anew, with gradients, for every update.
    """

    def __init__(
        self, branch: ReinforcementBranch, exploration: float, value_weight: float, train_backbone: bool
    ) -> None:
        self.branch = branch
        self.exploration, self.value_weight, self.train_backbone = exploration, value_weight, train_backbone

    @torch.no_grad()
    def sample(self, moments: Moments, generator: torch.Generator) -> GrownGroup:
        """Grow a tree around each reference."""
        bev: BevFeatures = self.branch.backbone(moments.features)

        def value(poses: Tensor) -> Tensor:
            return self.branch.reward.predict(bev, poses).reward

        growth = Growth(self.exploration, value if self.value_weight > 0.0 else None, self.value_weight, generator)
        return GrownGroup(self.branch.sampler.sample(bev, moments.reference, growth), bev)

    def decisions(self, moments: Moments, draw: GrownGroup) -> EdgeDecisions:
        """See `GroupPolicy`."""
        bev: BevFeatures = self.branch.backbone(moments.features) if self.train_backbone else draw.bev
        policy = self.branch.sampler.distribution(bev, draw.tree)
        return EdgeDecisions(policy, draw.tree.intentions, draw.tree.latents, bev)
