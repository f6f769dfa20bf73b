"""What the official NAVSIM devkit hands to an agent, in our data model.

Works on the devkit's objects by their attributes; the devkit itself is not imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pair_drive_core.datasets.navsim.blobs import MAX_INTENSITY
from pair_drive_core.datasets.navsim.log import FRAME_INTERVAL_US
from pair_drive_core.scene import (
    FRONT_CAMERAS,
    AgentInput,
    CameraCalibration,
    CameraImage,
    DrivingCommand,
    EgoStatus,
    LidarSweep,
    SceneError,
)


class NavsimEgoStatus(Protocol):
    """The devkit's `EgoStatus`."""

    ego_pose: npt.NDArray[Any]
    ego_velocity: npt.NDArray[Any]
    ego_acceleration: npt.NDArray[Any]
    driving_command: npt.NDArray[Any]


class NavsimAgentInput(Protocol):
    """The devkit's `AgentInput`: one entry a history frame, the last at t0."""

    ego_statuses: Sequence[NavsimEgoStatus]
    cameras: Sequence[Any]
    lidars: Sequence[Any]


def from_navsim(official: NavsimAgentInput, cameras: Sequence[str] = FRONT_CAMERAS) -> AgentInput:
    """Convert the devkit's agent input.

    The devkit gives no times; the frames are 0.5 s apart, and t0 is time 0 of a clock that starts with the history.

    Args:
        official: the devkit's object.
        cameras: which pictures of t0 to take.

    Raises:
        SceneError: if a picture, a status or the command is missing or malformed.
    """
    times = [FRAME_INTERVAL_US * i for i in range(len(official.ego_statuses))]
    status = tuple(_status(entry, time_us) for entry, time_us in zip(official.ego_statuses, times, strict=True))
    if not status:
        raise SceneError("agent input of the devkit: expected ego statuses, got none")
    now = times[-1]
    pictures = {name: _picture(getattr(official.cameras[-1], name.lower()), name, now) for name in cameras}
    sweeps = [
        None if entry.lidar_pc is None else _sweep(entry.lidar_pc, time_us).moved(then.pose, status[-1].pose)
        for entry, time_us, then in zip(official.lidars, times, status, strict=True)
    ]
    earlier = tuple(sweep for sweep in sweeps[:-1] if sweep is not None)
    return AgentInput(status, pictures, sweeps[-1], earlier).validate()


def _status(official: NavsimEgoStatus, time_us: int) -> EgoStatus:
    command = np.asarray(official.driving_command)
    if command.shape == (len(DrivingCommand),) and not command.any():
        command = np.eye(len(DrivingCommand))[DrivingCommand.UNKNOWN]  # the devkit hands zeros to agents as they are
    if command.shape != (len(DrivingCommand),) or int((command != 0).sum()) != 1:
        raise SceneError(f"driving command: expected a one-hot vector of 4, got {command.tolist()}")
    return EgoStatus(
        time_us,
        np.asarray(official.ego_pose, dtype=np.float64),
        np.asarray(official.ego_velocity, dtype=np.float64),
        np.asarray(official.ego_acceleration, dtype=np.float64),
        DrivingCommand(int(command.argmax())),
    )


def _picture(official: Any, name: str, time_us: int) -> CameraImage:  # noqa: ANN401  (the devkit's Camera)
    if official.image is None:
        raise SceneError(
            f"camera {name}: the devkit loaded no picture; the agent's sensor configuration must ask for it"
        )
    rgb = np.ascontiguousarray(official.image, dtype=np.uint8)
    height, width = rgb.shape[:2]
    calibration = CameraCalibration(
        name,
        width,
        height,
        np.asarray(official.intrinsics, dtype=np.float64),
        np.asarray(official.sensor2lidar_rotation, dtype=np.float64),
        np.asarray(official.sensor2lidar_translation, dtype=np.float64),
        np.asarray(official.distortion, dtype=np.float64),
    )
    return CameraImage(calibration, rgb, time_us)


def _sweep(cloud: npt.NDArray[Any], time_us: int) -> LidarSweep:
    """(6, P) of the devkit: x, y, z, intensity, ring, LiDAR; its LiDAR frame is the ego frame."""
    points = np.column_stack((cloud[:3].T, cloud[3] / np.float32(MAX_INTENSITY))).astype(np.float32)
    return LidarSweep(points, time_us)
