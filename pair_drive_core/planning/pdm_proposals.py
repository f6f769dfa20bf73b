"""PDM-Closed's proposals: several target speeds on each of several parallel paths, driven by the IDM."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pair_drive_core.planning.pdm_forecast import Forecast
from pair_drive_core.planning.pdm_leaders import find_obstacles
from pair_drive_core.planning.pdm_native import unroll_native
from pair_drive_core.planning.pdm_paths import ParallelPaths
from pair_drive_core.planning.pdm_unrolling import ProposalRace, unroll
from pair_drive_core.scene import Scene, SceneError
from pair_drive_core.scoring.native.library import load
from pair_drive_core.simulation.idm import IdmParameters

FloatArray = npt.NDArray[np.float64]
_REACH_S = 5.0
"""The corridor reaches as far as the fastest proposal gets on a free road in this time."""


@dataclass(frozen=True)
class PdmClosedConfig:
    """What PDM-Closed tries; the defaults are those of the official metric cache.

    Attributes:
        lateral_offsets_m: paths beside the centre line, left positive.
        speed_fractions: target speeds as fractions of the speed limit.
        driver: manners of the IDM; `desired_speed_mps` stands in for an unknown speed limit.
    """

    lateral_offsets_m: tuple[float, ...] = (0.0, -1.0, 1.0)
    speed_fractions: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0)
    driver: IdmParameters = field(
        default_factory=lambda: IdmParameters(
            desired_speed_mps=15.0,
            min_gap_m=1.0,
            headway_s=1.5,
            max_acceleration_mps2=1.5,
            max_deceleration_mps2=3.0,
            exponent=10.0,
        )
    )

    def validate(self) -> PdmClosedConfig:
        """Check that there is something to try.

        Raises:
            SceneError: naming the parameter at fault.
        """
        self.driver.validate()
        if not self.lateral_offsets_m or not np.isfinite(self.lateral_offsets_m).all():
            raise SceneError(
                f"PdmClosedConfig.lateral_offsets_m: expected finite offsets, got {self.lateral_offsets_m}"
            )
        if not self.speed_fractions or not all(0.0 < fraction < np.inf for fraction in self.speed_fractions):
            raise SceneError(f"PdmClosedConfig.speed_fractions: expected positive numbers, got {self.speed_fractions}")
        return self


def drive_proposals(
    scene: Scene, forecast: Forecast, limit_mps: float | None, config: PdmClosedConfig, native: bool = True
) -> tuple[ParallelPaths, FloatArray]:
    """Unroll all proposals for 4 s (official `PDMGenerator`).

    Args:
        scene: the scene at t0.
        forecast: what the others are expected to do.
        limit_mps: speed limit of the lane under the ego; None where it is not known.
        config: paths, speeds and manners.
        native: use the compiled routine where it is there; the results agree to 1e-9.

    Returns:
        The paths, and (L * V, 41, 3) poses of the rear axle in their frame; path by path, slow to fast.

    Raises:
        SceneError: if the speed limit is not positive or the centre line has no length.
    """
    limit = config.driver.desired_speed_mps if limit_mps is None else limit_mps
    if not 0.0 < limit < np.inf:
        raise SceneError(f"speed limit: expected a positive number of m/s or None, got {limit}")
    paths = ParallelPaths.beside(scene, config.lateral_offsets_m)
    targets = limit * np.array(config.speed_fractions)
    start = paths.project(np.zeros(2))
    corridors = paths.corridors(start, float(targets.max()) * _REACH_S, scene.vehicle.width_m)
    obstacles = find_obstacles(scene, forecast, paths, corridors)
    ego_speed = float(scene.ego.velocity[0])
    race = ProposalRace(paths, start, targets, obstacles, config.driver, ego_speed, scene.vehicle)
    library = load() if native else None
    return paths, unroll(race) if library is None else unroll_native(library, race)
