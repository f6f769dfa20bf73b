"""Traffic lights: which connectors may go when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from pair_drive_core.town.streets.layout import JunctionKind
from pair_drive_core.town.streets.network import RoadNetwork

YELLOW_S = 3.0
ALL_RED_S = 1.5


class Light(IntEnum):
    """What a light shows."""

    GREEN = 0
    YELLOW = 1
    RED = 2


@dataclass(frozen=True)
class SignalPlan:
    """The fixed cycle of one junction: the even arms go first, then the odd ones.

    Attributes:
        green_s: green time of the even and of the odd arms.
        offset_s: where in its cycle the plan is at time 0.
    """

    green_s: tuple[float, float]
    offset_s: float

    @property
    def cycle_s(self) -> float:
        """Length of the cycle."""
        return sum(self.green_s) + 2.0 * (YELLOW_S + ALL_RED_S)

    def light(self, arm: int, time_s: float) -> Light:
        """What the light for an arm shows."""
        return self.light_and_rest(arm, time_s)[0]

    def light_and_rest(self, arm: int, time_s: float) -> tuple[Light, float]:
        """What the light for an arm shows, and for how much longer, s."""
        group = arm % 2
        start = 0.0 if group == 0 else self.green_s[0] + YELLOW_S + ALL_RED_S
        phase = (time_s + self.offset_s - start) % self.cycle_s
        green = self.green_s[group]
        if phase < green:
            return Light.GREEN, green - phase
        if phase < green + YELLOW_S:
            return Light.YELLOW, green + YELLOW_S - phase
        return Light.RED, self.cycle_s - phase


def draw_signal_plans(network: RoadNetwork, rng: np.random.Generator) -> dict[int, SignalPlan]:
    """A plan for each signalised junction, by junction index."""
    plans = {}
    for index, junction in enumerate(network.junctions):
        if junction.kind is JunctionKind.SIGNAL:
            first, second = np.round(rng.uniform(9.0, 18.0, 2), 1)
            plans[index] = SignalPlan((float(first), float(second)), float(np.round(rng.uniform(0.0, 40.0), 1)))
    return plans
