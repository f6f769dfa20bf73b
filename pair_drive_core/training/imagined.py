"""What a trained backbone imagines of many moments, kept, so that the reward model learns to read it quickly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pair_drive_core.datasets.atomic import whole_file
from pair_drive_core.models.bev_backbone import BevBackbone, BevFeatures, SeenFeatures
from pair_drive_core.models.transfuser import TransFuser
from pair_drive_core.scene import Scene
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.samples import ordered_batches
from pair_drive_core.training.shard_samples import ShardSamples


@dataclass(frozen=True)
class ImaginedSamples:
    """S moments.

    Attributes:
        layers: (S, LAYERS, h, w) float16, in the order of `WorldLayer`.
        best_progress: (S,), in `PROGRESS_SCALE_M`.
        status: (S, 8), as in `Features`.
        plans: (S, 8, 3), the imitation plans of the same moments.
        bev_map: (S, C, h, w) float16, as in `BevFeatures`; C is 0 where nobody reads it.
        tokens: (S, N + 1, D) float16, as in `BevFeatures`; D is 0 where nobody reads them.
    """

    layers: Tensor
    best_progress: Tensor
    status: Tensor
    plans: Tensor
    bev_map: Tensor
    tokens: Tensor

    def __len__(self) -> int:
        """Number of moments."""
        return self.plans.shape[0]

    def bev(self, index: Tensor) -> BevFeatures:
        """As much of F_BEV as the reward model looks at."""
        return BevFeatures(
            self.bev_map[index].float(),
            self.tokens[index].float(),
            self.status[index],
            self.layers[index].float(),
            self.best_progress[index],
        )


@torch.inference_mode()
def imagine_all(
    network: TransFuser,
    samples: ShardSamples,
    batch_size: int = 32,
    with_features: bool = False,
    progress: Progress = silent,
) -> ImaginedSamples:
    """Look at all moments once.

    Args:
        network: imitation branch whose backbone has layers; put in evaluation mode.
        samples: inputs.
        batch_size: moments at a time.
        with_features: whether to keep map and tokens as well (`RewardReader.BOTH`), which takes twice the memory.
        progress: is told of every batch.
    """
    network.eval()
    kept = slice(None) if with_features else slice(0)
    parts: list[tuple[Tensor, ...]] = []
    for index in ordered_batches(len(samples), batch_size):
        bev = network.backbone(samples.features(index))
        if bev.layers is None or bev.best_progress is None:
            raise ValueError("the backbone imagines no layers: expected world_width > 0, got 0")
        plans = network.decode(bev)
        features = bev.bev_map[:, kept].half(), bev.tokens[..., kept].half()
        parts.append((bev.layers.half(), bev.best_progress, plans, *features))
        progress("imagining", int(index[-1]) + 1, len(samples), {})
    layers, far, plans, bev_map, tokens = (torch.cat(column).clone() for column in zip(*parts, strict=True))
    return ImaginedSamples(layers, far, samples.status, plans, bev_map, tokens)


class SeenSamples:
    """Moments of shards as a backbone that is not trained sees them; reads like `ShardSamples`.

    Args:
        shards: the moments.
        imagined: what the backbone made of them, map and tokens included.

    Attributes:
        human: as in `ShardSamples`.
        status: likewise.
    """

    def __init__(self, shards: ShardSamples, imagined: ImaginedSamples) -> None:
        if len(shards) != len(imagined):
            raise ValueError(f"seen moments: expected {len(shards)} as in the shards, got {len(imagined)}")
        self._shards, self._imagined = shards, imagined
        self.human, self.status = shards.human, shards.status

    def __len__(self) -> int:
        """Number of moments."""
        return len(self._shards)

    def features(self, index: Tensor) -> SeenFeatures:
        """What networks with that backbone go on from."""
        return SeenFeatures.of(self._imagined.bev(index))

    def auxiliary_loss(self, backbone: BevBackbone, bev: BevFeatures, index: Tensor) -> Tensor:
        """There is none for a backbone that does not learn.

        Raises:
            ValueError: always.
        """
        raise ValueError("bev_weight: expected 0 for a backbone that is not trained")

    def scene(self, index: int) -> Scene:
        """See `ShardSamples`."""
        return self._shards.scene(index)


def save_imagined(path: Path, imagined: ImaginedSamples, of: str) -> None:
    """Keep what a backbone imagined; the file appears when it is whole.

    Args:
        path: to write.
        imagined: what.
        of: which backbone and moments.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        save_file(vars(imagined), partial, {"of": of})


def load_imagined(path: Path, of: str) -> ImaginedSamples:
    """Read what `save_imagined` wrote.

    Raises:
        ValueError: if it is of another backbone or other moments.
    """
    with safe_open(path, framework="pt") as file:
        theirs = (file.metadata() or {}).get("of")
        if theirs != of:
            raise ValueError(f"{path}: expected what was imagined of {of}, got {theirs}; take it away")
        return ImaginedSamples(**{name: file.get_tensor(name) for name in ImaginedSamples.__dataclass_fields__})
