"""Training of a backbone that plans and imagines: imitation and the layers of the world at once, resumable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pair_drive_core.datasets.atomic import whole_file
from pair_drive_core.models.features import Features
from pair_drive_core.models.transfuser import TransFuser
from pair_drive_core.training.imitation import imitation_loss
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.shard_samples import ShardSamples
from pair_drive_core.training.world_loss import world_loss

_CHUNK = 50
"""Updates between two reports."""


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
    average: float = 0.999
    save_every: int = 200

    def __post_init__(self) -> None:
        for name in ("updates", "batch_size", "warm_up", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"perception.{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("past_drop", "lidar_drop", "acceleration_drop", "average"):
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


def perception_loss(
    network: TransFuser, features: Features, samples: ShardSamples, index: Tensor, config: PerceptionConfig
) -> tuple[Tensor, dict[str, float]]:
    """What is minimised on some moments, and its terms."""
    bev = network.backbone(features, imagine=False)
    planned = imitation_loss(network.decode(bev), samples.human[index], 1.0)
    imagined = network.backbone.imagine(bev)
    coarser = features.lidar.shape[-1] // imagined.logits.shape[-1]
    terms = world_loss(imagined, samples.world(index, coarser))
    loss = planned + terms["layers"] + terms["edge"]
    loss = loss + config.line_weight * terms["line"] + config.far_weight * terms["far"]
    values = {"L1 m": float(planned.detach())} | {name: float(term.detach()) for name, term in terms.items()}
    return loss, values


class PerceptionTraining:
    """A training that can be killed at any moment: everything that matters is in its state.

    Args:
        network: trained in place; at the end it holds the averaged weights.
        samples: moments with layers.
        config: settings.
        seed: of order and disturbances.
        state_path: where the state is kept; taken up if it is there.
    """

    def __init__(
        self, network: TransFuser, samples: ShardSamples, config: PerceptionConfig, seed: int, state_path: Path
    ) -> None:
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.samples, self.config, self.state_path = samples, config, state_path
        self.optimiser = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
        self.average = {name: value.clone() for name, value in network.state_dict().items()}
        self.generator = torch.Generator().manual_seed(seed)
        self.order = torch.empty(0, dtype=torch.int64)
        self.update = 0
        if state_path.is_file():
            self._restore(torch.load(state_path, weights_only=True))

    def run(self, progress: Progress = silent) -> list[float]:
        """Train to the end.

        Returns:
            The mean trajectory loss of every 50 updates made now, m.
        """
        history: list[float] = []
        recent: list[float] = []
        while self.update < self.config.updates:
            values = self.step()
            recent.append(values["L1 m"])
            if len(recent) == _CHUNK:
                history.append(sum(recent) / len(recent))
                recent.clear()
            progress("perception", self.update, self.config.updates, values)
            if self.update % self.config.save_every == 0 or self.update == self.config.updates:
                self.save()
        self.network.load_state_dict(self.average)
        self.network.eval()
        return history

    def step(self) -> dict[str, float]:
        """One update; a loss or gradient that is not finite changes nothing.

        Raises:
            ValueError: if the loss is not finite.
        """
        self.network.train()
        index = self._next_batch()
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * self._rate()
        features = disturb(self.samples.features(index), self.config, self.generator)
        loss, values = perception_loss(self.network, features, self.samples, index, self.config)
        if not bool(torch.isfinite(loss)):
            raise ValueError(f"training diverged: expected a finite loss, got {float(loss.detach())}")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.max_gradient_norm)
        self.optimiser.step()
        self._average()
        self.update += 1
        return values

    def save(self) -> None:
        """Write the state; the file appears when it is whole."""
        state = {
            "model": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
            "generator": self.generator.get_state(),
            "order": self.order,
            "update": self.update,
        }
        with whole_file(self.state_path) as partial:
            torch.save(state, partial)

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.network.load_state_dict(state["model"])
        self.optimiser.load_state_dict(dict(state["optimiser"]))
        self.average = dict(state["average"])
        self.generator.set_state(state["generator"])
        self.order, self.update = state["order"], int(state["update"])

    def _next_batch(self) -> Tensor:
        size = min(self.config.batch_size, len(self.samples))
        if len(self.order) < size:
            self.order = torch.randperm(len(self.samples), generator=self.generator)
        index, self.order = self.order[:size], self.order[size:]
        return index

    def _rate(self) -> float:
        warm = min((self.update + 1) / self.config.warm_up, 1.0)
        return warm * 0.5 * (1.0 + math.cos(math.pi * self.update / self.config.updates))

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.config.average, (1 + self.update) / (10 + self.update))
        for name, value in self.network.state_dict().items():
            if value.dtype.is_floating_point:
                self.average[name].lerp_(value, 1.0 - decay)
            else:
                self.average[name].copy_(value)
