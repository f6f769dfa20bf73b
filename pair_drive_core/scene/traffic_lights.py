"""Traffic lights as states of lane connectors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.scene.rings import PackedRings
from pair_drive_core.scene.validation import SceneError, require_dtype, require_shape


@dataclass(frozen=True)
class TrafficLights:
    """Red states of the signalled lane connectors on the ego's route, sampled at a fixed interval from t0 on.

    Attributes:
        tokens: R lane-connector ids.
        red: (T, R) bool.
        rings: R polygon rings of the connectors, (P, 2), global, m.
        interval_s: time between rows of `red`.
    """

    tokens: tuple[str, ...]
    red: Tensor
    rings: PackedRings
    interval_s: float = 0.1

    @staticmethod
    def empty(steps: int, interval_s: float = 0.1) -> TrafficLights:
        """No signalled connectors, for `steps` moments."""
        return TrafficLights((), torch.zeros(steps, 0, dtype=torch.bool), PackedRings.from_sequences([]), interval_s)

    def validate(self) -> TrafficLights:
        """Check shapes.

        Raises:
            SceneError: naming the field at fault.
        """
        count = len(self.tokens)
        require_shape("TrafficLights.red", self.red, ("T", count))
        require_dtype("TrafficLights.red", self.red, torch.bool)
        self.rings.validate("TrafficLights.rings")
        if len(self.rings) != count:
            raise SceneError(f"TrafficLights.rings: expected {count} rings, got {len(self.rings)}")
        return self
