"""The forms in which candidates come to the scorer."""

from __future__ import annotations

from enum import IntEnum

from pair_drive_core.scene import PLAN_STEPS, STATE_SIZE
from pair_drive_core.simulation.sampling import SIMULATION_STEPS


class CandidateKind(IntEnum):
    """What candidates are given as; the values are those of the native kernel's interface."""

    PLANS = 0
    """(S, K, 8, 3) poses in the ego frame at t0, 2 Hz."""
    PATHS = 1
    """(S, K, 41, 3) poses in the scenes' local frames, 10 Hz, to be driven."""
    STATES = 2
    """(S, K, 41, 11) driven states in the scenes' local frames."""

    @property
    def shape(self) -> tuple[int, int]:
        """Last two axes."""
        return ((PLAN_STEPS, 3), (SIMULATION_STEPS, 3), (SIMULATION_STEPS, STATE_SIZE))[self]
