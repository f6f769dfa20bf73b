"""How sure the reward model must be before it overrules the imitation plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from pair_drive_core.models.pair_model import JoinConfig, PairModel
from pair_drive_core.policies.parallel import plan_batch
from pair_drive_core.training.reward_source import RewardSource
from pair_drive_core.training.samples import Samples, ordered_batches

MARGINS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5)
"""Margins that are tried; 0 is the paper's. The better the policy (a human most of all), the greater the best one."""


@dataclass(frozen=True)
class Calibration:
    """Scores reached with each margin on the scenes of the calibration.

    Attributes:
        margins: tried.
        scores: mean simulated reward of the plans chosen with each.
    """

    margins: tuple[float, ...]
    scores: tuple[float, ...]

    @property
    def best_margin(self) -> float:
        """The margin of the best score; of equal ones the smallest."""
        return self.margins[self.scores.index(max(self.scores))]


@torch.inference_mode()
def calibrate_margin(
    model: PairModel, samples: Samples, rewards: RewardSource, margins: Sequence[float] = MARGINS
) -> Calibration:
    """Try margins on scenes that neither branch was trained on, nor is reported on.

    Args:
        model: both branches, in evaluation mode.
        samples: of the calibration's scenes.
        rewards: their simulation.
        margins: to try.
    """
    free: JoinConfig = replace(model.config.join, margin=0.0)
    totals = [0.0] * len(margins)
    for index in ordered_batches(len(samples), 64):
        choice = plan_batch(model, samples.features(index), free)
        scores = rewards(index, choice.tree.leaves).total
        best = choice.predicted.reward.argmax(1)
        row = torch.arange(len(index))
        gain = choice.predicted.reward[row, best] - choice.predicted.reward[:, 0]
        for place, margin in enumerate(margins):
            chosen = torch.where(gain > margin, best, torch.zeros_like(best))
            totals[place] += float(scores[row, chosen].sum())
    return Calibration(tuple(margins), tuple(total / len(samples) for total in totals))
