"""The network at a node of the tree: which intention, and how far (paper section 3.3, OffsetHead and ScoreHead)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pair_drive_core.models.bev_backbone import BevFeatures
from pair_drive_core.models.path_offsets import EDGES
from pair_drive_core.models.trajectory_encoder import TrajectoryEncoder
from pair_drive_core.planning.plan import Intention


class TreeLayer(nn.Module):
    """Self-attention among a node's tokens, cross-attention to F_BEV, feed-forward; normalised in front."""

    def __init__(self, width: int, heads: int, feed_forward: int, memory_width: int) -> None:
        super().__init__()
        self.self_attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.cross_attention = nn.MultiheadAttention(
            width, heads, batch_first=True, kdim=memory_width, vdim=memory_width
        )
        self.feed_forward = nn.Sequential(nn.Linear(width, feed_forward), nn.ReLU(), nn.Linear(feed_forward, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """(B, K, P, D) tokens of K nodes and (B, N, M) memory to (B, K, P, D)."""
        batch, nodes, count, width = tokens.shape
        inner = self.norms[0](tokens).reshape(batch * nodes, count, width)
        tokens = tokens + self.self_attention(inner, inner, inner, need_weights=False)[0].reshape_as(tokens)
        query = self.norms[1](tokens).reshape(batch, nodes * count, width)
        tokens = tokens + self.cross_attention(query, memory, memory, need_weights=False)[0].reshape_as(tokens)
        grown: Tensor = tokens + self.feed_forward(self.norms[2](tokens))
        return grown


class TreePolicy(nn.Module):
    """(T + 1) trajectory tokens and N intention tokens to a score and an offset for each intention."""

    def __init__(
        self,
        *,
        width: int,
        layers: int,
        heads: int,
        feed_forward: int,
        memory_width: int,
        bev_channels: int,
        range_m: float,
        latent_limit: float,
        ahead_m: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = TrajectoryEncoder(width, bev_channels, range_m, ahead_m)
        self.intentions = nn.Parameter(0.1 * torch.randn(len(Intention), width))
        self.level = nn.Parameter(0.1 * torch.randn(EDGES, width))
        self.layers = nn.ModuleList(TreeLayer(width, heads, feed_forward, memory_width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.offset_head = nn.Linear(width, 2)
        self.score_head = nn.Linear(width, 1, bias=False)
        self.latent_limit = latent_limit
        # The untrained policy explores all intentions alike, around the middle of their bounds.
        for parameter in (*self.offset_head.parameters(), *self.score_head.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, bev: BevFeatures, poses: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Judge K nodes a moment.

        Args:
            bev: F_BEV of B moments.
            poses: (B, K, 8, 3), each node's trajectory with its offsets so far held to the end.
            level: (K,) int64, how many edges each node has behind it.

        Returns:
            (B, K, N) log-probability of each intention, and (B, K, N, 2) mean latents.
        """
        trajectory = self.encoder(bev.bev_map, poses)
        batch, nodes = poses.shape[:2]
        intentions = self.intentions.expand(batch, nodes, -1, -1)
        tokens = torch.cat((trajectory, intentions), dim=2) + self.level[level].unsqueeze(1)
        for layer in self.layers:
            tokens = layer(tokens, bev.tokens)
        chosen = self.norm(tokens[:, :, -len(Intention) :])
        log_intention = torch.log_softmax(self.score_head(chosen).squeeze(-1), dim=-1)
        return log_intention, self.latent_limit * torch.tanh(self.offset_head(chosen))
