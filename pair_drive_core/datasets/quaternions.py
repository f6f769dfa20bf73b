"""Rotations as unit quaternions w x y z, the way the logs hold them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from transforms3d.quaternions import quat2mat

FloatArray = npt.NDArray[np.float64]


def quaternion_to_matrix(quaternion: FloatArray) -> FloatArray:
    """Rotation matrix.

    Args:
        quaternion: (4,), w x y z, any length.

    Returns:
        (3, 3).
    """
    return np.asarray(quat2mat(quaternion), dtype=np.float64)


def quaternion_to_yaw(quaternion: FloatArray) -> float:
    """Heading as the official loader takes it (pyquaternion's `yaw_pitch_roll[0]`).

    That library's sign before `x y` belongs to the rotation order x-y-z, not z-y-x; the two differ only where pitch
    and roll are both there, but scores shall be equal there, too.

    Args:
        quaternion: (4,), w x y z, any length.

    Returns:
        rad.
    """
    w, x, y, z = (quaternion / np.linalg.norm(quaternion)).tolist()
    return math.atan2(2.0 * (w * z - x * y), 1.0 - 2.0 * (y * y + z * z))


def yaw_to_quaternion(yaw: float) -> FloatArray:
    """Quaternion of a turn about the vertical.

    Args:
        yaw: rad.

    Returns:
        (4,), w x y z.
    """
    return np.array([math.cos(yaw / 2.0), 0.0, 0.0, math.sin(yaw / 2.0)])
