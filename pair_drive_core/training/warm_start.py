"""Weights of an earlier model as the start of one that sees more."""

from __future__ import annotations

import torch
from torch import nn

from pair_drive_core.models.pair_model import PairModel

_LIDAR_STEM = "backbone.lidar.stem.0.weight"


def take_over(model: PairModel, earlier: PairModel) -> list[str]:
    """Copy the imitation branch of an earlier model where names and shapes fit.

    A LiDAR stem of fewer sweeps is extended by weights of zero, and command and speed enter the encoders with weights
    of zero, so that the branch plans as the earlier one did until it learns better.

    Args:
        model: changed in place.
        earlier: whose weights are taken.

    Returns:
        Names of the weights that start anew.
    """
    before = earlier.config.imitation.backbone
    anew = _copy(model.imitation, earlier.imitation, before.lidar_sweeps if before is not None else 0)
    world = model.imitation.backbone.world if model.imitation.backbone is not None else None
    if world is not None and (before is None or before.world_width < 1):
        for layer in (world.to_camera, world.to_lidar, world.to_map):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    return anew


def take_over_reinforcement(model: PairModel, earlier: PairModel) -> None:
    """Copy the whole reinforcement branch of an earlier model; what it did not see, it goes on not seeing.

    Raises:
        ValueError: naming weights that the earlier branch does not have.
    """
    sweeps = earlier.config.reinforcement.backbone.lidar_sweeps
    lacking = _copy(model.reinforcement, earlier.reinforcement, sweeps)
    if lacking:
        raise ValueError(f"the reinforcement branch of the start: expected all weights, {lacking[:3]} do not fit")


@torch.no_grad()
def _copy(mine: nn.Module, theirs: nn.Module, sweeps: int) -> list[str]:
    """Weights of the same name and shape; answers the names of the others."""
    known = theirs.state_dict()
    anew = []
    for name, value in mine.state_dict().items():
        found = known.get(name)
        if found is not None and found.shape == value.shape:
            value.copy_(found)
        elif found is not None and name == _LIDAR_STEM:
            _extend_stem(value, found, sweeps)
        else:
            anew.append(name)
    return anew


def _extend_stem(mine: torch.Tensor, theirs: torch.Tensor, sweeps: int) -> None:
    """Sweeps come first, then the picture of the ground."""
    pictures = theirs.shape[1] - sweeps
    mine.zero_()
    mine[:, :sweeps] = theirs[:, :sweeps]
    if pictures:
        mine[:, mine.shape[1] - pictures :] = theirs[:, sweeps:]
