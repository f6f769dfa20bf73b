"""How a training is run: precision, processes, states. Known without Lightning, which runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from pair_drive_core.models.bounds import AT_LEAST_ONE, Bound


class Precision(str, Enum):
    """Of the arithmetic."""

    FULL = "32-true"
    """32 bits everywhere."""
    MIXED = "bf16-mixed"
    """Brain floats of 16 bits where they do no harm; weights and sums stay at 32."""


class Launch(str, Enum):
    """How several processes are started."""

    POPEN = "popen"
    """The command is run again for each; what follows the training runs in each as well."""
    FORK = "fork"
    """Copies of this process, which goes on alone afterwards."""


@dataclass(frozen=True)
class TrainerConfig:
    """What Lightning is told.

    Attributes:
        precision: of the arithmetic.
        devices: processes on each machine; each takes its share of every batch. Normalisation statistics that follow
            the batches are each process's own, so divide no batch below what they need.
        nodes: machines.
        launch: how the processes of a machine are started.
        save_every: updates between two states.
    """

    precision: Precision = Precision.FULL
    devices: int = 1
    nodes: int = 1
    launch: Launch = Launch.FORK
    save_every: int = 200

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "devices": AT_LEAST_ONE,
        "nodes": AT_LEAST_ONE,
        "save_every": AT_LEAST_ONE,
    }
