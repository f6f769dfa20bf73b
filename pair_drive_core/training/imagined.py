"""What a trained backbone imagines of many moments, kept, so that the reward model learns to read it quickly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.models.bev_backbone import BevFeatures
from pair_drive_core.models.transfuser import TransFuser
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
    """

    layers: Tensor
    best_progress: Tensor
    status: Tensor
    plans: Tensor

    def __len__(self) -> int:
        """Number of moments."""
        return self.plans.shape[0]

    def bev(self, index: Tensor) -> BevFeatures:
        """As much of F_BEV as a reward model that reads layers looks at."""
        nothing = torch.zeros(len(index), 0)
        return BevFeatures(nothing, nothing, self.status[index], self.layers[index].float(), self.best_progress[index])


@torch.inference_mode()
def imagine_all(
    network: TransFuser, samples: ShardSamples, batch_size: int = 32, progress: Progress = silent
) -> ImaginedSamples:
    """Look at all moments once.

    Args:
        network: imitation branch whose backbone has layers; put in evaluation mode.
        samples: inputs.
        batch_size: moments at a time.
        progress: is told of every batch.
    """
    network.eval()
    layers: list[Tensor] = []
    far: list[Tensor] = []
    plans: list[Tensor] = []
    for index in ordered_batches(len(samples), batch_size):
        bev = network.backbone(samples.features(index))
        if bev.layers is None or bev.best_progress is None:
            raise ValueError("the backbone imagines no layers: expected world_width > 0, got 0")
        layers.append(bev.layers.half())
        far.append(bev.best_progress)
        plans.append(network.decode(bev))
        progress("imagining", int(index[-1]) + 1, len(samples), {})
    return ImaginedSamples(torch.cat(layers).clone(), torch.cat(far).clone(), samples.status, torch.cat(plans).clone())
