"""The optimiser that all three trainings use: AdamW with warm-up and cosine decay (METHOD section 2)."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from pair_drive_core.models.bounds import AT_LEAST_ZERO, POSITIVE, Bound

MAX_SKIPPED_IN_A_ROW = 5
"""After so many steps without a finite loss and gradient a training is over."""
_LOG = logging.getLogger(__name__)


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

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "learning_rate": POSITIVE,
        "weight_decay": AT_LEAST_ZERO,
        "warm_up": Bound(0.0, 1.0, open_high=True),
        "max_gradient_norm": POSITIVE,
    }


class StepGuard:
    """Keeps what is not finite away from the weights: such steps are left out and counted, a run of them ends it all.

    Attributes:
        skipped: steps left out so far.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self._in_a_row = 0

    def admit(self, loss: float, gradient_norm: float) -> bool:
        """Whether a step may be made.

        Raises:
            ValueError: after `MAX_SKIPPED_IN_A_ROW` steps that may not.
        """
        if math.isfinite(loss) and math.isfinite(gradient_norm):
            self._in_a_row = 0
            return True
        self.skipped += 1
        self._in_a_row += 1
        _LOG.warning("step left out: loss %g, gradient norm %g; %d so far", loss, gradient_norm, self.skipped)
        if self._in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise ValueError(
                f"training diverged: expected a finite loss and gradient, got none in {self._in_a_row} steps in a row "
                f"(last loss {loss}, gradient norm {gradient_norm})"
            )
        return False


class Optimiser:
    """AdamW over some parameters for a known number of updates."""

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimiserConfig, updates: int) -> None:
        self.config = config
        self.guard = StepGuard()
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self._adamw = torch.optim.AdamW(self._parameters, config.learning_rate, weight_decay=config.weight_decay)
        warm_up = max(round(config.warm_up * updates), 1)

        def rate(update: int) -> float:
            if update < warm_up:
                return (update + 1) / warm_up
            return 0.5 * (1.0 + math.cos(math.pi * min((update - warm_up) / max(updates - warm_up, 1), 1.0)))

        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._adamw, rate)

    def step(self, loss: torch.Tensor) -> bool:
        """One update against a scalar loss; a loss or gradient that is not finite changes nothing.

        Returns:
            Whether the weights were updated.

        Raises:
            ValueError: see `StepGuard`.
        """
        self._adamw.zero_grad(set_to_none=True)
        value, norm = float(loss.detach()), math.nan
        if math.isfinite(value):
            loss.backward()  # type: ignore[no-untyped-call]
            norm = float(nn.utils.clip_grad_norm_(self._parameters, self.config.max_gradient_norm))
        made = self.guard.admit(value, norm)
        if made:
            self._adamw.step()
            self._schedule.step()
        return made
