"""PDM-Closed's proposals unrolled by the compiled kernel."""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt
import shapely

from pair_drive_core.planning.pdm_leaders import SEARCH_INTERVAL, SEARCHES, Obstacles
from pair_drive_core.planning.pdm_paths import ParallelPaths
from pair_drive_core.scene import Scene
from pair_drive_core.scoring.native.library import PROPOSAL_ARRAYS, ProposalRequest
from pair_drive_core.simulation.idm import IdmParameters
from pair_drive_core.simulation.sampling import SIMULATION_STEPS, STEP_S

FloatArray = npt.NDArray[np.float64]


def unroll_native(
    library: ctypes.CDLL,
    scene: Scene,
    paths: ParallelPaths,
    start: FloatArray,
    targets: FloatArray,
    obstacles: Obstacles,
    driver: IdmParameters,
) -> FloatArray:
    """What `pdm_proposals.unroll` does, some hundred times faster.

    Raises:
        MemoryError: if there is not enough memory for the routine's buffers.
    """
    rings = [np.zeros((0, 2)), *obstacles.lights]
    arrays = {
        "path_xy": paths.points,
        "path_heading": paths.headings,
        "path_progress": paths.progress,
        "path_end": shapely.length(paths.lines),
        "start": start,
        "targets": targets,
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
    vehicle = scene.vehicle
    request = ProposalRequest(
        *(paths.points.shape[0], paths.points.shape[1], targets.shape[0]),
        *(SIMULATION_STEPS, SEARCHES, SEARCH_INTERVAL, obstacles.speed.shape[0]),
        *(STEP_S, float(scene.ego.velocity[0])),
        *(
            driver.min_gap_m,
            driver.headway_s,
            driver.max_acceleration_mps2,
            driver.max_deceleration_mps2,
            driver.exponent,
        ),
        *(vehicle.length_m, vehicle.width_m, vehicle.rear_axle_to_center_m),
        *(array.ctypes.data for array in kept),
    )
    poses = np.empty((paths.points.shape[0] * targets.shape[0], SIMULATION_STEPS, 3))
    if library.pair_drive_propose(ctypes.byref(request), poses.ctypes.data) != 0:
        raise MemoryError("no memory for the native unrolling of proposals")
    return poses
