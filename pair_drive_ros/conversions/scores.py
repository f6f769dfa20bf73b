"""pair_drive_ros/PdmScore."""

from __future__ import annotations

from pair_drive_core.scoring import Metric, PdmScores
from pair_drive_ros.conversions.stamps import to_header
from pair_drive_ros.msg import PdmScore

_METRICS = {Metric.V1: PdmScore.V1, Metric.V2: PdmScore.V2}


def to_pdm_score(scores: PdmScores, time_us: int, frame_id: str) -> PdmScore:
    """The score of one plan in one scene.

    Args:
        scores: of S = 1 scene and K = 1 plan.
        time_us: t0 of the plan.
        frame_id: frame of the plan.
    """
    message = PdmScore(header=to_header(time_us, frame_id), metric=_METRICS[scores.metric])
    message.names, message.sub_scores = list(scores.names), scores.sub[0, 0].tolist()
    message.total = float(scores.total[0, 0])
    return message
