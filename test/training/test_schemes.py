"""Every scheme on three moments: losses fall, rewards rise, and all take the same number of steps."""

import dataclasses

import pytest
import torch

from pair_drive_core.models.configuration import ConfigurationError
from pair_drive_core.training.augmentation import AugmentationConfig
from pair_drive_core.training.imitation import ImitationConfig
from pair_drive_core.training.optimisation import OptimiserConfig
from pair_drive_core.training.policy_optimisation import PolicyTrainingConfig
from pair_drive_core.training.reinforcement import ReinforcementTrainingConfig
from pair_drive_core.training.reward_model import RewardModelTrainingConfig
from pair_drive_core.training.reward_source import Rewards
from pair_drive_core.training.samples import DrivingSamples
from pair_drive_core.training.schemes import SCHEMES, PlanBy, Scheme, SchemeInputs, SchemeSettings

FAST = OptimiserConfig(learning_rate=5e-3, weight_decay=0.0)
PLAIN = AugmentationConfig(0.0, 0.0, 0.0, 0.0)
SETTINGS = SchemeSettings(
    budget=36,
    imitation=ImitationConfig(batch_size=3, bev_weight=0.0, optimiser=FAST, augmentation=PLAIN),
    reward_model=RewardModelTrainingConfig(
        batch_size=3, candidates=6, bev_weight=0.0, optimiser=FAST, augmentation=PLAIN
    ),
    reinforcement=ReinforcementTrainingConfig(batch_size=3, value_weight=0.0, extra_candidates=0, optimiser=FAST),
    policy=PolicyTrainingConfig(batch_size=3, optimiser=FAST),
)


@pytest.fixture
def samples(features, reference):
    parts = [features[i : i + 1] for i in range(3)]
    return DrivingSamples.from_features(parts, reference, torch.zeros(3, 32, 32, dtype=torch.uint8))


def to_the_left(scenes, trajectories):
    """The further to the left a plan ends the better."""
    total = torch.sigmoid(trajectories[..., -1, 1] / 4.0)
    return Rewards(total, total.unsqueeze(-1).expand(-1, -1, 5))


class Counting:
    """Counts the steps of the optimiser that a scheme is given."""

    def __init__(self):
        self.steps = {}

    def __call__(self, task, seed, progress):
        from pair_drive_core.training.loop import run_task

        course = task.course
        self.steps[course.stage] = course.updates * course.steps
        return run_task(task, seed, progress)


@pytest.mark.parametrize("scheme", Scheme)
def test_losses_fall_and_rewards_rise(scheme, model, samples):
    # The parallel scheme gives a sixth of its budget to reinforcement: more of it, so that there is a trend to see.
    settings = dataclasses.replace(SETTINGS, budget=240 if scheme is Scheme.PARALLEL else SETTINGS.budget)
    counting = Counting()
    inputs = SchemeInputs(model, samples, to_the_left, settings, torch.Generator().manual_seed(0), runner=counting)
    untouched = {name: value.clone() for name, value in model.reinforcement.state_dict().items()}
    result = SCHEMES[scheme](inputs)
    assert sum(counting.steps.values()) == settings.budget
    for stage, values in result.history.items():
        if stage in ("policy", "reinforcement"):
            third = max(len(values) // 3, 1)
            assert sum(values[-third:]) > sum(values[:third]), (stage, values)
        else:
            assert values[-1] < values[0], (stage, values)
    if result.plan_by is PlanBy.IMITATION:
        assert all(torch.equal(untouched[name], value) for name, value in model.reinforcement.state_dict().items())


def test_iterative_takes_turns(model, samples):
    counting = Counting()
    few = dataclasses.replace(SETTINGS, budget=12)
    SCHEMES[Scheme.ITERATIVE](
        SchemeInputs(model, samples, to_the_left, few, torch.Generator().manual_seed(0), runner=counting)
    )
    assert list(counting.steps) == [f"{stage} {turn}" for turn in (1, 2, 3) for stage in ("imitation", "policy")]
    assert set(counting.steps.values()) == {2}


def test_a_budget_that_does_not_divide_is_refused():
    with pytest.raises(ConfigurationError, match="budget: expected a multiple of 12, got 13"):
        dataclasses.replace(SETTINGS, budget=13)
