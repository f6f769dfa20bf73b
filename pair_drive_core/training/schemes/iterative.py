"""Iterative: imitation and GRPO in turn, on the same network (a baseline of the paper)."""

from __future__ import annotations

from pair_drive_core.training.imitation import train_imitation
from pair_drive_core.training.policy_optimisation import train_policy
from pair_drive_core.training.schemes.scheme import PlanBy, SchemeInputs, SchemeResult

ROUNDS = 3
"""Turns of both; each has schedules of its own."""


def train_iterative(inputs: SchemeInputs) -> SchemeResult:
    """Half of the budget each, in rounds."""
    settings, network = inputs.settings, inputs.model.imitation
    share = settings.budget // 2 // ROUNDS
    rest = (inputs.generator, inputs.progress, inputs.runner)
    history: dict[str, list[float]] = {"imitation": [], "policy": []}
    for turn in range(1, ROUNDS + 1):
        stage = f"imitation {turn}"
        history["imitation"] += train_imitation(network, inputs.samples, settings.imitate(share), *rest, stage)
        config, stage = settings.optimise(share), f"policy {turn}"
        history["policy"] += train_policy(network, inputs.samples, inputs.rewards, config, *rest, stage)
    return SchemeResult(PlanBy.IMITATION, history)
