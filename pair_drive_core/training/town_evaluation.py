"""How planners do on scenes: the figures that a training reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.models.pair_model import JoinConfig, PairModel
from pair_drive_core.models.reward_world_model import head_names
from pair_drive_core.policies.parallel import plan_batch
from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS
from pair_drive_core.training.navsim_samples import StreamedRewards
from pair_drive_core.training.samples import Samples, ordered_batches
from pair_drive_core.training.simulated_rewards import SimulatedRewards


@dataclass(frozen=True)
class PlannerResult:
    """Means over scenes.

    Attributes:
        score: PDMS or EPDMS (human filter off), in [0, 1].
        sub_scores: by name, in [0, 1].
        displacement_m: mean distance from the human's poses.
    """

    score: float
    sub_scores: Mapping[str, float]
    displacement_m: float


def constant_velocity(samples: Samples) -> Tensor:
    """(S, 8, 3): straight on at the present speed, NAVSIM's simplest baseline."""
    time = torch.arange(1, PLAN_STEPS + 1) * PLAN_INTERVAL_S
    plans = torch.zeros_like(samples.human)
    plans[..., 0] = samples.status[:, 4:6].norm(dim=-1, keepdim=True) * time
    return plans


@torch.inference_mode()
def evaluate(
    model: PairModel, samples: Samples, rewards: SimulatedRewards | StreamedRewards, config: JoinConfig | None = None
) -> dict[str, PlannerResult]:
    """Score the human, constant velocity, each branch's plan and the best leaf of the tree.

    Args:
        model: both branches, in evaluation mode.
        samples: inputs and demonstrations.
        rewards: the simulation of the same scenes.
        config: how the branches are joined.

    Returns:
        By planner: `human`, `constant velocity`, `imitation`, `pair` (the reward model's choice), `best leaf` (the
        simulation's choice of the same leaves).
    """
    batches = list(ordered_batches(len(samples), 64))
    choices = [plan_batch(model, samples.features(index), config) for index in batches]
    leaves = torch.cat([choice.tree.leaves for choice in choices])
    chosen = torch.cat([choice.chosen for choice in choices])
    scores = [rewards(index, leaves[index]).total for index in batches]
    best = torch.cat(scores).argmax(1)
    row = torch.arange(len(samples))
    plans = {
        "human": samples.human,
        "constant velocity": constant_velocity(samples),
        "imitation": leaves[:, 0],
        "pair": leaves[row, chosen],
        "best leaf": leaves[row, best],
    }
    return {name: _result(plan, samples, rewards, batches) for name, plan in plans.items()}


def _result(
    plans: Tensor, samples: Samples, rewards: SimulatedRewards | StreamedRewards, batches: list[Tensor]
) -> PlannerResult:
    scored = [rewards(index, plans[index].unsqueeze(1)) for index in batches]
    sub_scores = torch.cat([part.sub_scores for part in scored]).mean((0, 1))
    return PlannerResult(
        score=float(torch.cat([part.total for part in scored]).mean()),
        sub_scores=dict(zip(head_names(rewards.formula), sub_scores.tolist(), strict=True)),
        displacement_m=float((plans - samples.human)[..., :2].norm(dim=-1).mean()),
    )
