"""pair_drive_ros/PdmScore."""

from __future__ import annotations

from typing import Any

import numpy as np

from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.stamps import to_header
from pair_drive_core.scoring import Metric, PdmScores

METRIC_NUMBERS = {Metric.V1: 1, Metric.V2: 2}
"""The message's constants V1 and V2."""


def to_pdm_score(make: MakeMessage, scores: PdmScores, time_us: int, frame_id: str) -> Any:  # noqa: ANN401
    """The score of one plan in one scene.

    Args:
        make: maker of messages.
        scores: of S = 1 scene and K = 1 plan.
        time_us: t0 of the plan.
        frame_id: frame of the plan.
    """
    return make(
        "pair_drive_ros/msg/PdmScore",
        header=to_header(make, time_us, frame_id),
        metric=METRIC_NUMBERS[scores.metric],
        names=list(scores.names),
        sub_scores=scores.sub[0, 0].numpy().astype(np.float32),
        total=float(scores.total[0, 0]),
    )
