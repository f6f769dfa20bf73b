"""From a checkpoint to a planner."""

from __future__ import annotations

from pathlib import Path

import torch

from pair_drive_core.models.checkpoint import load_checkpoint
from pair_drive_core.models.pair_model import JoinConfig
from pair_drive_core.policies.parallel import ParallelPlanner
from pair_drive_core.policies.runtime.backends import Backend, RuntimeNetworks

SHIPPED_CHECKPOINT = Path(__file__).resolve().parents[2] / "checkpoints" / "pair_town_nano.safetensors"
"""The checkpoint that comes with the package: small networks, trained on town scenes by `pair-drive train`."""


def load_planner(
    checkpoint: Path | str = SHIPPED_CHECKPOINT,
    device: torch.device | str = "cpu",
    config: JoinConfig | None = None,
    backend: Backend = Backend.AUTO,
) -> ParallelPlanner:
    """The parallel planner of a checkpoint.

    Args:
        checkpoint: its file.
        device: where it plans.
        config: how the branches are joined; None takes the checkpoint's.
        backend: how the networks are computed.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if the file does not fit, naming what was expected and what came.
    """
    place = torch.device(device)
    model = load_checkpoint(Path(checkpoint)).model.to(place)
    return ParallelPlanner(model, place, config, RuntimeNetworks(model, place, backend))
