"""Imitation: the planned trajectory is drawn to the human's (paper section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from pair_drive_core.models.bounds import AT_LEAST_ONE, AT_LEAST_ZERO, Bound
from pair_drive_core.models.imitation_policy import ImitationPolicy
from pair_drive_core.training.augmentation import AugmentationConfig, augment
from pair_drive_core.training.loop import Course, Runner, Step, Task, run_task, seed_from
from pair_drive_core.training.optimisation import OptimiserConfig
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.samples import Samples, ordered_batches


@dataclass(frozen=True)
class ImitationConfig:
    """Training of the imitation branch.

    Attributes:
        epochs: passes over the samples.
        batch_size: samples an update.
        heading_weight: metres that an error of 1 rad counts like.
        bev_weight: of the auxiliary maps' loss; 0 leaves it out.
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


class ImitationTask(Task):
    """Updates of an imitation policy."""

    def __init__(
        self, network: ImitationPolicy, samples: Samples, config: ImitationConfig, stage: str = "imitation"
    ) -> None:
        self.course = Course.of_epochs(stage, "L1 m", len(samples), config)
        self.module, self.parameters = network, list(network.parameters())
        self._network, self._samples, self._config = network, samples, config

    def update(self, index: Tensor, generator: torch.Generator, step: Step) -> Mapping[str, float]:
        """One step on disturbed inputs."""
        config, network = self._config, self._network
        features = augment(self._samples.features(index), config.augmentation, generator)
        learnt = network.learn(features, self._samples.human[index], config.heading_weight, generator)
        loss = learnt.total
        if config.bev_weight > 0 and learnt.bev is not None and network.backbone is not None:
            loss = loss + config.bev_weight * self._samples.auxiliary_loss(network.backbone, learnt.bev, index)
        step(loss)
        return {"L1 m": float(learnt.distance)}

    def inputs(self, index: Tensor) -> dict[str, Tensor]:
        """See `Task`."""
        return {**self._samples.features(index).tensors(), "human": self._samples.human[index]}


def train_imitation(
    network: ImitationPolicy,
    samples: Samples,
    config: ImitationConfig,
    generator: torch.Generator,
    progress: Progress = silent,
    runner: Runner = run_task,
    stage: str = "imitation",
) -> list[float]:
    """Train in place.

    Returns:
        The mean trajectory loss of each epoch, m.
    """
    return runner(ImitationTask(network, samples, config, stage), seed_from(generator), progress)


@torch.no_grad()
def imitation_plans(network: ImitationPolicy, samples: Samples, batch_size: int = 64) -> Tensor:
    """(S, 8, 3): the plans of a trained branch for all samples."""
    network.eval()
    return torch.cat([network(samples.features(index)) for index in ordered_batches(len(samples), batch_size)])
