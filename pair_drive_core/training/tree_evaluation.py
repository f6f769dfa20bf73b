"""How a model's trees do on scenes: which leaf is chosen, which would have been best, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from pair_drive_core.models.bev_backbone import BevFeatures
from pair_drive_core.models.features import Features
from pair_drive_core.models.pair_model import JoinConfig, PairModel
from pair_drive_core.models.reward_world_model import RewardFormula, head_names
from pair_drive_core.policies.parallel import choose
from pair_drive_core.scene import Scene
from pair_drive_core.training.calibration import MARGINS
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.reward_source import RewardSource
from pair_drive_core.training.samples import ordered_batches
from pair_drive_core.training.simulated_rewards import SimulatedRewards

_RESAMPLES = 2000


class SceneSamples(Protocol):
    """Moments whose trees can be scored."""

    @property
    def human(self) -> Tensor:
        """(S, 8, 3), the demonstrated trajectory, ego frame at t0; m, rad."""
        ...

    def __len__(self) -> int:
        """Number of moments."""
        ...

    def features(self, index: Tensor) -> Features:
        """Network inputs of some moments."""
        ...

    def scene(self, index: int) -> Scene:
        """The scene of a moment."""
        ...


@dataclass(frozen=True)
class GrownScenes:
    """Trees around the imitation plans of S scenes, every leaf scored by the exact metrics.

    Attributes:
        leaves: (S, G, 8, 3), the imitation plan first.
        human: (S, 8, 3).
        predicted: (S, G), rewards.
        totals: (S, G + 1, 2), PDMS and EPDMS (human filter off) of the leaves and, last, of the human.
        sub_scores: (S, G + 1, H), of EPDMS.
    """

    leaves: Tensor
    human: Tensor
    predicted: Tensor
    totals: Tensor
    sub_scores: Tensor

    def chosen(self, margin: float) -> Tensor:
        """(S,) int64, the leaf that is the plan."""
        merit = self.predicted.clone()
        merit[:, 0] += margin
        return merit.argmax(1)


@dataclass(frozen=True)
class PlannerMeans:
    """Means over scenes.

    Attributes:
        pdms: in [0, 1].
        epdms: in [0, 1], human filter off.
        gain_pdms: over the imitation plan: mean, and the ends of a paired bootstrap interval (95 %).
        gain_epdms: likewise.
        sub_scores: of EPDMS, by name.
    """

    pdms: float
    epdms: float
    gain_pdms: tuple[float, float, float]
    gain_epdms: tuple[float, float, float]
    sub_scores: Mapping[str, float]


@torch.inference_mode()
def grow_scenes(
    model: PairModel,
    samples: SceneSamples,
    progress: Progress = silent,
    config: JoinConfig | None = None,
    reference: str = "imitation",
    batch_size: int = 20,
    rewards: Sequence[RewardSource] = (),
) -> GrownScenes:
    """Grow and score the trees of all moments.

    Args:
        model: both branches, in evaluation mode.
        samples: moments; scenes without PDM-Closed's plan are given one.
        progress: is told of every batch.
        config: how the branches are joined.
        reference: what the trees grow around: "imitation" plans or the "human".
        batch_size: moments at a time.
        rewards: the moments' simulation, one a formula; without, they are prepared on the way.
    """
    join = config or model.config.join
    parts: list[tuple[Tensor, ...]] = []
    for index in ordered_batches(len(samples), batch_size):
        features = samples.features(index)
        human = samples.human[index]
        root = human if reference == "human" else model.imitation(features)
        bev: BevFeatures = model.reinforcement.backbone(features)
        choice = choose(model.reinforcement, bev, root, replace(join, margin=0.0))
        leaves = choice.tree.leaves
        scored = torch.cat((leaves, human.unsqueeze(1)), dim=1)
        if rewards:
            both = [reward(index, scored) for reward in rewards]
        else:
            scenes = [samples.scene(int(i)) for i in index]
            both = [SimulatedRewards(scenes, formula)(torch.arange(len(index)), scored) for formula in RewardFormula]
        totals = torch.stack([reward.total for reward in both], dim=-1)
        parts.append((leaves, human, choice.predicted.reward, totals, both[-1].sub_scores))
        progress("trees", int(index[-1]) + 1, len(samples), {})
    return GrownScenes(*(torch.cat(column).clone() for column in zip(*parts, strict=True)))


def calibrate(grown: GrownScenes, margins: Sequence[float] = MARGINS) -> tuple[float, dict[float, float]]:
    """The margin whose choice scores best (EPDMS), the smallest of equal ones, and the scores of all."""
    row = torch.arange(len(grown.human))
    scores = {margin: float(grown.totals[row, grown.chosen(margin), 1].mean()) for margin in margins}
    return max(margins, key=lambda margin: (scores[margin], -margin)), scores


def compare(grown: GrownScenes, margin: float, seed: int = 0) -> dict[str, PlannerMeans]:
    """Means of the human, the imitation plan (or whatever the trees grew around), the chosen and the best leaf."""
    row = torch.arange(len(grown.human))
    leaves = grown.totals.shape[1] - 1
    places = {
        "human": torch.full_like(row, leaves),
        "root": torch.zeros_like(row),
        "pair": grown.chosen(margin),
        "best leaf": grown.totals[:, :leaves, 1].argmax(1),
    }
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randint(len(row), (_RESAMPLES, len(row)), generator=generator)
    names = head_names(RewardFormula.EPDMS)
    means: dict[str, PlannerMeans] = {}
    for name, place in places.items():
        totals = grown.totals[row, place]
        gain = totals - grown.totals[:, 0]
        spread = gain[draws].mean(1).quantile(torch.tensor([0.025, 0.975]), dim=0)
        pdms_gain, epdms_gain = ((float(gain[:, k].mean()), float(spread[0, k]), float(spread[1, k])) for k in range(2))
        sub_scores = dict(zip(names, grown.sub_scores[row, place].mean(0).tolist(), strict=True))
        means[name] = PlannerMeans(
            float(totals[:, 0].mean()), float(totals[:, 1].mean()), pdms_gain, epdms_gain, sub_scores
        )
    return means
