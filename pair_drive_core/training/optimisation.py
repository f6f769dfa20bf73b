"""The optimiser that all three trainings use: AdamW with warm-up and cosine decay (METHOD section 2)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class OptimiserConfig:
    """AdamW and its schedule.

    Attributes:
        learning_rate: at its peak.
        weight_decay: decoupled.
        warm_up: share of the updates over which the rate rises from zero.
        max_gradient_norm: larger gradients are scaled down to it.
    """

    learning_rate: float = 1e-4
    weight_decay: float = 1e-2
    warm_up: float = 0.05
    max_gradient_norm: float = 1.0


class Optimiser:
    """AdamW over some parameters for a known number of updates."""

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimiserConfig, updates: int) -> None:
        self.config = config
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._adamw = torch.optim.AdamW(self._parameters, config.learning_rate, weight_decay=config.weight_decay)
        warm_up = max(round(config.warm_up * updates), 1)

        def rate(update: int) -> float:
            if update < warm_up:
                return (update + 1) / warm_up
            return 0.5 * (1.0 + math.cos(math.pi * min((update - warm_up) / max(updates - warm_up, 1), 1.0)))

        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._adamw, rate)

    def step(self, loss: torch.Tensor) -> None:
        """One update against a scalar loss.

        Raises:
            ValueError: if the loss is not finite.
        """
        if not bool(torch.isfinite(loss)):
            raise ValueError(f"training diverged: expected a finite loss, got {float(loss.detach())}")
        self._adamw.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, self.config.max_gradient_norm)
        self._adamw.step()
        self._schedule.step()
