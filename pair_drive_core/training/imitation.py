"""Imitation: the planned trajectory is drawn to the human's (paper section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.models.bounds import AT_LEAST_ONE, AT_LEAST_ZERO, Bound
from pair_drive_core.models.transfuser import TransFuser
from pair_drive_core.training.augmentation import AugmentationConfig, augment
from pair_drive_core.training.bev_targets import bev_loss
from pair_drive_core.training.epochs import count_updates, run_epochs
from pair_drive_core.training.optimisation import Optimiser, OptimiserConfig
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.samples import DrivingSamples, ordered_batches


@dataclass(frozen=True)
class ImitationConfig:
    """Training of the imitation branch.

    Attributes:
        epochs: passes over the samples.
        batch_size: samples an update.
        heading_weight: metres that an error of 1 rad counts like.
        bev_weight: of the auxiliary BEV map's loss; 0 leaves it out.
        optimiser: AdamW.
        augmentation: of the inputs.
    """

    epochs: int = 50
    batch_size: int = 32
    heading_weight: float = 1.0
    bev_weight: float = 1.0
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "epochs": AT_LEAST_ONE,
        "batch_size": AT_LEAST_ONE,
        "heading_weight": AT_LEAST_ZERO,
        "bev_weight": AT_LEAST_ZERO,
    }


def imitation_loss(planned: Tensor, human: Tensor, heading_weight: float) -> Tensor:
    """Mean L1 distance over poses and coordinates; headings the short way round.

    Args:
        planned: (B, 8, 3), m, rad.
        human: (B, 8, 3), m, rad.
        heading_weight: metres that 1 rad counts like.

    Returns:
        Scalar, m.
    """
    position = (planned[..., :2] - human[..., :2]).abs().mean()
    heading = wrap_angle(planned[..., 2] - human[..., 2]).abs().mean()
    return position + heading_weight * heading


def train_imitation(
    network: TransFuser,
    samples: DrivingSamples,
    config: ImitationConfig,
    generator: torch.Generator,
    progress: Progress = silent,
) -> list[float]:
    """Train in place.

    Returns:
        The mean trajectory loss of each epoch, m.
    """
    updates = count_updates(len(samples), config.batch_size, config.epochs)
    optimiser = Optimiser(network.parameters(), config.optimiser, updates)

    def update(index: Tensor) -> dict[str, float]:
        bev = network.backbone(augment(samples.features(index), config.augmentation, generator))
        distance = imitation_loss(network.decode(bev), samples.human[index], config.heading_weight)
        loss = distance
        if config.bev_weight > 0:
            loss = loss + config.bev_weight * bev_loss(network.backbone, bev, samples.bev[index])
        optimiser.step(loss)
        return {"L1 m": float(distance.detach())}

    network.train()
    history = run_epochs("imitation", len(samples), config.batch_size, config.epochs, generator, progress, update)
    network.eval()
    return history


@torch.no_grad()
def imitation_plans(network: TransFuser, samples: DrivingSamples, batch_size: int = 64) -> Tensor:
    """(S, 8, 3): the plans of a trained branch for all samples."""
    network.eval()
    return torch.cat([network(samples.features(index)) for index in ordered_batches(len(samples), batch_size)])
