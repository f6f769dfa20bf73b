"""Rewards alone: GRPO on the imitation network, which has seen no demonstration."""

from __future__ import annotations

from pair_drive_core.training.policy_optimisation import train_policy
from pair_drive_core.training.schemes.scheme import PlanBy, SchemeInputs, SchemeResult


def train_rl(inputs: SchemeInputs) -> SchemeResult:
    """The whole budget for rewards."""
    settings, network = inputs.settings, inputs.model.imitation
    config = settings.optimise(settings.budget)
    rewards = train_policy(
        network, inputs.samples, inputs.rewards, config, inputs.generator, inputs.progress, inputs.runner
    )
    return SchemeResult(PlanBy.IMITATION, {"policy": rewards})
