"""The loop around every training's updates."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pair_drive_core.training.progress import Progress
from pair_drive_core.training.samples import shuffled_batches

Update = Callable[[Tensor], Mapping[str, float]]
"""Learns from the samples at some places; answers figures by name, the first of which is followed over the epochs."""


def count_updates(samples: int, batch_size: int, epochs: int) -> int:
    """Batches in all."""
    return epochs * sum(1 for _ in shuffled_batches(samples, batch_size, torch.Generator()))


def run_epochs(
    stage: str,
    samples: int,
    batch_size: int,
    epochs: int,
    generator: torch.Generator,
    progress: Progress,
    update: Update,
) -> list[float]:
    """Call `update` with every batch of every epoch.

    Args:
        stage: what the progress calls it.
        samples: how many there are.
        batch_size: of them in a batch.
        epochs: passes over all of them.
        generator: of their order.
        progress: is told of every update.
        update: the training.

    Returns:
        The mean of the first figure over each epoch.
    """
    total, done = count_updates(samples, batch_size, epochs), 0
    history: list[float] = []
    for _ in range(epochs):
        followed: list[float] = []
        for index in shuffled_batches(samples, batch_size, generator):
            figures = update(index)
            followed.append(next(iter(figures.values())))
            done += 1
            progress(stage, done, total, figures)
        history.append(sum(followed) / len(followed))
    return history
