"""Imitation and a reward world model that chooses among its plan and random offsets of it: no tree, no policy."""

from __future__ import annotations

from pair_drive_core.training.imitation import imitation_plans, train_imitation
from pair_drive_core.training.reward_model import train_reward_model
from pair_drive_core.training.schemes.parallel import copy_backbone
from pair_drive_core.training.schemes.scheme import PlanBy, SchemeInputs, SchemeResult


def train_rwm(inputs: SchemeInputs) -> SchemeResult:
    """Half of the budget each."""
    settings, model, half = inputs.settings, inputs.model, inputs.settings.budget // 2
    rest = (inputs.generator, inputs.progress, inputs.runner)
    losses = train_imitation(model.imitation, inputs.samples, settings.imitate(half), *rest)
    plans = imitation_plans(model.imitation, inputs.samples)
    copy_backbone(model)
    judged = train_reward_model(model.reinforcement, inputs.samples, plans, inputs.rewards, settings.judge(half), *rest)
    return SchemeResult(PlanBy.REWARD_MODEL, {"imitation": losses, "reward model": judged})
