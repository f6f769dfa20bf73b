import numpy as np
import pytest

from pair_drive_core.scene import (
    FRONT_CAMERAS,
    AgentInput,
    CameraCalibration,
    CameraImage,
    DrivingCommand,
    EgoStatus,
    LidarSweep,
)


@pytest.fixture
def agent_input():
    """Noise on three cameras and a LiDAR, at 6 m/s."""
    rng = np.random.default_rng(0)
    images = {}
    for name in FRONT_CAMERAS:
        calibration = CameraCalibration(name, 96, 54, np.eye(3), np.eye(3), np.zeros(3), np.zeros(5))
        images[name] = CameraImage(calibration, rng.integers(0, 255, (54, 96, 3), dtype=np.uint8), 0)
    points = rng.uniform(-20, 20, (500, 4)).astype(np.float32)
    status = EgoStatus(0, np.zeros(3), np.array([6.0, 0.0]), np.zeros(2), DrivingCommand.STRAIGHT)
    return AgentInput((status,), images, LidarSweep(points, 0))
