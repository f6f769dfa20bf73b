"""From a checkpoint to a planner."""

from __future__ import annotations

from pathlib import Path

import torch

from pair_drive_core.models.checkpoint import load_checkpoint
from pair_drive_core.models.pair_model import JoinConfig
from pair_drive_core.policies.parallel import ParallelPlanner

SHIPPED_CHECKPOINT = Path(__file__).resolve().parent.parent / "checkpoints" / "pair_town_nano.safetensors"
"""The checkpoint that comes with the package: small networks, trained on town scenes by `pair-drive train`."""


def load_planner(
    checkpoint: Path | str = SHIPPED_CHECKPOINT,
    device: torch.device | str = "cpu",
    config: JoinConfig | None = None,
) -> ParallelPlanner:
    """The parallel planner of a checkpoint.

    Raises:
        FileNotFoundError: if there is no such file.
        CheckpointError: if the file does not fit, naming what was expected and what came.
    """
    return ParallelPlanner(load_checkpoint(Path(checkpoint)).model, torch.device(device), config)
