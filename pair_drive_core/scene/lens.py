"""Lenses: from points in front of a camera to pixels, and how far from the axis a lens model can be believed."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_NUDGE = 1e-4
"""Distance of the neighbours that tell whether the picture is folded at a point, in units of the normalised plane."""


class Lens(str, Enum):
    """Model of a lens, by the name that sensor_msgs/CameraInfo has for it."""

    BROWN = "plumb_bob"
    """OpenCV's pinhole model with 0, 4, 5, 8, 12 or 14 coefficients: k1 k2 p1 p2, k3, k4 k5 k6, s1 s2 s3 s4, tx ty.
    With 8 and more CameraInfo calls it rational_polynomial."""
    FISHEYE = "equidistant"
    """OpenCV's fisheye model with 4 coefficients k1 k2 k3 k4 of the angle to the axis."""

    @property
    def coefficient_counts(self) -> tuple[int, ...]:
        """How many coefficients the model may have."""
        return (0, 4) if self is Lens.FISHEYE else (0, 4, 5, 8, 12, 14)


def project(
    points: FloatArray, intrinsics: FloatArray, lens: Lens, distortion: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Pixels of points.

    A polynomial that was fitted to what a picture shows turns back somewhere beyond its edge, and would put what lies
    far outside into the picture a second time. Such points are not seen.

    Args:
        points: (P, 3), in the optical frame (z forward, x right); m.
        intrinsics: (3, 3), px.
        lens: model of the lens.
        distortion: its coefficients.

    Returns:
        (P, 2) px, and (P,) whether the point lies in front of the camera and within what the lens model holds for.
        Pixels of others mean nothing.
    """
    ahead = points[:, 2] > 0.0
    depth = np.where(ahead, points[:, 2], 1.0)
    plane = points[:, :2] / depth[:, None]
    pixels = _distorted(plane, intrinsics, lens, distortion)
    if not np.any(distortion):
        return pixels, ahead
    coefficients = tuple(float(value) for value in distortion)
    seen = ahead & (np.hypot(plane[:, 0], plane[:, 1]) < largest_radius(lens, coefficients))
    if lens is Lens.BROWN:
        # Tangential and prism terms fold at another place than the radial ones alone.
        unit = np.eye(3)
        along_x, along_y = (
            _distorted(plane + step, unit, lens, distortion) - _distorted(plane - step, unit, lens, distortion)
            for step in (np.array([_NUDGE, 0.0]), np.array([0.0, _NUDGE]))
        )
        seen &= along_x[:, 0] * along_y[:, 1] - along_x[:, 1] * along_y[:, 0] > 0.0
    return pixels, seen


def _distorted(plane: FloatArray, intrinsics: FloatArray, lens: Lens, distortion: FloatArray) -> FloatArray:
    """(P, 2) px of points (P, 2) of the normalised plane."""
    if len(plane) == 0:
        return np.zeros((0, 2))
    space, zero = np.column_stack((plane, np.ones(len(plane)))), np.zeros(3)
    if lens is Lens.FISHEYE:
        four = np.zeros(4)
        four[: len(distortion)] = distortion
        found = cv2.fisheye.projectPoints(space[:, None], zero, zero, intrinsics, four)[0]
    else:
        found = cv2.projectPoints(space, zero, zero, intrinsics, distortion if len(distortion) else None)[0]
    return np.asarray(found, dtype=np.float64).reshape(-1, 2)


@lru_cache(maxsize=256)
def largest_radius(lens: Lens, distortion: tuple[float, ...]) -> float:
    """Distance from the axis, in the normalised plane, at which the radius in the picture stops growing.

    Args:
        lens: model of the lens.
        distortion: its coefficients.

    Returns:
        Infinity where it never does.
    """
    if lens is Lens.FISHEYE:
        # theta_d = theta (1 + k1 theta^2 + k2 theta^4 + ...): the first angle at which its derivative is zero.
        slope = [1.0, *((2 * i + 3) * k for i, k in enumerate(distortion))]
        square = _first_positive_root(np.polynomial.Polynomial(slope))
        angle = np.sqrt(square)
        return float(np.tan(angle)) if angle < np.pi / 2 else float("inf")
    k1, k2, _, _, k3, k4, k5, k6 = (*distortion, *[0.0] * 8)[:8]
    # r_d = r N / D with polynomials in s = r^2; its derivative is zero where (N + 2 s N') D = 2 s N D'.
    top, bottom = np.polynomial.Polynomial([1.0, k1, k2, k3]), np.polynomial.Polynomial([1.0, k4, k5, k6])
    twice = np.polynomial.Polynomial([0.0, 2.0])
    turning = (top + twice * top.deriv()) * bottom - twice * top * bottom.deriv()
    return float(np.sqrt(min(_first_positive_root(turning), _first_positive_root(bottom))))


def _first_positive_root(polynomial: np.polynomial.Polynomial) -> float:
    """Smallest positive real root; infinity without one."""
    roots = polynomial.trim().roots()
    real = roots[(np.abs(roots.imag) < 1e-9 * (1.0 + np.abs(roots))) & (roots.real > 0.0)].real
    return float(real.min()) if real.size else float("inf")
