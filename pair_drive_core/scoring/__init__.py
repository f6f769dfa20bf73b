"""The metric: sub-scores, PDMS and EPDMS for many scenes and candidates at once."""

from pair_drive_core.scoring.explain import Infraction, explain
from pair_drive_core.scoring.extended_comfort import extended_comfort
from pair_drive_core.scoring.human_filter import HumanFilter
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.pdm_scores import PdmScores
from pair_drive_core.scoring.preparation import prepare_scenes
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.score import score

__all__ = [
    "HumanFilter",
    "Infraction",
    "Metric",
    "PdmScores",
    "PreparedScenes",
    "explain",
    "extended_comfort",
    "prepare_scenes",
    "score",
]
