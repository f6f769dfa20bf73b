"""The metric: sub-scores, PDMS and EPDMS for many scenes and candidates at once."""

from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.preparation import prepare_scenes
from pair_drive_core.scoring.prepared import PreparedScenes

__all__ = ["Metric", "PreparedScenes", "prepare_scenes"]
