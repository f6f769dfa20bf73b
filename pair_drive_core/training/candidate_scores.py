"""Candidates around demonstrations and imitation plans, scored once by the exact metric."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pair_drive_core.models.path_offsets import OffsetConfig
from pair_drive_core.models.reward_world_model import RewardFormula, head_names
from pair_drive_core.scoring import HumanFilter, prepare_scenes, score
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.references import random_leaves
from pair_drive_core.training.samples import ordered_batches
from pair_drive_core.training.shard_samples import ShardSamples


@dataclass(frozen=True)
class CandidateConfig:
    """How many trajectories of which kind; human and imitation plan come on top.

    Attributes:
        around_human: random leaves around the demonstration.
        around_plan: random leaves around the imitation plan.
        disturbed: disturbed demonstrations, and as many disturbed imitation plans, that are roots themselves.
        around_disturbed: random leaves around each of these.
        offsets: bounds of the leaves.
        seed: of the draw.
    """

    around_human: int = 8
    around_plan: int = 20
    disturbed: int = 2
    around_disturbed: int = 6
    offsets: OffsetConfig = field(default_factory=OffsetConfig)
    seed: int = 0


@dataclass(frozen=True)
class ScoredCandidates:
    """K trajectories of each of S moments.

    Attributes:
        poses: (S, K, 8, 3), ego frame at t0; m, rad; the human's first, then the imitation plan.
        sub_scores: (S, K, H) in [0, 1], in the order of the formula's heads.
    """

    poses: Tensor
    sub_scores: Tensor

    def __len__(self) -> int:
        """Number of moments."""
        return self.poses.shape[0]


def draw_candidates(human: Tensor, plan: Tensor, config: CandidateConfig, generator: torch.Generator) -> Tensor:
    """(B, K, 8, 3) candidates around demonstrations and plans, both (B, 8, 3)."""

    def leaves(root: Tensor, count: int) -> Tensor:
        return random_leaves(root, count, config.offsets, generator)

    parts = [
        human.unsqueeze(1),
        plan.unsqueeze(1),
        leaves(human, config.around_human),
        leaves(plan, config.around_plan),
    ]
    for root in (human, plan):
        for _ in range(config.disturbed):
            disturbed = leaves(root, 1)
            parts.extend((disturbed, leaves(disturbed[:, 0], config.around_disturbed)))
    return torch.cat(parts, dim=1)


@torch.no_grad()
def score_candidates(
    samples: ShardSamples,
    plans: Tensor,
    formula: RewardFormula,
    config: CandidateConfig,
    progress: Progress = silent,
    batch_size: int = 48,
) -> ScoredCandidates:
    """Draw and score the candidates of all moments.

    Args:
        samples: whose scenes carry PDM-Closed's plan.
        plans: (S, 8, 3), imitation plans.
        formula: which metric.
        config: which candidates.
        progress: is told of every batch.
        batch_size: scenes prepared at a time.
    """
    metric = formula.metric
    columns = [metric.sub_score_names.index(name) for name in head_names(formula)]
    generator = torch.Generator().manual_seed(config.seed)
    poses: list[Tensor] = []
    scores: list[Tensor] = []
    for index in ordered_batches(len(samples), batch_size):
        drawn = draw_candidates(samples.human[index], plans[index], config, generator)
        prepared = prepare_scenes([samples.scene(int(i)) for i in index], metric)
        scored = score(prepared, drawn, metric, human_filter=HumanFilter.OFF)
        poses.append(drawn)
        scores.append(scored.unfiltered[..., columns].float())
        progress("candidates", int(index[-1]) + 1, len(samples), {})
    return ScoredCandidates(torch.cat(poses), torch.cat(scores))
