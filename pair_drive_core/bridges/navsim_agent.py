"""Our planners as agents of the official NAVSIM devkit; importable only where the devkit is installed.

Run the devkit's own scripts with, for instance::

    agent=constant_velocity_agent agent._target_=pair_drive_core.bridges.navsim_agent.PairDriveAgent \
        +agent.checkpoint=FILE
"""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
from navsim.agents.abstract_agent import AbstractAgent
from navsim.common.dataclasses import AgentInput as NavsimAgentInput
from navsim.common.dataclasses import SensorConfig
from navsim.common.dataclasses import Trajectory as NavsimTrajectory
from nuplan.planning.simulation.trajectory.trajectory_sampling import TrajectorySampling

from pair_drive_core.bridges.navsim_input import from_navsim
from pair_drive_core.datasets.navsim.log import FRAME_INTERVAL_US
from pair_drive_core.evaluation.empty_sweeps import EmptySweeps
from pair_drive_core.planning import ConstantVelocityPlanner, Planner
from pair_drive_core.policies.runtime.loading import load_planner
from pair_drive_core.scene import FRONT_CAMERAS, PLAN_INTERVAL_S, PLAN_STEPS

_NOW = 3
"""Index of t0 in the devkit's history of four frames."""


class PairDriveAgent(AbstractAgent):  # type: ignore[misc]  # the devkit has no types
    """A planner as the devkit wants it.

    Args:
        checkpoint: of the parallel planner; None takes the constant-velocity baseline.
        device: where the networks run.
        trajectory_sampling: of the devkit; 8 poses at 2 Hz is all that our planners give.
        lidar: whether to ask for point clouds. Second-stage scenes (navhard) have none, and the devkit stops at an
            agent that asks for them there; without, the planner sees an empty sweep, which the log says once.

    Raises:
        ValueError: if another sampling is asked for.
    """

    requires_scene = False

    def __init__(
        self,
        checkpoint: str | None = None,
        device: str = "cpu",
        trajectory_sampling: TrajectorySampling | None = None,
        lidar: bool = True,
    ) -> None:
        sampling = trajectory_sampling or TrajectorySampling(num_poses=PLAN_STEPS, interval_length=PLAN_INTERVAL_S)
        if (sampling.num_poses, sampling.interval_length) != (PLAN_STEPS, PLAN_INTERVAL_S):
            raise ValueError(
                f"trajectory sampling: expected {PLAN_STEPS} poses {PLAN_INTERVAL_S} s apart, got {sampling}"
            )
        # navsim main takes both, v1.1 and v1.0 only the second, some releases neither.
        offered = {"trajectory_sampling": sampling, "requires_scene": False}
        taken = inspect.signature(AbstractAgent.__init__).parameters
        super().__init__(**{name: value for name, value in offered.items() if name in taken})
        self._trajectory_sampling = sampling
        self._lidar = lidar
        self._checkpoint = None if checkpoint is None else Path(checkpoint)
        self._device = device
        self._planner: Planner = ConstantVelocityPlanner()
        self._blind = EmptySweeps()
        self._lidar_frames = [_NOW]

    def name(self) -> str:
        """Short name for reports."""
        return self._planner.name

    def initialize(self) -> None:
        """Load the checkpoint.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it does not fit.
        """
        if self._checkpoint is not None:
            planner = load_planner(self._checkpoint, self._device)
            ages_s = planner.model.config.features.lidar_past_s
            past = {_NOW - round(age_s * 1e6 / FRAME_INTERVAL_US) for age_s in ages_s}
            self._planner, self._lidar_frames = planner, sorted({k for k in past if k >= 0} | {_NOW})

    def get_sensor_config(self) -> SensorConfig:
        """The three front cameras at t0; the LiDAR, if wanted, there and at the ages that the planner asks for.

        The ages are known once the agent is initialised. Nothing for the baseline.
        """
        config = SensorConfig.build_no_sensors()
        if self._checkpoint is not None:
            for name in FRONT_CAMERAS:
                setattr(config, name.lower(), [_NOW])
            if self._lidar:
                config.lidar_pc = list(self._lidar_frames)
        return config

    def compute_trajectory(self, agent_input: NavsimAgentInput) -> NavsimTrajectory:
        """Plan 4 s ahead.

        Raises:
            SceneError: if a reading that the planner needs is missing or malformed.
        """
        cameras = () if self._checkpoint is None else FRONT_CAMERAS
        ours = from_navsim(agent_input, cameras)
        if self._checkpoint is not None:
            ours = self._blind.filled(ours)
        plan = self._planner.plan(ours)
        poses = plan.poses.detach().cpu().numpy().astype(np.float32)
        return NavsimTrajectory(poses, self._trajectory_sampling)
