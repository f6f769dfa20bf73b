"""Both branches together: the imitation plan, the tree around it, the reward model's choice (paper section 3.4)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pair_drive_core.models.bev_backbone import BevFeatures
from pair_drive_core.models.features import Features, build_features
from pair_drive_core.models.pair_model import JoinConfig, PairModel, ReinforcementBranch
from pair_drive_core.models.reward_world_model import PredictedReward
from pair_drive_core.models.transfuser import TransFuser
from pair_drive_core.models.tree import TrajectoryTree
from pair_drive_core.models.tree_sampler import Growth
from pair_drive_core.planning.plan import CandidateTrajectories, Plan, PlanSource
from pair_drive_core.scene import AgentInput

_ROWS_A_ROW = 2
"""Rows of a picture that are left, at least, for each row of the network's input."""
_CHANGE_POSES = 6
"""Poses over which a plan is compared with the one before: 3 s."""


@dataclass(frozen=True)
class ParallelChoice:
    """What the reinforcement branch makes of B references.

    Attributes:
        tree: its leaf 0 is the reference.
        leaves: (B, G, 8, 3), those of the tree and, last, the plan before where it is weighed.
        log_prob: (B, G), of the leaves' intentions; 0 for the reference and the plan before.
        predicted: of all G leaves.
        chosen: (B,) int64, leaf that is the plan.
    """

    tree: TrajectoryTree
    leaves: Tensor
    log_prob: Tensor
    predicted: PredictedReward
    chosen: Tensor


class Networks(Protocol):
    """Everything that a plan asks networks for; `runtime` has several ways to compute it."""

    @property
    def backend(self) -> str:
        """Which way it is."""
        ...

    def look(self, features: Features) -> tuple[BevFeatures, Tensor]:
        """The reinforcement branch's F_BEV and the imitation branch's plans, (B, 8, 3)."""
        ...

    def judge(self, bev: BevFeatures, poses: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """The tree's policy at all nodes of a level; see `TreePolicy`."""
        ...

    def predict(self, bev: BevFeatures, poses: Tensor) -> PredictedReward:
        """The reward world model of all leaves; see `RewardWorldModel`."""
        ...


class EagerNetworks:
    """The model's own networks, in float32, operation by operation."""

    def __init__(self, model: PairModel) -> None:
        self.model = model
        self._one_backbone = backbones_are_equal(model)

    @property
    def backend(self) -> str:
        """See `Networks`."""
        return "eager"

    def look(self, features: Features) -> tuple[BevFeatures, Tensor]:
        """See `Networks`; equal backbones look once."""
        imitation = self.model.imitation
        bev = self.model.reinforcement.backbone(features)
        if self._one_backbone and isinstance(imitation, TransFuser):
            return bev, imitation.decode(bev)
        return bev, imitation(features)

    def judge(self, bev: BevFeatures, poses: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """See `Networks`."""
        judged: tuple[Tensor, Tensor] = self.model.reinforcement.sampler.policy(bev, poses, level)
        return judged

    def predict(self, bev: BevFeatures, poses: Tensor) -> PredictedReward:
        """See `Networks`."""
        return self.model.reinforcement.reward.predict(bev, poses)


@dataclass(frozen=True)
class StageTimes:
    """Where the time of a plan went, s.

    Attributes:
        features: from readings to network inputs.
        look: backbones and imitation plan.
        choose: tree, scores of the leaves, choice.
    """

    features: float
    look: float
    choose: float


def choose(
    branch: ReinforcementBranch,
    bev: BevFeatures,
    reference: Tensor,
    config: JoinConfig,
    previous: Tensor | None = None,
    networks: Networks | None = None,
) -> ParallelChoice:
    """Grow trees around references, score their leaves with the reward world model and take the best.

    Args:
        branch: in evaluation mode.
        bev: the branch's own F_BEV of B moments.
        reference: (B, 8, 3), the imitation branch's plans (or any other's); ego frame at t0; m, rad.
        config: how to join.
        previous: (B, 8, 3), the plans before in today's ego frames; None where there are none. They count only with
            `config.change_cost` above 0.
        networks: computes what the branch's networks say in another way; None asks them themselves.
    """
    predict = branch.reward.predict if networks is None else networks.predict

    def value(poses: Tensor) -> Tensor:
        return predict(bev, poses).reward

    valued = value if config.value_weight > 0.0 else None
    policy = None if networks is None else networks.judge
    growth = Growth(value=valued, value_weight=config.value_weight, policy=policy)
    tree = branch.sampler.sample(bev, reference, growth, config.group_size)
    nothing = torch.zeros_like(tree.log_prob[:, :1])
    leaves, log_prob = tree.leaves, torch.cat((nothing, tree.log_prob), dim=1)
    if config.change_cost == 0.0:
        previous = None
    if previous is not None:
        leaves, log_prob = torch.cat((leaves, previous.unsqueeze(1)), dim=1), torch.cat((log_prob, nothing), dim=1)
    predicted = predict(bev, leaves)
    merit = predicted.reward.clone()
    merit[:, 0] += config.margin
    if previous is not None:
        merit -= config.change_cost * change_m(leaves, previous)
    return ParallelChoice(tree, leaves, log_prob, predicted, merit.argmax(1))


def change_m(leaves: Tensor, previous: Tensor) -> Tensor:
    """(B, G): mean distance of leaves, (B, G, 8, 3), from the plans before, (B, 8, 3), over the first 3 s, m."""
    soon = slice(None, _CHANGE_POSES)
    apart: Tensor = (leaves[..., soon, :2] - previous[:, None, soon, :2]).norm(dim=-1)
    return apart.mean(-1)


@torch.inference_mode()
def plan_batch(model: PairModel, features: Features, config: JoinConfig | None = None) -> ParallelChoice:
    """Both branches on B moments at once; for evaluation."""
    branch = model.reinforcement
    return choose(branch, branch.backbone(features), model.imitation(features), config or model.config.join)


def backbones_are_equal(model: PairModel) -> bool:
    """Whether both branches see alike, weight by weight, so that looking once is enough.

    So it is where the reinforcement branch took the other's backbone over and left it as it was
    (`training/layered_run.py`).
    """
    if not isinstance(model.imitation, TransFuser):
        return False
    mine, other = model.imitation.backbone.state_dict(), model.reinforcement.backbone.state_dict()
    return mine.keys() == other.keys() and all(torch.equal(mine[name], other[name]) for name in mine)


class ParallelPlanner:
    """PaIR-Drive's planner; `GuardedPlanner` checks what comes out."""

    def __init__(
        self,
        model: PairModel,
        device: torch.device | None = None,
        config: JoinConfig | None = None,
        networks: Networks | None = None,
    ) -> None:
        """`networks`: of this model; None takes its own."""
        self.device = device or torch.device("cpu")
        self.model = model.to(self.device).eval()
        self.config = config or model.config.join
        self.networks: Networks = networks or EagerNetworks(self.model)
        self.stages: StageTimes | None = None
        """Of the newest plan."""

    @property
    def name(self) -> str:
        """Short name for reports."""
        return "pair"

    @property
    def least_picture_rows(self) -> int:
        """See `ModestPlanner`: a mean of pixels may be taken in two steps, other ways of shrinking may not."""
        features = self.model.config.features
        return _ROWS_A_ROW * features.image_height_px if features.area_interpolation else 0

    def plan(self, agent_input: AgentInput) -> Plan:
        """Plan 4 s ahead; see `Planner`. The plan's `candidates` hold the whole tree."""
        return self._plan(agent_input, None)

    def plan_after(self, agent_input: AgentInput, previous: Tensor) -> Plan:
        """Plan 4 s ahead, the plan before being one of the leaves; see `SteadyPlanner` and `JoinConfig.change_cost`."""
        return self._plan(agent_input, previous)

    @torch.inference_mode()
    def _plan(self, agent_input: AgentInput, previous: Tensor | None) -> Plan:
        started = time.perf_counter()
        features = build_features(agent_input, self.model.config.features).to(self.device)
        built = time.perf_counter()
        bev, reference = self.networks.look(features)
        looked = time.perf_counter()
        before = None if previous is None else previous.to(reference).unsqueeze(0)
        choice = choose(self.model.reinforcement, bev, reference, self.config, before, self.networks)
        candidates = self._candidates(choice)
        index = int(choice.chosen[0])
        self.stages = StageTimes(built - started, looked - built, time.perf_counter() - looked)
        return Plan(
            candidates.poses[index],
            PlanSource.IMITATION if index == candidates.imitation_index else PlanSource.REINFORCEMENT,
            float(candidates.reward[index]),
            float(candidates.confidence[index]),
            candidates,
        )

    def _candidates(self, choice: ParallelChoice) -> CandidateTrajectories:
        """The leaves of a batch of one, on the CPU; intentions of those that did not grow read KEEP."""
        grown = choice.tree.intentions[0].cpu()
        intentions = grown.new_zeros(choice.leaves.shape[1], grown.shape[1])
        intentions[1 : 1 + len(grown)] = grown
        return CandidateTrajectories(
            poses=choice.leaves[0].cpu(),
            intentions=intentions,
            log_prob=choice.log_prob[0].cpu(),
            reward=choice.predicted.reward[0].cpu(),
            confidence=choice.predicted.confidence[0].cpu(),
            sub_scores=choice.predicted.sub_scores[0].cpu(),
            sub_score_names=self.model.reinforcement.reward.names,
            imitation_index=0,
        ).validate()
