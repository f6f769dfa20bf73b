"""Plans from made-up readings before the first real one: a network's first run takes many times its usual time."""

from __future__ import annotations

import numpy as np
import torch

from pair_drive_core.driving.messages.camera_info import camera_pose
from pair_drive_core.driving.sensor_feed import SensorMounts
from pair_drive_core.planning.planner import Planner
from pair_drive_core.scene import (
    FRONT_CAMERAS,
    AgentInput,
    CameraCalibration,
    CameraImage,
    DrivingCommand,
    EgoStatus,
    LidarSweep,
)

_WIDTH_PX, _HEIGHT_PX, _FOCAL_PX = 480, 270, 386.0
_SPEED_MPS = 8.0


def made_up_input(mounts: SensorMounts, speed_mps: float) -> AgentInput:
    """A striped wall in all pictures (black for an ego that stands), points on an arc, an ego that drives straight on.

    Args:
        mounts: where the cameras sit.
        speed_mps: of the ego.
    """
    intrinsics = np.array([[_FOCAL_PX, 0.0, _WIDTH_PX / 2], [0.0, _FOCAL_PX, _HEIGHT_PX / 2], [0.0, 0.0, 1.0]])
    picture = np.zeros((_HEIGHT_PX, _WIDTH_PX, 3), dtype=np.uint8)
    if speed_mps:
        picture[:, ::2] = 200
    cameras = {}
    for name in FRONT_CAMERAS:
        rotation, position = camera_pose(mounts.of_camera(name))
        calibration = CameraCalibration(name, _WIDTH_PX, _HEIGHT_PX, intrinsics, rotation, position, np.zeros(5))
        cameras[name] = CameraImage(calibration, picture, 0)
    angle = np.linspace(-1.0, 1.0, 100)
    points = np.stack((15.0 * np.cos(angle), 15.0 * np.sin(angle), 0.5 + 0.0 * angle, 0.5 + 0.0 * angle), axis=-1)
    status = EgoStatus(0, np.zeros(3), np.array([speed_mps, 0.0]), np.zeros(2), DrivingCommand.STRAIGHT)
    return AgentInput((status,), cameras, LidarSweep(points.astype(np.float32), 0))


def warm_up(planner: Planner, mounts: SensorMounts) -> str:
    """Plan twice from made-up readings, standing and driving.

    Args:
        planner: the planner.
        mounts: where the cameras sit.

    Returns:
        Why such a planner should not drive; empty if nothing speaks against it.

    Raises:
        Whatever the planner raises: better now than in motion.
    """
    standing, driving = (planner.plan(made_up_input(mounts, speed)).poses for speed in (0.0, _SPEED_MPS))
    if not bool(torch.isfinite(standing).all() and torch.isfinite(driving).all()):
        return "plans from made-up readings are not finite"
    if torch.equal(standing, driving):
        return f"plans the same standing before nothing and driving {_SPEED_MPS} m/s: it looks at nothing it is given"
    return ""
