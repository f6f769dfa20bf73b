"""Frames of a log and a map become a `Scene` and an `AgentInput`, value for value as the official loader has them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pair_drive_core.datasets.file_names import path_inside
from pair_drive_core.datasets.maps.map_index import MapIndex
from pair_drive_core.datasets.maps.scene_map import map_parts
from pair_drive_core.datasets.navsim.blobs import MAX_INTENSITY, read_jpeg, read_pcd
from pair_drive_core.datasets.navsim.log import FRAME_INTERVAL_US, NavsimFrame
from pair_drive_core.datasets.quaternions import quaternion_to_matrix
from pair_drive_core.geometry import relative_se2
from pair_drive_core.scene import (
    FRONT_CAMERAS,
    OBJECT_STATE_SIZE,
    PACIFICA,
    PLAN_STEPS,
    AgentInput,
    CameraCalibration,
    CameraImage,
    EgoHistory,
    EgoState,
    EgoStatus,
    LidarSweep,
    Scene,
    SceneError,
    TrackedObjects,
    Trajectory,
    VehicleParameters,
)

HISTORY_FRAMES = 4
"""Frames up to and with t0."""
FEWEST_FUTURE_FRAMES = 8
"""4 s, what a score looks at."""
MOST_FUTURE_FRAMES = 10
"""5 s, what the older metric's time to collision looks at."""
TIME_TOLERANCE_US = 150_000
"""A step between two frames that is further from 0.5 s than this is a gap in the log."""
TIME_GAP = "time gap between frames"
"""Oddity of a scene."""

LIDAR_AGES_S = (0.5, 1.0)
"""Ages of the earlier point clouds that are read beside the present one."""
_LOG = logging.getLogger(__name__)
FloatArray = npt.NDArray[np.float64]


def build_scene(
    frames: Sequence[NavsimFrame],
    index: MapIndex,
    history_frames: int = HISTORY_FRAMES,
    vehicle: VehicleParameters = PACIFICA,
    demonstrated: bool = True,
) -> Scene:
    """Put together what a plan at t0 is scored against.

    Args:
        frames: `history_frames` up to t0, then at least 8 (4 s) and at most 10 (5 s) that are looked at.
        index: the map of the frames' city.
        history_frames: how many frames end at t0.
        vehicle: measures of the ego.
        demonstrated: whether the ego's future in the frames is a demonstration; synthetic scenes have none.

    Raises:
        SceneError: if frames are missing or without annotations, or the route does not fit the map.
    """
    _check_count(frames, history_frames, FEWEST_FUTURE_FRAMES)
    now = frames[history_frames - 1]
    future = frames[history_frames - 1 : history_frames + MOST_FUTURE_FRAMES]
    history = _history(frames[:history_frames])
    lights = [frame.traffic_lights for frame in future]
    parts = map_parts(index, history.pose[-1].numpy(), _route_ids(now), lights, vehicle)
    return Scene(
        token=now.token,
        time_us=now.timestamp_us,
        ego=EgoState.at(history.pose[-1], history.velocity[-1], history.acceleration[-1]),
        history=history,
        objects=_objects(future),
        map=parts.polygons,
        route=parts.route,
        lights=parts.lights,
        lanes=parts.lanes,
        planner_lights=parts.planner_lights,
        human=demonstration(future) if demonstrated else None,
        vehicle=vehicle,
        flaws=now.flaws if demonstrated else (),
    )


def build_agent_input(
    frames: Sequence[NavsimFrame],
    blobs: Path,
    cameras: Sequence[str] = FRONT_CAMERAS,
    with_lidar: bool = True,
    lidar_ages_s: Sequence[float] = LIDAR_AGES_S,
) -> AgentInput:
    """What a planner may look at, at the last of the given frames.

    Args:
        frames: the history; the last one is t0.
        blobs: sensor folder of the split.
        cameras: which pictures to read.
        with_lidar: whether to read the point cloud.
        lidar_ages_s: ages of the earlier point clouds to read as well; those that are not there are left out and, once,
            logged: the sensor blobs of present frames alone are a download of their own.

    Raises:
        FileNotFoundError: naming a picture or point cloud that is not there.
        DatasetError: naming a file that is torn.
        SceneError: if there are no frames.
    """
    _check_count(frames, len(frames), 0)
    now = frames[-1]
    history = _history(frames)
    local = relative_se2(history.pose[-1], history.pose).to(torch.float32).numpy().astype(np.float64)
    status = tuple(
        EgoStatus(
            frame.timestamp_us,
            local[i],
            history.velocity[i].numpy(),
            history.acceleration[i].numpy(),
            frame.driving_command,
        )
        for i, frame in enumerate(frames)
    )
    pictures = {name: _read_camera(now, name, blobs) for name in cameras}
    if not with_lidar:
        return AgentInput(status, pictures, None)
    back = sorted((round(age_s * 1e6 / FRAME_INTERVAL_US) for age_s in lidar_ages_s), reverse=True)
    there = [k for k in back if 0 < k < len(frames) and _has_lidar(frames[-1 - k], blobs)]
    if len(there) < len(back):
        _tell_missing_sweeps(blobs)
    earlier = tuple(_read_lidar(frames[-1 - k], blobs).moved(local[-1 - k], local[-1]) for k in there)
    return AgentInput(status, pictures, _read_lidar(now, blobs), earlier)


def camera_calibrations(frame: NavsimFrame, width_px: int, height_px: int) -> Mapping[str, CameraCalibration]:
    """Calibrations of all cameras of a frame, in the ego frame.

    Args:
        frame: where the cameras are recorded.
        width_px: picture width.
        height_px: picture height.
    """
    rotation = quaternion_to_matrix(frame.lidar_rotation)
    return {
        name: CameraCalibration(
            name,
            width_px,
            height_px,
            camera.intrinsics,
            rotation @ camera.lidar_r_camera,
            rotation @ camera.lidar_t_camera + frame.lidar_translation,
            camera.distortion,
        )
        for name, camera in frame.cameras.items()
    }


def oddities(frames: Sequence[NavsimFrame], history_frames: int = HISTORY_FRAMES) -> tuple[str, ...]:
    """What is odd about a scene that the official code scores all the same.

    Objects and the demonstration are taken frame by frame, as if all were 0.5 s apart; only history comfort looks at
    the stamps. So the scene of a log with missing frames is scored as the official code scores it, and named here.

    Args:
        frames: as in `build_scene`.
        history_frames: how many frames end at t0.

    Returns:
        One text a kind, empty for a scene without fault.
    """
    looked_at = frames[: history_frames + MOST_FUTURE_FRAMES]
    steps = [after.timestamp_us - before.timestamp_us for before, after in pairwise(looked_at)]
    gap = any(abs(step - FRAME_INTERVAL_US) > TIME_TOLERANCE_US for step in steps)
    return (*((TIME_GAP,) if gap else ()), *frames[history_frames - 1].oddities)


def _check_count(frames: Sequence[NavsimFrame], history_frames: int, future_frames: int) -> None:
    if len(frames) < history_frames + future_frames or not frames:
        raise SceneError(f"expected {history_frames} + {future_frames} frames, got {len(frames)}")


def _history(frames: Sequence[NavsimFrame]) -> EgoHistory:
    """Past ego states; the official loader keeps velocity and acceleration in single precision."""
    velocity = np.array([frame.ego_velocity for frame in frames]).astype(np.float32).astype(np.float64)
    acceleration = np.array([frame.ego_acceleration for frame in frames]).astype(np.float32).astype(np.float64)
    return EgoHistory(
        torch.tensor([frame.timestamp_us for frame in frames], dtype=torch.int64),
        _poses(frames),
        torch.from_numpy(velocity),
        torch.from_numpy(acceleration),
    ).validate()


def _poses(frames: Sequence[NavsimFrame]) -> Tensor:
    return torch.from_numpy(np.array([frame.ego_pose for frame in frames]))


def _route_ids(frame: NavsimFrame) -> list[int]:
    try:
        return [int(fid) for fid in frame.roadblock_ids]
    except ValueError as error:
        raise SceneError(f"frame {frame.token}: expected roadblock ids that are numbers ({error})") from error


def demonstration(frames: Sequence[NavsimFrame]) -> Trajectory:
    """What was driven after the first of the frames: as many poses as a plan has."""
    poses = _poses(frames[: PLAN_STEPS + 1])
    return Trajectory(relative_se2(poses[0], poses[1:]))


def _objects(frames: Sequence[NavsimFrame]) -> TrackedObjects:
    """Tracks in the global frame; a track keeps the class and the size it is first seen with."""
    row_of: dict[str, int] = {}
    types: list[int] = []
    sizes: list[FloatArray] = []
    seen: list[tuple[int, list[int], FloatArray]] = []
    for step, frame in enumerate(frames):
        seen_now, noted = frame.global_objects, frame.annotations
        assert noted is not None
        for i, token in enumerate(noted.track_tokens):
            if token not in row_of:
                row_of[token] = len(row_of)
                types.append(seen_now.kinds[i])
                sizes.append(noted.boxes[i, 3:6])
        rows = [row_of[token] for token in noted.track_tokens]
        seen.append((step, rows, seen_now.states))
    states = np.zeros((len(frames), len(row_of), OBJECT_STATE_SIZE))
    present = np.zeros((len(frames), len(row_of)), dtype=bool)
    for step, rows, values in seen:
        states[step, rows] = values
        present[step, rows] = True
    return TrackedObjects(
        tuple(row_of),
        torch.tensor(types, dtype=torch.int64),
        torch.from_numpy(np.array(sizes).reshape(-1, 3)),
        torch.from_numpy(states),
        torch.from_numpy(present),
        FRAME_INTERVAL_US / 1e6,
    )


def _read_camera(frame: NavsimFrame, name: str, blobs: Path) -> CameraImage:
    if name not in frame.cameras:
        raise SceneError(f"frame {frame.token} has no camera {name}; it has {sorted(frame.cameras)}")
    rgb = read_jpeg(path_inside(blobs, frame.cameras[name].data_path, f"frame {frame.token}"))
    height, width = rgb.shape[:2]
    return CameraImage(camera_calibrations(frame, width, height)[name], rgb, frame.timestamp_us).validate()


def _has_lidar(frame: NavsimFrame, blobs: Path) -> bool:
    return frame.lidar_path is not None and (blobs / frame.lidar_path).is_file()


@cache
def _tell_missing_sweeps(blobs: Path) -> None:
    _LOG.warning("%s: some earlier LiDAR sweeps are not there; planners that look at them see no motion", blobs)


def _read_lidar(frame: NavsimFrame, blobs: Path) -> LidarSweep:
    if frame.lidar_path is None:
        raise SceneError(f"frame {frame.token} has no LiDAR point cloud")
    cloud = read_pcd(path_inside(blobs, frame.lidar_path, f"frame {frame.token}"))
    rotation = quaternion_to_matrix(frame.lidar_rotation)
    xyz = cloud.xyz
    if not (np.array_equal(rotation, np.eye(3)) and not frame.lidar_translation.any()):
        xyz = (cloud.xyz @ rotation.T + frame.lidar_translation).astype(np.float32)
    points = np.column_stack((xyz, cloud.intensity / np.float32(MAX_INTENSITY))).astype(np.float32)
    return LidarSweep(points, frame.timestamp_us).validate()
