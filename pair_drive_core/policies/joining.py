"""An imitation branch of one model with the reinforcement branch of another, not trained again (paper section 3.4)."""

from __future__ import annotations

from dataclasses import replace

from pair_drive_core.models.pair_model import PairModel


def join_models(imitation: PairModel, reinforcement: PairModel) -> PairModel:
    """A model that plans with the one's imitation branch and the other's reinforcement branch, margin and formula.

    Raises:
        ValueError: if they see different inputs.
    """
    if imitation.config.features != reinforcement.config.features:
        raise ValueError(
            f"joining models: expected the same inputs, got {imitation.config.features} and "
            f"{reinforcement.config.features}"
        )
    joined = PairModel(replace(reinforcement.config, imitation=imitation.config.imitation))
    joined.imitation.load_state_dict(imitation.imitation.state_dict())
    joined.reinforcement.load_state_dict(reinforcement.reinforcement.state_dict())
    return joined.eval()
