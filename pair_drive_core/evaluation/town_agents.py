"""Everything that can plan in a town's moments, batch by batch: baselines, branches, their joins, oracles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import torch
from torch import Tensor

from pair_drive_core.geometry import relative_se2
from pair_drive_core.models.features import Features
from pair_drive_core.models.pair_model import JoinConfig, PairModel
from pair_drive_core.planning import ConstantVelocityPlanner
from pair_drive_core.policies.parallel import ParallelChoice, choose
from pair_drive_core.scene import Scene, SceneError
from pair_drive_core.training.references import random_leaves

_REFERENCE_STRIDE = 5
"""Steps of PDM-Closed's reference between two poses of a plan."""
_OFFSETS_SEED = 1


class TownAgent(str, Enum):
    """Who plans."""

    HUMAN = "human"
    """The demonstration."""
    CONSTANT_VELOCITY = "constant-velocity"
    """Straight on at the present speed."""
    PDM_CLOSED = "pdm-closed"
    """The metric's own reference, with the truth of t0."""
    IMITATION = "imitation"
    """The imitation branch alone."""
    REWARD_MODEL = "imitation+reward"
    """The reward model's choice of the imitation plan and random offsets of it: no tree, no policy."""
    PAIR = "pair"
    """Both branches."""
    STEADY_PAIR = "pair+before"
    """Both branches, their plan of 0.5 s before being one of the leaves (`JoinConfig.change_cost`), as in a vehicle."""
    HUMAN_PAIR = "human+pair"
    """The reinforcement branch around the demonstration."""
    BEST_LEAF = "best-leaf"
    """An oracle: the simulator's choice of the leaves of `PAIR`, for each metric its own."""
    HUMAN_BEST_LEAF = "human+best-leaf"
    """An oracle: likewise of the leaves of `HUMAN_PAIR`."""


LEARNED = frozenset(TownAgent) - {TownAgent.HUMAN, TownAgent.CONSTANT_VELOCITY, TownAgent.PDM_CLOSED}
"""Agents that need a checkpoint."""
ORACLES = frozenset((TownAgent.BEST_LEAF, TownAgent.HUMAN_BEST_LEAF))
"""Agents that choose with the simulator's help."""


@dataclass(frozen=True)
class AgentPlans:
    """What agents would do in B moments.

    Attributes:
        plans: (B, 8, 3) each; ego frame at t0; m, rad. Of an oracle (B, G, 8, 3): what it may choose from.
    """

    plans: Mapping[TownAgent, Tensor]

    def stacked(self) -> tuple[Tensor, dict[TownAgent, slice]]:
        """(B, K, 8, 3) plans of all agents, and which of the K are whose."""
        columns: dict[TownAgent, slice] = {}
        parts: list[Tensor] = []
        count = 0
        for agent, plan in self.plans.items():
            part = plan if plan.dim() == 4 else plan.unsqueeze(1)
            columns[agent] = slice(count, count + part.shape[1])
            count += part.shape[1]
            parts.append(part.double())
        return torch.cat(parts, dim=1), columns


@torch.inference_mode()
def plan_agents(
    agents: Sequence[TownAgent],
    scenes: Sequence[Scene],
    features: Features,
    references: Tensor,
    model: PairModel | None,
    join: JoinConfig | None = None,
    previous: Tensor | None = None,
) -> AgentPlans:
    """Let agents plan in B moments; each network sees all of them at once.

    Args:
        agents: who.
        scenes: of the moments, each with a demonstration.
        features: of the moments.
        references: (B, 41, 3), PDM-Closed's, global.
        model: both branches, in evaluation mode; needed by learned agents.
        join: how the branches are joined; None takes the model's.
        previous: (B, 8, 3), what both branches planned before, seen from now (`STEADY_PAIR`); None where it is not
            known.

    Raises:
        SceneError: if a demonstration is missing.
        ValueError: if a learned agent is asked for without a model.
    """
    humans = [scene.human for scene in scenes if scene.human is not None]
    if len(humans) < len(scenes):
        raise SceneError(f"expected a demonstration in every scene, {len(scenes) - len(humans)} have none")
    human = torch.stack([demonstration.poses for demonstration in humans]).float()
    plans: dict[TownAgent, Tensor] = {}
    straight = ConstantVelocityPlanner()
    learned = _Learned(model, features, human, join, previous)
    for agent in agents:
        if agent is TownAgent.HUMAN:
            plans[agent] = human
        elif agent is TownAgent.CONSTANT_VELOCITY:
            plans[agent] = torch.stack([straight.plan_scene(scene).poses for scene in scenes])
        elif agent is TownAgent.PDM_CLOSED:
            poses = zip(scenes, references, strict=True)
            stride = slice(_REFERENCE_STRIDE, None, _REFERENCE_STRIDE)
            plans[agent] = torch.stack([relative_se2(scene.ego.pose, poses[stride]) for scene, poses in poses])
        else:
            plans[agent] = learned.plan(agent)
    return AgentPlans(plans)


class _Learned:
    """A model's answers in B moments, each computed once and only if somebody asks."""

    def __init__(
        self,
        model: PairModel | None,
        features: Features,
        human: Tensor,
        join: JoinConfig | None,
        previous: Tensor | None,
    ) -> None:
        self._model, self._features, self._human = model, features, human
        self._join, self._previous = join, previous
        self._imitation: Tensor | None = None
        self._choices: dict[bool, ParallelChoice] = {}

    def plan(self, agent: TownAgent) -> Tensor:
        if agent is TownAgent.IMITATION:
            return self._plans()
        if agent is TownAgent.REWARD_MODEL:
            return self._without_tree()
        if agent is TownAgent.STEADY_PAIR and self._previous is not None:
            return self._after(self._previous)
        around_human = agent in (TownAgent.HUMAN_PAIR, TownAgent.HUMAN_BEST_LEAF)
        choice = self._choice(around_human)
        if agent in (TownAgent.BEST_LEAF, TownAgent.HUMAN_BEST_LEAF):
            return choice.tree.leaves
        return choice.tree.leaves[torch.arange(len(self._human)), choice.chosen]

    def _network(self) -> PairModel:
        if self._model is None:
            raise ValueError("a learned agent needs a checkpoint, got none")
        return self._model

    def _plans(self) -> Tensor:
        if self._imitation is None:
            self._imitation = self._network().imitation(self._features)
        return self._imitation

    def _choice(self, around_human: bool) -> ParallelChoice:
        if around_human not in self._choices:
            branch = self._network().reinforcement
            root = self._human if around_human else self._plans()
            config = self._settings()
            if around_human and config.human_margin is not None:
                config = replace(config, margin=config.human_margin)
            self._choices[around_human] = choose(branch, branch.backbone(self._features), root, config)
        return self._choices[around_human]

    def _after(self, previous: Tensor) -> Tensor:
        branch = self._network().reinforcement
        bev, config = branch.backbone(self._features), self._settings()
        choice = choose(branch, bev, self._plans(), config, previous.to(self._plans()))
        return choice.leaves[torch.arange(len(self._human)), choice.chosen]

    def _settings(self) -> JoinConfig:
        return self._join or self._network().config.join

    def _without_tree(self) -> Tensor:
        """The best of as many candidates as the tree has leaves, drawn evenly within the offsets' bounds."""
        model, plans = self._network(), self._plans()
        config = self._settings()
        sampler = model.reinforcement.sampler.config
        count = (config.group_size or sampler.group_size) - 1
        generator = torch.Generator().manual_seed(_OFFSETS_SEED)
        drawn = random_leaves(plans, count, sampler.offsets, generator)
        candidates = torch.cat((plans.unsqueeze(1), drawn), dim=1)
        merit = model.reinforcement.reward.predict(model.reinforcement.backbone(self._features), candidates).reward
        merit[:, 0] += config.margin
        return candidates[torch.arange(len(plans)), merit.argmax(1)]
