"""What takes the place of the LiDAR raster in TransFuser's latent variant: a learnt map, the same in every moment."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LatentLidar(nn.Module):
    """A learnt positional map in as many channels as there would be sweeps."""

    def __init__(self, sweeps: int, size_px: int) -> None:
        super().__init__()
        self.map = nn.Parameter(torch.randn(1, sweeps, size_px, size_px))

    def forward(self, batch: int) -> Tensor:
        """(batch, sweeps, size, size)."""
        return self.map.expand(batch, -1, -1, -1)
