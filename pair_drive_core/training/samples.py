"""Training samples in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pair_drive_core.models.bev_backbone import BevBackbone, BevFeatures
from pair_drive_core.models.features import Features
from pair_drive_core.training.bev_targets import bev_loss


class Samples(Protocol):
    """Moments to learn from, in memory, in shards or read from a data set as they are asked for."""

    @property
    def human(self) -> Tensor:
        """(S, 8, 3), the demonstrated trajectory, ego frame at t0; m, rad."""
        ...

    @property
    def status(self) -> Tensor:
        """(S, 8), as in `Features`."""
        ...

    def __len__(self) -> int:
        """Number of moments."""
        ...

    def features(self, index: Tensor) -> Features:
        """Network inputs of some moments."""
        ...

    def auxiliary_loss(self, backbone: BevBackbone, bev: BevFeatures, index: Tensor) -> Tensor:
        """How far the backbone's maps of some moments are from the truth; scalar."""
        ...


@dataclass(frozen=True)
class DrivingSamples:
    """Network inputs and demonstrations of S moments; images are kept in 8 bits.

    Attributes:
        camera: (S, 3, H, W) uint8.
        lidar: (S, 1, h, w) uint8.
        ground: (S, 3 or 0, h, w) uint8.
        status: (S, 8), as in `Features`.
        human: (S, 8, 3), the demonstrated trajectory, ego frame at t0; m, rad.
        bev: (S, size, size) uint8, targets of the auxiliary BEV map.
    """

    camera: Tensor
    lidar: Tensor
    ground: Tensor
    status: Tensor
    human: Tensor
    bev: Tensor

    @staticmethod
    def from_features(parts: Sequence[Features], human: Tensor, bev: Tensor) -> DrivingSamples:
        """Pack features of single moments, in the order of `human`, (S, 8, 3), and `bev`, (S, size, size)."""
        camera = torch.cat([(part.camera * 255.0).round().to(torch.uint8) for part in parts])
        lidar = torch.cat([(part.lidar * 255.0).round().to(torch.uint8) for part in parts])
        ground = torch.cat([(part.ground * 255.0).round().to(torch.uint8) for part in parts])
        return DrivingSamples(camera, lidar, ground, torch.cat([part.status for part in parts]), human.float(), bev)

    def __len__(self) -> int:
        """Number of moments."""
        return self.human.shape[0]

    def features(self, index: Tensor) -> Features:
        """Network inputs of some moments."""
        camera, lidar, ground = (part[index].float() / 255.0 for part in (self.camera, self.lidar, self.ground))
        return Features(camera, lidar, ground, self.status[index])

    def auxiliary_loss(self, backbone: BevBackbone, bev: BevFeatures, index: Tensor) -> Tensor:
        """Of the auxiliary BEV map."""
        return bev_loss(backbone, bev, self.bev[index])


def shuffled_batches(count: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """One epoch of index batches in random order; the last one may be smaller, but never a single sample of many."""
    order = torch.randperm(count, generator=generator)
    parts = list(torch.split(order, batch_size))
    if len(parts) > 1 and len(parts[-1]) < 2:
        parts[-2:] = [torch.cat(parts[-2:])]
    yield from parts


def ordered_batches(count: int, batch_size: int) -> Iterator[Tensor]:
    """Index batches in order."""
    yield from torch.split(torch.arange(count), batch_size)
