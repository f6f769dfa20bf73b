"""GRPO on any policy of groups: draw, simulate, credit, update (paper section 3.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor, nn

from pair_drive_core.models.group_policy import DecisionsT, DrawT, GroupPolicy, Moments
from pair_drive_core.training.advantages import EdgeAdvantages
from pair_drive_core.training.grpo import AdaptiveBeta, GrpoConfig, credit_of, grpo_loss, weighted_mean
from pair_drive_core.training.loop import Course, Step, Task
from pair_drive_core.training.reward_source import Rewards, RewardSource
from pair_drive_core.training.samples import Samples

References = Callable[[Tensor, torch.Generator], Tensor]
"""(B, 8, 3) references for the moments at some places."""


@dataclass(frozen=True)
class Rollout(Generic[DrawT, DecisionsT]):
    """Groups of one batch of moments, simulated.

    Attributes:
        moments: in which they were drawn.
        draw: the groups.
        previous: the policy that drew them, without gradients.
        credit: advantages of its decisions.
        candidates: (B, K, 8, 3), all simulated trajectories: the groups', then others that were asked for.
        sub_scores: (B, K, S), of these.
        total: (B, G), rewards of the groups.
    """

    moments: Moments
    draw: DrawT
    previous: DecisionsT
    credit: EdgeAdvantages
    candidates: Tensor
    sub_scores: Tensor
    total: Tensor


class Companion(Generic[DrawT, DecisionsT]):
    """Something that learns from the same simulations; this one learns nothing."""

    def candidates(self, moments: Moments, generator: torch.Generator) -> Tensor | None:
        """(B, K, 8, 3): trajectories to simulate on top."""
        return None

    def loss(self, present: DecisionsT, rollout: Rollout[DrawT, DecisionsT]) -> tuple[Tensor, Mapping[str, float]]:
        """What is added to GRPO's loss, and figures of it."""
        return rollout.total.new_zeros(()), {}


def roll_out(
    policy: GroupPolicy[DrawT, DecisionsT],
    moments: Moments,
    scenes: Tensor,
    rewards: RewardSource,
    grpo: GrpoConfig,
    generator: torch.Generator,
    companion: Companion[DrawT, DecisionsT] | None = None,
) -> Rollout[DrawT, DecisionsT]:
    """Draw groups with the present policy and simulate them.

    Args:
        policy: draws.
        moments: B of them.
        scenes: (B,) int64, their places in the data set.
        rewards: the simulation.
        grpo: the objective.
        generator: of randomness.
        companion: may ask for more to be simulated.
    """
    with torch.no_grad():
        draw = policy.sample(moments, generator)
        previous = policy.decisions(moments, draw).detach()
    candidates = draw.leaves
    group = candidates.shape[1]
    extra = None if companion is None else companion.candidates(moments, generator)
    if extra is not None:
        candidates = torch.cat((candidates, extra), dim=1)
    scored = rewards(scenes, candidates)
    total = scored.total[:, :group]
    return Rollout(moments, draw, previous, credit_of(total, draw, grpo), candidates, scored.sub_scores, total)


class GroupTask(Task, Generic[DrawT, DecisionsT]):
    """GRPO's updates.

    Args:
        course: `follows` is "leaves" (mean reward of what was drawn) or "given" (of what was not).
        module: what is saved.
        parameters: of it, that learn.
        policy: draws.
        samples: inputs.
        references: what to depart from.
        rewards: the simulation.
        grpo: the objective.
        companion: learns from the same simulations.
    """

    def __init__(
        self,
        course: Course,
        module: nn.Module,
        parameters: list[nn.Parameter],
        policy: GroupPolicy[DrawT, DecisionsT],
        samples: Samples,
        references: References,
        rewards: RewardSource,
        grpo: GrpoConfig,
        companion: Companion[DrawT, DecisionsT] | None = None,
    ) -> None:
        self.course, self.module, self.parameters = course, module, parameters
        self.beta = AdaptiveBeta(grpo.kl)
        self._policy, self._samples, self._references = policy, samples, references
        self._rewards, self._grpo = _TimedRewards(rewards), grpo
        self._companion = companion or Companion()

    def update(self, index: Tensor, generator: torch.Generator, step: Step) -> Mapping[str, float]:
        """One rollout and the steps on it."""
        started = time.perf_counter()
        moments = Moments(self._samples.features(index), self._references(index, generator))
        rollout = roll_out(self._policy, moments, index, self._rewards, self._grpo, generator, self._companion)
        for _ in range(self.course.steps):
            present = self._policy.decisions(moments, rollout.draw)
            loss = grpo_loss(present, rollout.previous, rollout.credit, self._grpo, self.beta.value)
            beside, figures = self._companion.loss(present, rollout)
            step(loss.total + beside)
        # Told after the steps that it judges, so that the weight answers what the last of them did.
        with torch.no_grad():
            moved = self._policy.decisions(moments, rollout.draw).kl_from(rollout.previous)
        divergence = float(weighted_mean(moved, rollout.credit.weight))
        self.beta.update(divergence)
        return {
            "leaves": float(rollout.total[:, 1:].mean()),
            "given": float(rollout.total[:, 0].mean()),
            "best": float(rollout.total.amax(1).mean()),
            "KL": divergence,
            "beta": self.beta.value,
            "entropy": float(loss.entropy),
            **figures,
            "reward share": self._rewards.spent() / (time.perf_counter() - started),
        }

    def state(self) -> dict[str, float]:
        """The weight of the KL term."""
        return {"beta": self.beta.value}

    def restore(self, state: Mapping[str, float]) -> None:
        """See `Task`."""
        self.beta.value = state["beta"]

    def inputs(self, index: Tensor) -> dict[str, Tensor]:
        """See `Task`."""
        return {**self._samples.features(index).tensors(), "human": self._samples.human[index]}


class _TimedRewards:
    """A simulation and how long it took."""

    def __init__(self, rewards: RewardSource) -> None:
        self._rewards, self._seconds = rewards, 0.0

    def __call__(self, scenes: Tensor, trajectories: Tensor) -> Rewards:
        started = time.perf_counter()
        scored = self._rewards(scenes, trajectories)
        self._seconds += time.perf_counter() - started
        return scored

    def spent(self) -> float:
        """Seconds since this was asked last."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds
