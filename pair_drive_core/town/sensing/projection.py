"""Where points of the ego frame are seen in a picture."""

from __future__ import annotations

import numpy as np

from pair_drive_core.scene import CameraCalibration
from pair_drive_core.town.sensing.world import World
from pair_drive_core.town.streets.curves import FloatArray

FACES = np.array([[0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7], [4, 5, 6, 7], [3, 2, 1, 0]])
"""Corner indices of front, left, rear, right, top and bottom; see `box_corners_3d`."""
FACE_TURN = np.array([0.0, np.pi / 2.0, np.pi, -np.pi / 2.0])
"""Direction of the four side faces relative to the box's heading, rad."""
PIXEL_CENTER = 0.5
"""Calibrations count pixels from the picture's corner, so that they scale; OpenCV from the first pixel's centre."""
_CORNER_SIGNS = np.array(
    [[1, -1, 0], [1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 1], [1, 1, 1], [-1, 1, 1], [-1, -1, 1]], dtype=np.float64
)


def box_corners_3d(world: World) -> FloatArray:
    """(N, 8, 3): corners of boxes: front-right, front-left, rear-left, rear-right, below then above; ego frame, m."""
    half = world.size[:, None, :] * np.array([0.5, 0.5, 1.0]) * _CORNER_SIGNS
    cos, sin = np.cos(world.pose[:, 2])[:, None], np.sin(world.pose[:, 2])[:, None]
    return np.stack(
        (
            world.pose[:, None, 0] + cos * half[..., 0] - sin * half[..., 1],
            world.pose[:, None, 1] + sin * half[..., 0] + cos * half[..., 1],
            world.base_m[:, None] + half[..., 2],
        ),
        axis=-1,
    )


def project(calibration: CameraCalibration, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pixels of points in the ego frame.

    Args:
        calibration: pinhole; distortion is not applied.
        points: (..., 3), ego frame, m.

    Returns:
        (..., 2) pixels (column, row) and (...) depth, m; pixels mean nothing where the depth is not positive.
    """
    camera = (points - calibration.ego_t_camera) @ calibration.ego_r_camera
    depth = camera[..., 2]
    plane = camera[..., :2] / np.where(np.abs(depth) < 1e-9, 1e-9, depth)[..., None]
    focal = calibration.intrinsics[(0, 1), (0, 1)]
    return plane * focal + calibration.intrinsics[:2, 2], depth
