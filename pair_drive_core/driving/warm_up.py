"""One plan from blank readings before the first real one: a network's first run takes many times its usual time."""

from __future__ import annotations

import time

import numpy as np

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


def blank_input(mounts: SensorMounts) -> AgentInput:
    """Black pictures of cameras at their places, one LiDAR point, an ego that stands."""
    intrinsics = np.array([[_FOCAL_PX, 0.0, _WIDTH_PX / 2], [0.0, _FOCAL_PX, _HEIGHT_PX / 2], [0.0, 0.0, 1.0]])
    black = np.zeros((_HEIGHT_PX, _WIDTH_PX, 3), dtype=np.uint8)
    cameras = {}
    for name in FRONT_CAMERAS:
        rotation, position = camera_pose(mounts.of_camera(name))
        size = (_WIDTH_PX, _HEIGHT_PX)
        calibration = CameraCalibration(name, *size, intrinsics, rotation, position, np.zeros(5))
        cameras[name] = CameraImage(calibration, black, 0)
    status = EgoStatus(0, np.zeros(3), np.zeros(2), np.zeros(2), DrivingCommand.STRAIGHT)
    return AgentInput((status,), cameras, LidarSweep(np.array([[10.0, 0.0, 1.0, 0.5]], dtype=np.float32), 0))


def warm_up(planner: Planner, mounts: SensorMounts) -> float:
    """Plan once from blank readings.

    Args:
        planner: the planner.
        mounts: where the cameras sit.

    Returns:
        How long it took, s.

    Raises:
        Whatever the planner raises: better now than in motion.
    """
    start = time.perf_counter()
    planner.plan(blank_input(mounts))
    return time.perf_counter() - start
