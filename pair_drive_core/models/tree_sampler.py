"""The tree-structured trajectory neural sampler (paper section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pair_drive_core.models.bev_backbone import BevFeatures
from pair_drive_core.models.path_offsets import EDGES, OffsetConfig, PathOffsets, apply_offsets
from pair_drive_core.models.tree import EdgeDistribution, TrajectoryTree
from pair_drive_core.models.tree_policy import TreePolicy
from pair_drive_core.planning.plan import Intention

MAX_GROUP_SIZE = 4096
ValueFunction = Callable[[Tensor], Tensor]
"""Predicted reward (B, K) in [0, 1] of trajectories (B, K, 8, 3)."""
PolicyFunction = Callable[[BevFeatures, Tensor, Tensor], tuple[Tensor, Tensor]]
"""What `TreePolicy` says of the nodes of a level."""


@dataclass(frozen=True)
class SamplerConfig:
    """Sizes of the sampler; the defaults are the paper's.

    Attributes:
        offsets: bounds of the intentions.
        group_size: leaves G, the reference included.
        kept_per_intention: nodes that pruning keeps for each first intention, however improbable, so that no way out is
            lost early; 0 keeps none.
        width: token width.
        layers: attention layers.
        heads: attention heads.
        feed_forward: their feed-forward width.
        initial_std: of the latents before training.
        min_std: training never goes under it.
        latent_limit: greatest mean latent; 3 reaches 95 % of an offset's bounds.
    """

    offsets: OffsetConfig = field(default_factory=OffsetConfig)
    group_size: int = 15
    kept_per_intention: int = 0
    width: int = 128
    layers: int = 2
    heads: int = 4
    feed_forward: int = 256
    initial_std: float = 0.5
    min_std: float = 0.1
    latent_limit: float = 3.0

    def __post_init__(self) -> None:
        if not 2 <= self.group_size <= MAX_GROUP_SIZE:
            raise ValueError(
                f"group_size: expected at least 2 (the reference and one leaf) and at most {MAX_GROUP_SIZE}, "
                f"got {self.group_size}"
            )


@dataclass(frozen=True)
class Growth:
    """How to grow a tree.

    Attributes:
        exploration: scale of the Gumbel noise on the scores that pruning compares, and of the latents' noise; 0 gives
            the most probable tree, the same every time.
        value: predicted reward of partial trajectories, held to the end; None prunes by log-probability alone.
        value_weight: nats that a predicted reward of 1 is worth in pruning.
        generator: source of the noise.
        policy: computes what the sampler's policy says in another way; None asks it itself.
    """

    exploration: float = 0.0
    value: ValueFunction | None = None
    value_weight: float = 10.0
    generator: torch.Generator | None = None
    policy: PolicyFunction | None = None


class TreeSampler(nn.Module):
    """Grows trees of trajectories around references and tells how probable their edges are."""

    bounds: Tensor

    def __init__(
        self, config: SamplerConfig, memory_width: int, bev_channels: int, range_m: float, ahead_m: float = 0.0
    ) -> None:
        super().__init__()
        self.config = config
        self.policy = TreePolicy(
            width=config.width,
            layers=config.layers,
            heads=config.heads,
            feed_forward=config.feed_forward,
            memory_width=memory_width,
            bev_channels=bev_channels,
            range_m=range_m,
            latent_limit=config.latent_limit,
            ahead_m=ahead_m,
        )
        self.log_std = nn.Parameter(torch.full((len(Intention), 2), config.initial_std).log())
        self.register_buffer("bounds", config.offsets.table(), persistent=False)

    @property
    def std(self) -> Tensor:
        """(N, 2): standard deviation of the latents of each intention."""
        return self.log_std.exp().clamp(min=self.config.min_std)

    def bounded(self, intentions: Tensor, latents: Tensor, scale: Tensor) -> Tensor:
        """Offsets within their intention's bounds.

        Args:
            intentions: (B, ...) int64.
            latents: (B, ..., 2).
            scale: (B,), see `speed_scale`.

        Returns:
            (B, ..., 2): change of speed in m/s, lateral shift in m.
        """
        low, high = self.bounds[intentions].unbind(-1)
        offset = low + (high - low) * torch.sigmoid(latents)
        along = offset[..., 0] * scale.reshape(-1, *(1,) * (offset.dim() - 2))
        return torch.stack((along, offset[..., 1]), dim=-1)

    @torch.no_grad()
    def sample(
        self, bev: BevFeatures, reference: Tensor, growth: Growth | None = None, group_size: int | None = None
    ) -> TrajectoryTree:
        """Grow one tree around each reference.

        Every node branches into all intentions; after each level only the best `group_size` - 1 nodes stay.

        Args:
            bev: F_BEV of B moments.
            reference: (B, 8, 3), ego frame at t0; m, rad.
            growth: how to grow; None grows the most probable tree.
            group_size: leaves, the reference included; None takes the configuration's.

        Returns:
            Trees of exactly `group_size` leaves, or as many as there are paths where that is less.
        """
        growth = growth or Growth()
        keep = (group_size or self.config.group_size) - 1
        path = PathOffsets(reference, self.config.offsets)
        policy = growth.policy or self.policy
        tree = _seedling(reference, path)
        for level in range(EDGES):
            levels = torch.full(tree.grown.shape[1:2], level, dtype=torch.int64, device=reference.device)
            log_intention, mean = policy(bev, tree.grown, levels)
            tree = self._branch(tree, level, log_intention, mean, path, growth)
            key = tree.log_prob
            if growth.exploration > 0:
                key = key + growth.exploration * _gumbel(key, growth.generator)
            if growth.value is not None:
                key = key + growth.value_weight * growth.value(tree.grown)
            if self.config.kept_per_intention > 0:
                key = _protect(key, tree.intentions[:, :, 0], self.config.kept_per_intention)
            kept = key.topk(min(keep, key.shape[1]), dim=1).indices
            tree = _prune(tree, kept, level)
        return tree

    def distribution(self, bev: BevFeatures, tree: TrajectoryTree) -> EdgeDistribution:
        """The present policy at every edge of given trees, with gradients; batch axes (B, L, 4).

        Ratios and divergences between policies come from two calls of this with the same trees.
        """
        batch, leaves = tree.intentions.shape[:2]
        before = torch.ones(EDGES, EDGES, device=tree.offsets.device).tril(-1).unsqueeze(-1)
        prefixes = (tree.offsets.unsqueeze(2) * before).reshape(batch, leaves * EDGES, EDGES, 2)
        poses = apply_offsets(tree.reference, prefixes, self.config.offsets)
        level = torch.arange(EDGES, device=poses.device).repeat(leaves)
        log_intention, mean = self.policy(bev, poses, level)
        log_intention = log_intention.unflatten(1, (leaves, EDGES))
        index = tree.intentions[..., None, None].expand(-1, -1, -1, 1, 2)
        chosen = mean.unflatten(1, (leaves, EDGES)).gather(3, index).squeeze(3)
        return EdgeDistribution(log_intention, chosen, self.std[tree.intentions])

    def log_prob(self, bev: BevFeatures, tree: TrajectoryTree) -> Tensor:
        """(B, L, 4): log-probability of every edge of given trees under the present policy."""
        return self.distribution(bev, tree).log_prob(tree.intentions, tree.latents)

    def _branch(
        self,
        tree: TrajectoryTree,
        level: int,
        log_intention: Tensor,
        mean: Tensor,
        path: PathOffsets,
        growth: Growth,
    ) -> TrajectoryTree:
        """All M * N children of M nodes."""
        batch, nodes, kinds = log_intention.shape
        if growth.exploration > 0:
            noise = torch.randn(mean.shape, generator=growth.generator, dtype=mean.dtype, device=mean.device)
            mean = mean + growth.exploration * self.std * noise
        latent = mean.reshape(batch, nodes * kinds, 2)
        intention = torch.arange(kinds, device=mean.device).repeat(nodes).expand(batch, -1)
        parent = torch.arange(nodes, device=mean.device).repeat_interleave(kinds)
        offsets = _with_level(tree.offsets[:, parent], level, self.bounded(intention, latent, path.speed_scale))
        return TrajectoryTree(
            reference=tree.reference,
            grown=path.apply(offsets),
            intentions=_with_level(tree.intentions[:, parent], level, intention),
            latents=_with_level(tree.latents[:, parent], level, latent),
            offsets=offsets,
            edges=_with_level(tree.edges[:, parent], level, torch.arange(nodes * kinds, device=mean.device)),
            log_prob=(tree.log_prob.unsqueeze(2) + log_intention).flatten(1),
        )


def _seedling(reference: Tensor, path: PathOffsets) -> TrajectoryTree:
    """A tree of one node, the reference, with no edge decided."""
    batch, device = reference.shape[0], reference.device
    whole = torch.zeros(batch, 1, EDGES, dtype=torch.int64, device=device)
    latents = reference.new_zeros(batch, 1, EDGES, 2)
    root = reference.new_zeros(batch, 1)
    return TrajectoryTree(reference, path.apply(latents), whole, latents, latents, whole, root)


def _with_level(values: Tensor, level: int, entry: Tensor) -> Tensor:
    """A copy of (B, K, 4, ...) values with one level's entry replaced."""
    changed = values.clone()
    changed[:, :, level] = entry
    return changed


def _prune(tree: TrajectoryTree, kept: Tensor, level: int) -> TrajectoryTree:
    """The nodes `kept`, (B, K) int64; their newest edge is numbered by its place among them."""
    rows = torch.arange(kept.shape[0], device=kept.device).unsqueeze(1)
    return TrajectoryTree(
        reference=tree.reference,
        grown=tree.grown[rows, kept],
        intentions=tree.intentions[rows, kept],
        latents=tree.latents[rows, kept],
        offsets=tree.offsets[rows, kept],
        edges=_with_level(tree.edges[rows, kept], level, torch.arange(kept.shape[1], device=kept.device)),
        log_prob=tree.log_prob[rows, kept],
    )


def _protect(key: Tensor, first_intention: Tensor, count: int) -> Tensor:
    """Lift the best `count` nodes of each first intention above all others; (B, M) keys and int64 intentions."""
    same = first_intention.unsqueeze(2) == first_intention.unsqueeze(1)
    place = torch.arange(key.shape[1], device=key.device)
    tied_before = (key.unsqueeze(1) == key.unsqueeze(2)) & (place < place.unsqueeze(1))
    rank = (same & ((key.unsqueeze(1) > key.unsqueeze(2)) | tied_before)).sum(2)
    lift = key.amax(1, keepdim=True) - key.amin(1, keepdim=True) + 1.0
    return torch.where(rank < count, key + lift, key)


def _gumbel(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard Gumbel noise: adding it to log-probabilities and taking the best samples without replacement."""
    uniform = torch.rand(like.shape, generator=generator, dtype=like.dtype, device=like.device)
    return -torch.log(-torch.log(uniform.clamp(1e-6, 1.0 - 1e-6)))
