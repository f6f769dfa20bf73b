"""Both branches together: the imitation plan, the tree around it, the reward model's choice (paper section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.models.bev_backbone import BevFeatures
from pair_drive_core.models.features import Features, build_features
from pair_drive_core.models.pair_model import JoinConfig, PairModel, ReinforcementBranch
from pair_drive_core.models.reward_world_model import PredictedReward
from pair_drive_core.models.tree import TrajectoryTree
from pair_drive_core.models.tree_sampler import Growth
from pair_drive_core.planning.plan import CandidateTrajectories, Plan, PlanSource
from pair_drive_core.scene import AgentInput


@dataclass(frozen=True)
class ParallelChoice:
    """What the reinforcement branch makes of B references.

    Attributes:
        tree: leaf 0 is the reference.
        log_prob: (B, G), of the leaves' intentions; 0 for the reference.
        predicted: of all G leaves.
        chosen: (B,) int64, leaf that is the plan.
    """

    tree: TrajectoryTree
    log_prob: Tensor
    predicted: PredictedReward
    chosen: Tensor


def choose(branch: ReinforcementBranch, bev: BevFeatures, reference: Tensor, config: JoinConfig) -> ParallelChoice:
    """Grow trees around references, score their leaves with the reward world model and take the best.

    Args:
        branch: in evaluation mode.
        bev: the branch's own F_BEV of B moments.
        reference: (B, 8, 3), the imitation branch's plans (or any other's); ego frame at t0; m, rad.
        config: how to join.
    """

    def value(poses: Tensor) -> Tensor:
        return branch.reward.predict(bev, poses).reward

    growth = Growth(value=value, value_weight=config.value_weight)
    tree = branch.sampler.sample(bev, reference, growth, config.group_size)
    predicted = branch.reward.predict(bev, tree.leaves)
    merit = predicted.reward.clone()
    merit[:, 0] += config.margin
    return ParallelChoice(
        tree, torch.cat((torch.zeros_like(merit[:, :1]), tree.log_prob), dim=1), predicted, merit.argmax(1)
    )


@torch.inference_mode()
def plan_batch(model: PairModel, features: Features, config: JoinConfig | None = None) -> ParallelChoice:
    """Both branches on B moments at once; for evaluation."""
    branch = model.reinforcement
    return choose(branch, branch.backbone(features), model.imitation(features), config or model.config.join)


class ParallelPlanner:
    """PaIR-Drive's planner; `GuardedPlanner` checks what comes out."""

    def __init__(
        self,
        model: PairModel,
        device: torch.device | None = None,
        config: JoinConfig | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.model = model.to(self.device).eval()
        self.config = config or model.config.join

    @property
    def name(self) -> str:
        """Short name for reports."""
        return "pair"

    @torch.inference_mode()
    def plan(self, agent_input: AgentInput) -> Plan:
        """Plan 4 s ahead; see `Planner`. The plan's `candidates` hold the whole tree."""
        features = build_features(agent_input, self.model.config.features).to(self.device)
        reference = self.model.imitation(features)
        branch = self.model.reinforcement
        choice = choose(branch, branch.backbone(features), reference, self.config)
        candidates = self._candidates(choice)
        index = int(choice.chosen[0])
        return Plan(
            candidates.poses[index],
            PlanSource.IMITATION if index == candidates.imitation_index else PlanSource.REINFORCEMENT,
            float(candidates.reward[index]),
            float(candidates.confidence[index]),
            candidates,
        )

    def _candidates(self, choice: ParallelChoice) -> CandidateTrajectories:
        """The one tree of a batch of one, on the CPU; the reference's intentions read KEEP."""
        grown = choice.tree.intentions[0].cpu()
        intentions = torch.cat((torch.zeros_like(grown[:1]), grown))
        return CandidateTrajectories(
            poses=choice.tree.leaves[0].cpu(),
            intentions=intentions,
            log_prob=choice.log_prob[0].cpu(),
            reward=choice.predicted.reward[0].cpu(),
            confidence=choice.predicted.confidence[0].cpu(),
            sub_scores=choice.predicted.sub_scores[0].cpu(),
            sub_score_names=self.model.reinforcement.reward.names,
            imitation_index=0,
        ).validate()
