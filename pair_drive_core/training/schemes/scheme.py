"""What all schemes share: the same networks, data, simulation and number of steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import ClassVar

import torch

from pair_drive_core.models.bounds import Bound, require_bounds
from pair_drive_core.models.configuration import ConfigurationError
from pair_drive_core.models.pair_model import PairModel
from pair_drive_core.training.imitation import ImitationConfig
from pair_drive_core.training.loop import Runner, run_task
from pair_drive_core.training.policy_optimisation import PolicyTrainingConfig
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.reinforcement import ReinforcementTrainingConfig
from pair_drive_core.training.reward_model import RewardModelTrainingConfig
from pair_drive_core.training.reward_source import RewardSource
from pair_drive_core.training.samples import Samples

PARTS = 12
"""A budget is a multiple of it, so that every scheme can divide it."""


class PlanBy(str, Enum):
    """Whose plan a scheme's is."""

    IMITATION = "imitation"
    REWARD_MODEL = "imitation+reward"
    PAIR = "pair"


@dataclass(frozen=True)
class SchemeSettings:
    """How each stage is trained; their `epochs` are set by the budget.

    Attributes:
        budget: passes over the moments with one gradient step a batch, all stages of a scheme together. Equal for all
            schemes; a rollout with two steps counts twice.
        imitation: imitation.
        reward_model: the reward world model.
        reinforcement: GRPO of the tree sampler.
        policy: GRPO of the imitation network.
    """

    budget: int = PARTS
    imitation: ImitationConfig = field(default_factory=ImitationConfig)
    reward_model: RewardModelTrainingConfig = field(default_factory=RewardModelTrainingConfig)
    reinforcement: ReinforcementTrainingConfig = field(default_factory=ReinforcementTrainingConfig)
    policy: PolicyTrainingConfig = field(default_factory=PolicyTrainingConfig)

    BOUNDS: ClassVar[Mapping[str, Bound]] = {"budget": Bound(PARTS)}

    def __post_init__(self) -> None:
        require_bounds(self)
        if self.budget % PARTS:
            raise ConfigurationError(f"budget: expected a multiple of {PARTS}, got {self.budget}")
        for name, updates in (("reinforcement", self.reinforcement.updates), ("policy", self.policy.updates)):
            if updates not in (1, 2):
                raise ConfigurationError(f"{name}.updates: expected 1 or 2, so that budgets divide, got {updates}")

    def imitate(self, passes: int) -> ImitationConfig:
        """Imitation for some of the budget."""
        return replace(self.imitation, epochs=passes)

    def judge(self, passes: int) -> RewardModelTrainingConfig:
        """The reward model for some of the budget."""
        return replace(self.reward_model, epochs=passes)

    def grow(self, passes: int) -> ReinforcementTrainingConfig:
        """The tree sampler for some of the budget."""
        return replace(self.reinforcement, epochs=passes // self.reinforcement.updates)

    def optimise(self, passes: int) -> PolicyTrainingConfig:
        """The imitation network's own GRPO for some of the budget."""
        return replace(self.policy, epochs=passes // self.policy.updates)


@dataclass(frozen=True)
class SchemeInputs:
    """What a scheme works on.

    Attributes:
        model: both branches, trained in place; a scheme that needs one leaves the other alone.
        samples: moments.
        rewards: their simulation.
        settings: of the stages.
        generator: of randomness.
        progress: is told of every update.
        runner: takes each stage to its end.
    """

    model: PairModel
    samples: Samples
    rewards: RewardSource
    settings: SchemeSettings
    generator: torch.Generator
    progress: Progress = silent
    runner: Runner = run_task


@dataclass(frozen=True)
class SchemeResult:
    """What came of a scheme.

    Attributes:
        plan_by: whose plan counts.
        history: of each stage, by epoch: losses (m, nats) or mean rewards.
    """

    plan_by: PlanBy
    history: Mapping[str, list[float]]
