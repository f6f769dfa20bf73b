"""PaIR-Drive: two branches that share nothing while training (paper section 3.1)."""

from __future__ import annotations

from pair_drive_core.models.pair_model import PairModel
from pair_drive_core.training.imitation import imitation_plans, train_imitation
from pair_drive_core.training.reinforcement import train_reinforcement
from pair_drive_core.training.reward_model import train_reward_model
from pair_drive_core.training.schemes.scheme import PARTS, PlanBy, SchemeInputs, SchemeResult


def train_parallel(inputs: SchemeInputs) -> SchemeResult:
    """Half of the budget for imitation, a third for the reward model, the rest for the tree sampler."""
    settings, model = inputs.settings, inputs.model
    part = settings.budget // PARTS
    rest = (inputs.generator, inputs.progress, inputs.runner)
    losses = train_imitation(model.imitation, inputs.samples, settings.imitate(6 * part), *rest)
    plans = imitation_plans(model.imitation, inputs.samples)
    copy_backbone(model)
    learnt = (model.reinforcement, inputs.samples, plans, inputs.rewards)
    judged = train_reward_model(*learnt, settings.judge(4 * part), *rest)
    rewards = train_reinforcement(*learnt, settings.grow(2 * part), *rest)
    return SchemeResult(PlanBy.PAIR, {"imitation": losses, "reward model": judged, "reinforcement": rewards})


def copy_backbone(model: PairModel) -> bool:
    """Let the reinforcement branch's backbone start where the imitation branch's is.

    Returns:
        Whether both are of one shape; if not, nothing is copied.
    """
    backbone = model.imitation.backbone
    if backbone is None or model.config.imitation.backbone != model.config.reinforcement.backbone:
        return False
    model.reinforcement.backbone.load_state_dict(backbone.state_dict())
    return True
