"""Driving PDM-Closed's proposals: every target speed along every path; the readable twin of the native routine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from pair_drive_core.planning.pdm_leaders import SEARCH_INTERVAL, LeaderSearch, Obstacles
from pair_drive_core.planning.pdm_paths import ParallelPaths
from pair_drive_core.scene import VehicleParameters
from pair_drive_core.simulation.idm import IdmParameters
from pair_drive_core.simulation.sampling import SIMULATION_STEPS, STEP_S

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ProposalRace:
    """All that the proposals of one scene depend on.

    Attributes:
        paths: L paths.
        start: (L,), where the ego is on each path, m.
        targets: (V,), m/s, positive.
        obstacles: what can stand in the way.
        driver: manners.
        ego_speed_mps: forward speed at t0.
        vehicle: measures of the ego.
    """

    paths: ParallelPaths
    start: FloatArray
    targets: FloatArray
    obstacles: Obstacles
    driver: IdmParameters
    ego_speed_mps: float
    vehicle: VehicleParameters

    @property
    def path_ends_m(self) -> FloatArray:
        """(L,), length of each path."""
        return np.asarray(shapely.length(self.paths.lines))


def unroll(race: ProposalRace) -> FloatArray:
    """Drive for 4 s.

    Returns:
        (L * V, 41, 3), poses in the paths' frame; path by path, slow to fast.
    """
    paths, start, targets = race.paths, race.start, race.targets
    leaders = LeaderSearch(race.obstacles, race.vehicle, race.path_ends_m, (start.shape[0], targets.shape[0]))
    progress = np.repeat(start[:, None], targets.shape[0], axis=1)
    speed = np.full_like(progress, race.ego_speed_mps)
    poses = np.empty((*progress.shape, SIMULATION_STEPS, 3))
    poses[:, :, 0] = paths.poses(progress)
    for step in range(1, SIMULATION_STEPS):
        if step % SEARCH_INTERVAL == 0:
            leaders.update(step // SEARCH_INTERVAL - 1, poses[:, :, step - 1], progress)
        acceleration = race.driver.acceleration(speed, targets, leaders.rear - progress, leaders.speed)
        progress = progress + STEP_S * speed
        speed = speed + STEP_S * acceleration
        poses[:, :, step] = paths.poses(progress)
    return poses.reshape(-1, SIMULATION_STEPS, 3)
