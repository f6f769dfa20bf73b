"""Planners that look at a LiDAR, where there is none: an empty sweep, said and counted."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from pair_drive_core.scene import AgentInput, LidarSweep

_LOG = logging.getLogger(__name__)


class EmptySweeps:
    """Gives readings without a point cloud an empty one.

    Attributes:
        count: how many readings had none.
    """

    def __init__(self) -> None:
        self.count = 0

    def filled(self, agent_input: AgentInput) -> AgentInput:
        """The readings, with an empty sweep where they have none."""
        if agent_input.lidar is not None:
            return agent_input
        if self.count == 0:
            _LOG.warning("no LiDAR point cloud: the planner sees an empty sweep (second-stage scenes have none)")
        self.count += 1
        empty = LidarSweep(np.zeros((0, 4), dtype=np.float32), agent_input.now.time_us)
        return replace(agent_input, lidar=empty)
