"""How far the imagined layers are from the true ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pair_drive_core.models.bev_backbone import ImaginedWorld
from pair_drive_core.models.world_layers import BINARY_LAYERS, PROGRESS_SCALE_M, WorldLayer

_RARE = range(WorldLayer.RED_NOW, BINARY_LAYERS)
"""Layers of few cells: red lanes, objects."""
_RARE_WEIGHT = 4.0
_LINE = (WorldLayer.LATERAL, WorldLayer.LINE_COS, WorldLayer.LINE_SIN, WorldLayer.PROGRESS)


@dataclass(frozen=True)
class WorldTargets:
    """What the network shall imagine at B moments.

    Attributes:
        layers: (B, LAYERS, h, w), in the order of `WorldLayer`.
        line_known: (B, h, w) bool, where the layers that speak of the centre line count.
        best_progress: (B,), how far PDM-Closed gets in 4 s, m; NaN where nobody knows.
    """

    layers: Tensor
    line_known: Tensor
    best_progress: Tensor


def world_loss(imagined: ImaginedWorld, targets: WorldTargets) -> dict[str, Tensor]:
    """Binary cross-entropy of the probabilities, L1 of the numbers; their sum is to be minimised.

    Covered cells of the rare layers do not weigh more than empty ones: what is read must stay a probability.
    """
    size = (imagined.logits.shape[2], imagined.logits.shape[3])
    layers, known = targets.layers, targets.line_known.float().unsqueeze(1)
    if tuple(layers.shape[2:]) != size:
        layers, known = (functional.adaptive_avg_pool2d(part, size) for part in (layers, known))
    logits = imagined.logits
    entropy = functional.binary_cross_entropy_with_logits(
        logits[:, :BINARY_LAYERS], layers[:, :BINARY_LAYERS], reduction="none"
    ).mean((0, 2, 3))
    weights = torch.ones_like(entropy)
    weights[list(_RARE)] = _RARE_WEIGHT
    distance = (logits[:, BINARY_LAYERS:] - layers[:, BINARY_LAYERS:]).abs()
    lines = distance[:, [layer - BINARY_LAYERS for layer in _LINE]]
    sure = (known > 0.99).to(lines.dtype)
    asked = targets.best_progress.isfinite()
    far = targets.best_progress.nan_to_num() / PROGRESS_SCALE_M
    return {
        "layers": (entropy * weights).sum(),
        "edge": distance[:, WorldLayer.EDGE - BINARY_LAYERS].mean(),
        "line": (lines * sure).sum() / (sure.sum() + 1.0),
        "far": ((imagined.best_progress - far).abs() * asked).sum() / asked.sum().clamp(min=1),
    }
