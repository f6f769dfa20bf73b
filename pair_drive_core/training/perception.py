"""Training of a backbone that plans and imagines: imitation and the layers of the world at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pair_drive_core.models.features import Features
from pair_drive_core.models.imitation_policy import imitation_loss
from pair_drive_core.models.transfuser import TransFuser
from pair_drive_core.training.loop import Course, Step, Task
from pair_drive_core.training.optimisation import OptimiserConfig
from pair_drive_core.training.shard_samples import ShardSamples
from pair_drive_core.training.slow_starts import SlowedMoments, slow_down
from pair_drive_core.training.world_loss import world_loss


@dataclass(frozen=True)
class PerceptionConfig:
    """Imitation and imagined layers together.

    Attributes:
        updates: gradient steps.
        batch_size: moments a step.
        learning_rate: of AdamW, at its peak; it decays along a cosine.
        weight_decay: decoupled.
        warm_up: updates over which the rate rises from zero.
        max_gradient_norm: larger gradients are scaled down to it.
        line_weight: of the layers that speak of the centre line.
        far_weight: of the number that says how far PDM-Closed gets.
        brightness: greatest relative change of the pictures' brightness.
        image_noise: standard deviation of the pixels' noise.
        lidar_drop: share of the LiDAR cells that are emptied.
        past_drop: share of the moments in which the oldest sweep is not there, in 0.6 of them none is.
        velocity_noise_mps: standard deviation of the noise of the velocity.
        acceleration_drop: share of the moments without an acceleration: who stands must not go on standing for it.
        slow_share: share of the moments with a moving human that are shown with a slower ego, see `slow_starts`; half
            of them have no past, which would tell the true speed.
        average: decay of the moving average of the weights, which is what counts in the end.
        save_every: updates between two states on disk.
    """

    updates: int = 4000
    batch_size: int = 16
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-2
    warm_up: int = 150
    max_gradient_norm: float = 5.0
    line_weight: float = 2.0
    far_weight: float = 0.5
    brightness: float = 0.2
    image_noise: float = 0.02
    lidar_drop: float = 0.05
    past_drop: float = 0.1
    velocity_noise_mps: float = 0.1
    acceleration_drop: float = 0.15
    slow_share: float = 0.0
    average: float = 0.999
    save_every: int = 200

    def __post_init__(self) -> None:
        for name in ("updates", "batch_size", "warm_up", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"perception.{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("past_drop", "lidar_drop", "acceleration_drop", "slow_share", "average"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"perception.{name}: expected at least 0 and below 1, got {getattr(self, name)}")


def disturb(features: Features, config: PerceptionConfig, generator: torch.Generator) -> Features:
    """Disturbed copies of B moments that leave the right plan as it is; the past may be missing."""
    batch = len(features)
    gain = 1.0 + config.brightness * (2.0 * torch.rand(batch, 1, 1, 1, generator=generator) - 1.0)
    # One picture of noise for the whole batch, each time another: drawing all of it takes longer than a forward pass.
    noise = config.image_noise * torch.randn(1, *features.camera.shape[1:], generator=generator)
    kept = torch.rand(features.lidar.shape, generator=generator) >= config.lidar_drop
    chance = torch.rand(batch, generator=generator)
    seen = torch.ones(features.lidar.shape[:2])
    seen[chance < config.past_drop, -1] = float(features.lidar.shape[1] == 1)
    seen[chance < 0.6 * config.past_drop, 1:] = 0.0
    status = features.status.clone()
    status[:, 4:6] += config.velocity_noise_mps * torch.randn(batch, 2, generator=generator)
    status[torch.rand(batch, generator=generator) < config.acceleration_drop, 6:8] = 0.0
    return Features(
        (features.camera * gain + noise).clamp(0.0, 1.0),
        features.lidar * kept * seen[:, :, None, None],
        (features.ground * gain).clamp(0.0, 1.0),
        status,
    )


def slow_some(
    features: Features, human: Tensor, config: PerceptionConfig, generator: torch.Generator
) -> tuple[Features, SlowedMoments]:
    """Some of B moments with a slower ego, half of these without a past."""
    moments = slow_down(features.status, human, config.slow_share, generator)
    forgets = moments.slowed & (torch.rand(len(human), generator=generator) < 0.5)
    lidar = features.lidar.clone()
    lidar[forgets, 1:] = 0.0
    return replace(features, lidar=lidar, status=moments.status), moments


def perception_loss(
    network: TransFuser,
    features: Features,
    moments: SlowedMoments,
    samples: ShardSamples,
    index: Tensor,
    config: PerceptionConfig,
) -> tuple[Tensor, dict[str, float]]:
    """What is minimised on some moments, and its terms.

    Nobody knows how far PDM-Closed would get from a lower speed than it had.
    """
    bev = network.backbone(features, imagine=False)
    planned = imitation_loss(network.decode(bev), moments.human, 1.0)
    imagined = network.backbone.imagine(bev)
    targets = samples.world(index, features.lidar.shape[-1] // imagined.logits.shape[-1])
    best_progress = targets.best_progress.masked_fill(moments.slowed, torch.nan)
    terms = world_loss(imagined, replace(targets, best_progress=best_progress))
    loss = planned + terms["layers"] + terms["edge"]
    loss = loss + config.line_weight * terms["line"] + config.far_weight * terms["far"]
    values = {"L1 m": float(planned.detach())} | {name: float(term.detach()) for name, term in terms.items()}
    return loss, values


class PerceptionTask(Task):
    """Updates of a backbone that plans and imagines; the averaged weights count in the end.

    Args:
        network: trained in place.
        samples: moments with layers.
        config: settings.
    """

    def __init__(self, network: TransFuser, samples: ShardSamples, config: PerceptionConfig) -> None:
        self.module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.parameters = list(network.parameters())
        self.course = Course(
            "perception",
            "L1 m",
            len(samples),
            config.batch_size,
            config.updates,
            OptimiserConfig(
                config.learning_rate,
                config.weight_decay,
                min(config.warm_up / config.updates, 0.99),
                config.max_gradient_norm,
            ),
            average=config.average,
        )
        self._network, self._samples, self._config = network, samples, config

    def update(self, index: Tensor, generator: torch.Generator, step: Step) -> Mapping[str, float]:
        """One step on disturbed inputs, some of them from a lower speed."""
        samples, config = self._samples, self._config
        features, moments = slow_some(samples.features(index), samples.human[index], config, generator)
        features = disturb(features, config, generator)
        loss, values = perception_loss(self._network, features, moments, samples, index, config)
        step(loss)
        return values

    def inputs(self, index: Tensor) -> dict[str, Tensor]:
        """See `Task`."""
        return {**self._samples.features(index).tensors(), "human": self._samples.human[index]}
