"""How sure a reward model must be before it overrules a policy: margins found in towns of their own, one a policy.

A margin that suits one imitation policy does not suit another (paper section 3.4 joins them without training): the
better what the trees grow around, the more often a predicted gain is a mistake of the prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pair_drive_core.models.features import Features
from pair_drive_core.models.pair_model import PairModel
from pair_drive_core.scene import Scene, SceneError
from pair_drive_core.training.calibration import MARGINS
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.town_shards import MomentConfig, moments_of_town
from pair_drive_core.training.tree_evaluation import GrownScenes, calibrate, grow_scenes

ROOTS = ("imitation", "human")
"""What trees grow around."""


@dataclass(frozen=True)
class CalibrationTowns:
    """Where margins are found.

    Attributes:
        layouts: numbers of the towns, none of which anybody learnt from or is reported on.
        scenes: moments in all, as evenly over the towns as it goes.
        seed: of traffic, daylight and the choice of moments.
        simulated_s: life of each town.
    """

    layouts: tuple[int, ...]
    scenes: int = 420
    seed: int = 0
    simulated_s: float = 30.0

    def __post_init__(self) -> None:
        if not self.layouts:
            raise ValueError("layouts: expected at least one town, got none")
        if self.scenes < len(self.layouts):
            raise ValueError(f"scenes: expected at least one a town ({len(self.layouts)}), got {self.scenes}")


@dataclass(frozen=True)
class FoundMargin:
    """What came of trying margins around one kind of root.

    Attributes:
        margin: of the best mean EPDMS (human filter off); of equal ones the smallest.
        scores: of all that were tried.
        root: mean EPDMS of the root itself.
    """

    margin: float
    scores: Mapping[float, float]
    root: float


@dataclass(frozen=True)
class _MomentSamples:
    """Moments in memory, as `grow_scenes` reads them."""

    inputs: Features
    human: Tensor
    scenes: Sequence[Scene]

    def __len__(self) -> int:
        return len(self.scenes)

    def features(self, index: Tensor) -> Features:
        return self.inputs[index]

    def scene(self, index: int) -> Scene:
        return self.scenes[index]


def find_margins(
    model: PairModel, towns: CalibrationTowns, margins: Sequence[float] = MARGINS, progress: Progress = silent
) -> dict[str, FoundMargin]:
    """Try margins around the imitation plans and around the human's, in towns sensed as by a vehicle.

    Args:
        model: both branches, in evaluation mode.
        towns: where.
        margins: to try.
        progress: is told of every town.

    Returns:
        By `ROOTS`.
    """
    parts: dict[str, list[GrownScenes]] = {root: [] for root in ROOTS}
    share, rest = divmod(towns.scenes, len(towns.layouts))
    for number, layout in enumerate(towns.layouts):
        wanted = MomentConfig(
            scenes_a_town=share + (number < rest),
            simulated_s=towns.simulated_s,
            seed=towns.seed,
            displaced_share=0.0,
            full_picture_share=1.0,
        )
        samples = _samples(model, layout, towns.seed, wanted)
        for root in ROOTS:
            parts[root].append(grow_scenes(model, samples, reference=root))
        progress("calibration", number + 1, len(towns.layouts), {})
    return {root: _found(grown, margins) for root, grown in parts.items()}


def with_margins(model: PairModel, found: Mapping[str, FoundMargin]) -> PairModel:
    """The model, its join told the margins."""
    join = replace(model.config.join, margin=found["imitation"].margin, human_margin=found["human"].margin)
    model.config = replace(model.config, join=join)
    return model


def _samples(model: PairModel, layout: int, seed: int, wanted: MomentConfig) -> _MomentSamples:
    moments = list(moments_of_town(layout, seed, wanted, model.config.features))
    humans = [moment.scene.human.poses for moment in moments if moment.scene.human is not None]
    if len(humans) < len(moments) or not moments:
        raise SceneError(f"town {layout}: expected moments with demonstrations, got {len(humans)} of {len(moments)}")
    features = Features.concatenate([moment.features for moment in moments])
    return _MomentSamples(features, torch.stack(humans).float(), [moment.scene for moment in moments])


def _found(parts: Sequence[GrownScenes], margins: Sequence[float]) -> FoundMargin:
    grown = GrownScenes(*(torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])))
    best, scores = calibrate(grown, margins)
    return FoundMargin(best, scores, float(grown.totals[:, 0, 1].mean()))
