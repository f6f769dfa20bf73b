"""PDM-Closed's proposals driven by the compiled kernel."""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt

from pair_drive_core.planning.pdm_leaders import SEARCH_INTERVAL, SEARCHES
from pair_drive_core.planning.pdm_unrolling import ProposalRace
from pair_drive_core.scoring.native.library import PROPOSAL_ARRAYS, ProposalRequest
from pair_drive_core.simulation.sampling import SIMULATION_STEPS, STEP_S

FloatArray = npt.NDArray[np.float64]


def unroll_native(library: ctypes.CDLL, race: ProposalRace) -> FloatArray:
    """What `pdm_unrolling.unroll` does, some hundred times faster.

    Raises:
        MemoryError: if there is not enough memory for the routine's buffers.
    """
    paths, obstacles, driver, vehicle = race.paths, race.obstacles, race.driver, race.vehicle
    rings = [np.zeros((0, 2)), *obstacles.lights]
    arrays = {
        "path_xy": paths.points,
        "path_heading": paths.headings,
        "path_progress": paths.progress,
        "path_end": race.path_ends_m,
        "start": race.start,
        "targets": race.targets,
        "hit_offsets": obstacles.hit_offsets.astype(np.int64),
        "hit_rows": obstacles.hit_rows.astype(np.int64),
        "hit_progress": obstacles.hit_progress,
        "box_corners": obstacles.corners,
        "object_heading": obstacles.heading,
        "object_speed": obstacles.speed,
        "light_xy": np.concatenate(rings),
        "light_offsets": np.cumsum([ring.shape[0] for ring in rings], dtype=np.int64),
    }
    kept = [np.ascontiguousarray(arrays[name]) for name in PROPOSAL_ARRAYS]
    count, points = paths.headings.shape
    request = ProposalRequest(
        *(count, points, race.targets.shape[0]),
        *(SIMULATION_STEPS, SEARCHES, SEARCH_INTERVAL, obstacles.speed.shape[0]),
        *(STEP_S, race.ego_speed_mps, driver.min_gap_m, driver.headway_s),
        *(driver.max_acceleration_mps2, driver.max_deceleration_mps2, driver.exponent),
        *(vehicle.length_m, vehicle.width_m, vehicle.rear_axle_to_center_m),
        *(array.ctypes.data for array in kept),
    )
    poses = np.empty((count * race.targets.shape[0], SIMULATION_STEPS, 3))
    if library.pair_drive_propose(ctypes.byref(request), poses.ctypes.data) != 0:
        raise MemoryError("no memory for the native driving of proposals")
    return poses
