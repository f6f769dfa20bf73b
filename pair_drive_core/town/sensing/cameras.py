"""NAVSIM's eight cameras: where they sit and what they see.

Intrinsics and mounting follow the published nuPlan sensor set (1920 x 1080, about 64 degrees wide); the town's
pictures are already rectified, so distortion is zero.
"""

from __future__ import annotations

import numpy as np

from pair_drive_core.scene import ALL_CAMERAS, CameraCalibration
from pair_drive_core.town.streets.curves import FloatArray

WIDTH_PX, HEIGHT_PX = 1920, 1080
_FOCAL_PX = 1545.0
_CENTER_PX = (960.0, 560.0)

_MOUNTS = {
    "CAM_F0": (1.66, 0.0, 1.55, 0.0),
    "CAM_L0": (1.55, 0.42, 1.55, 55.0),
    "CAM_R0": (1.55, -0.42, 1.55, -55.0),
    "CAM_L1": (1.18, 0.50, 1.55, 110.0),
    "CAM_R1": (1.18, -0.50, 1.55, -110.0),
    "CAM_L2": (0.80, 0.45, 1.55, 152.0),
    "CAM_R2": (0.80, -0.45, 1.55, -152.0),
    "CAM_B0": (-0.55, 0.0, 1.55, 180.0),
}
"""x, y, z in the ego frame (m) and yaw (degrees)."""

STITCH_TRIM_PX = 28
"""Rows cut off above and below before the three front pictures are joined (METHOD section 6)."""
STITCH_SIDE_TRIM_PX = 416
"""Columns cut off left and right of the two side pictures."""


def mount_rotation(yaw_rad: float, pitch_down_rad: float = 0.0) -> FloatArray:
    """(3, 3): rotation from an optical frame (z forward, x right, y down) to the ego frame."""
    cy, sy = np.cos(yaw_rad), np.sin(yaw_rad)
    cp, sp = np.cos(pitch_down_rad), np.sin(pitch_down_rad)
    forward = np.array([cy * cp, sy * cp, -sp])
    right = np.array([sy, -cy, 0.0])
    return np.column_stack((right, np.cross(forward, right), forward))


def navsim_calibration(name: str) -> CameraCalibration:
    """The calibration of a NAVSIM camera at full resolution.

    Args:
        name: one of `ALL_CAMERAS`.

    Raises:
        ValueError: if there is no such camera.
    """
    if name not in _MOUNTS:
        raise ValueError(f"camera: expected one of {', '.join(ALL_CAMERAS)}, got {name!r}")
    x, y, z, yaw = _MOUNTS[name]
    intrinsics = np.array([[_FOCAL_PX, 0.0, _CENTER_PX[0]], [0.0, _FOCAL_PX, _CENTER_PX[1]], [0.0, 0.0, 1.0]])
    rotation = mount_rotation(np.deg2rad(yaw))
    return CameraCalibration(name, WIDTH_PX, HEIGHT_PX, intrinsics, rotation, np.array([x, y, z]), np.zeros(5))


def stitch_calibrations(width_px: int, height_px: int) -> tuple[CameraCalibration, ...]:
    """The three front cameras, cropped so that side by side they are the model's stitched input.

    Args:
        width_px: width of the stitched picture; a multiple of 64 keeps the seams on whole pixels.
        height_px: its height.

    Returns:
        Left, front and right camera; their widths add up to `width_px`.
    """
    full_side, full_height = WIDTH_PX - 2 * STITCH_SIDE_TRIM_PX, HEIGHT_PX - 2 * STITCH_TRIM_PX
    side = round(width_px * full_side / (2 * full_side + WIDTH_PX))
    widths = {"CAM_L0": side, "CAM_F0": width_px - 2 * side, "CAM_R0": side}
    cropped = []
    for name, width in widths.items():
        base = navsim_calibration(name)
        trim = 0 if name == "CAM_F0" else STITCH_SIDE_TRIM_PX
        intrinsics = base.intrinsics.copy()
        intrinsics[:2, 2] -= (trim, STITCH_TRIM_PX)
        crop = CameraCalibration(
            name, WIDTH_PX - 2 * trim, full_height, intrinsics, base.ego_r_camera, base.ego_t_camera, base.distortion
        )
        cropped.append(crop.scaled(width, height_px))
    return tuple(cropped)
