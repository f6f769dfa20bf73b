"""pair_drive_ros/PlanDisagreement."""

from __future__ import annotations

from typing import Any

import numpy as np

from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.stamps import to_header
from pair_drive_core.driving.shadow import HORIZONS_S, Disagreement


def to_plan_disagreement(make: MakeMessage, found: Disagreement, frame_id: str) -> Any:  # noqa: ANN401
    """The disagreement of one plan.

    Args:
        make: maker of messages.
        found: the disagreement.
        frame_id: frame that plan and driver were compared in.
    """
    return make(
        "pair_drive_ros/msg/PlanDisagreement",
        header=to_header(make, found.plan_us, frame_id),
        horizon_s=np.array(HORIZONS_S, dtype=np.float32),
        along_m=np.array(found.along_m, dtype=np.float32),
        across_m=np.array(found.across_m, dtype=np.float32),
        heading_rad=np.array(found.heading_rad, dtype=np.float32),
        large=found.large,
        planner=found.planner,
        fallback=found.fallback,
    )
