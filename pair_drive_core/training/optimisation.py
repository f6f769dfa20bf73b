"""The optimiser of every training: AdamW with warm-up and cosine decay (METHOD section 2)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

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


Backward = Callable[[Tensor], None]
"""Computes the gradients of a loss."""


class Optimiser:
    """AdamW over some parameters for a known number of steps, its rate a function of the step's number alone."""

    def __init__(self, parameters: Iterable[nn.Parameter], config: OptimiserConfig, steps: int) -> None:
        self.config = config
        self.guard = StepGuard()
        self.adamw = torch.optim.AdamW(
            [parameter for parameter in parameters if parameter.requires_grad],
            config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self._steps, self._done = steps, 0

    @property
    def rate(self) -> float:
        """Learning rate of the next step: rises over the warm-up, then falls along a cosine."""
        warm_up = max(round(self.config.warm_up * self._steps), 1)
        if self._done < warm_up:
            return self.config.learning_rate * (self._done + 1) / warm_up
        way = min((self._done - warm_up) / max(self._steps - warm_up, 1), 1.0)
        return self.config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * way))

    def step(self, loss: Tensor, backward: Backward | None = None) -> bool:
        """One step against a scalar loss; a loss or gradient that is not finite changes nothing.

        Args:
            loss: to minimise.
            backward: what computes its gradients; None lets the loss itself.

        Returns:
            Whether the weights were updated.

        Raises:
            ValueError: see `StepGuard`.
        """
        self.adamw.zero_grad(set_to_none=True)
        # Of several processes each must reach the exchange of gradients, however its own loss looks.
        if backward is None:
            loss.backward()  # type: ignore[no-untyped-call]
        else:
            backward(loss)
        parameters = self.adamw.param_groups[0]["params"]
        norm = float(nn.utils.clip_grad_norm_(parameters, self.config.max_gradient_norm))
        made = self.guard.admit(float(loss.detach()), norm)
        rate = self.rate
        self._done += 1
        if made:
            for group in self.adamw.param_groups:
                group["lr"] = rate
            self.adamw.step()
        return made

    def state_dict(self) -> dict[str, Any]:
        """AdamW's own."""
        return self.adamw.state_dict()

    def load_state_dict(self, state: Mapping[str, Any], done: int) -> None:
        """Take up AdamW's moments after some steps."""
        self.adamw.load_state_dict(dict(state))
        self._done = done
