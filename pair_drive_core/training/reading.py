"""Training of a reward model that reads imagined layers, on what a trained backbone imagines."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pair_drive_core.models.reward_world_model import RewardWorldModel
from pair_drive_core.training.candidate_scores import ScoredCandidates
from pair_drive_core.training.epochs import count_updates, run_epochs
from pair_drive_core.training.imagined import ImaginedSamples
from pair_drive_core.training.optimisation import Optimiser, OptimiserConfig
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.reward_model import reward_model_loss


@dataclass(frozen=True)
class ReadingConfig:
    """Training of the reading head.

    Attributes:
        epochs: passes over the moments.
        batch_size: moments an update.
        candidates: of each moment's candidates, drawn anew each time.
        optimiser: AdamW.
    """

    epochs: int = 6
    batch_size: int = 16
    candidates: int = 32
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=2e-3))


def train_reading(
    model: RewardWorldModel,
    imagined: ImaginedSamples,
    candidates: ScoredCandidates,
    config: ReadingConfig,
    generator: torch.Generator,
    progress: Progress = silent,
) -> list[float]:
    """Train in place; the backbone is not touched.

    Returns:
        The mean binary cross-entropy of each epoch, nats.
    """
    updates = count_updates(len(imagined), config.batch_size, config.epochs)
    optimiser = Optimiser(model.parameters(), config.optimiser, updates)
    available = candidates.poses.shape[1]

    def update(index: Tensor) -> dict[str, float]:
        chosen = torch.randperm(available, generator=generator)[: config.candidates]
        logits = model(imagined.bev(index), candidates.poses[index][:, chosen])
        loss = reward_model_loss(logits, candidates.sub_scores[index][:, chosen])
        optimiser.step(loss)
        return {"BCE": float(loss.detach())}

    model.train()
    history = run_epochs("reading", len(imagined), config.batch_size, config.epochs, generator, progress, update)
    model.eval()
    return history
