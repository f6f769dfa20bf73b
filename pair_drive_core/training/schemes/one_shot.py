"""One-shot: imitation, then GRPO on the same network (a baseline of the paper)."""

from __future__ import annotations

from pair_drive_core.training.imitation import train_imitation
from pair_drive_core.training.policy_optimisation import train_policy
from pair_drive_core.training.schemes.scheme import PlanBy, SchemeInputs, SchemeResult


def train_one_shot(inputs: SchemeInputs) -> SchemeResult:
    """Half of the budget each."""
    settings, network, half = inputs.settings, inputs.model.imitation, inputs.settings.budget // 2
    rest = (inputs.generator, inputs.progress, inputs.runner)
    losses = train_imitation(network, inputs.samples, settings.imitate(half), *rest)
    rewards = train_policy(network, inputs.samples, inputs.rewards, settings.optimise(half), *rest)
    return SchemeResult(PlanBy.IMITATION, {"imitation": losses, "policy": rewards})
