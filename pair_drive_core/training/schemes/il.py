"""Imitation alone."""

from __future__ import annotations

from pair_drive_core.training.imitation import train_imitation
from pair_drive_core.training.schemes.scheme import PlanBy, SchemeInputs, SchemeResult


def train_il(inputs: SchemeInputs) -> SchemeResult:
    """The whole budget for the imitation branch."""
    settings = inputs.settings
    config = settings.imitate(settings.budget)
    losses = train_imitation(
        inputs.model.imitation, inputs.samples, config, inputs.generator, inputs.progress, inputs.runner
    )
    return SchemeResult(PlanBy.IMITATION, {"imitation": losses})
