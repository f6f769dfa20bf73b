"""Training of a reward model that reads imagined layers, on what a trained backbone imagines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pair_drive_core.models.reward_world_model import RewardWorldModel
from pair_drive_core.training.candidate_scores import ScoredCandidates
from pair_drive_core.training.imagined import ImaginedSamples
from pair_drive_core.training.loop import Course, Runner, Step, Task, run_task, seed_from
from pair_drive_core.training.optimisation import OptimiserConfig
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


class ReadingTask(Task):
    """Updates of the reading head."""

    def __init__(
        self, model: RewardWorldModel, imagined: ImaginedSamples, candidates: ScoredCandidates, config: ReadingConfig
    ) -> None:
        self.course = Course.of_epochs("reading", "BCE", len(imagined), config)
        self.module, self.parameters = model, list(model.parameters())
        self._model, self._imagined, self._candidates, self._config = model, imagined, candidates, config

    def update(self, index: Tensor, generator: torch.Generator, step: Step) -> Mapping[str, float]:
        """One step on some of the candidates."""
        available = self._candidates.poses.shape[1]
        chosen = torch.randperm(available, generator=generator)[: self._config.candidates]
        logits = self._model(self._imagined.bev(index), self._candidates.poses[index][:, chosen])
        loss = reward_model_loss(logits, self._candidates.sub_scores[index][:, chosen])
        step(loss)
        return {"BCE": float(loss.detach())}


def train_reading(
    model: RewardWorldModel,
    imagined: ImaginedSamples,
    candidates: ScoredCandidates,
    config: ReadingConfig,
    generator: torch.Generator,
    progress: Progress = silent,
    runner: Runner = run_task,
) -> list[float]:
    """Train in place; the backbone is not touched.

    Returns:
        The mean binary cross-entropy of each epoch, nats.
    """
    return runner(ReadingTask(model, imagined, candidates, config), seed_from(generator), progress)
