"""What moves in pictures of a driving vehicle, read with a camera's mount as it is given and with it turned."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

import cv2
import numpy as np
import numpy.typing as npt

from pair_drive_core.scene import CameraCalibration, CameraImage, Lens
from pair_drive_core.scene.sensors import FloatArray

_WIDTH_PX = 480
_FEATURES, _QUALITY, _SPACING_PX = 150, 0.01, 6
_WINDOW = (15, 15)
_LEVELS = 3
_RETURN_PX = 0.5
"""A feature that is followed there and back must end this near to where it began."""
_PARALLAX_PX = 2.0
"""Features that move less, the ego's turning taken out, tell nothing."""
_LEAST_BASE_SHARE = 0.1
"""Nor do those near the direction of travel."""
_ASIDE_SHARE, _ASIDE_PX = 0.5, 1.0
_FAR_M = 60.0
_BELOW_M, _BELOW_SHARE = 0.5, 0.1
"""Static things lie at most so far below the ground: fixed, and as a share of their depth below the camera."""

_BESIDE_HORIZON = math.sin(math.radians(8.0))
_CONTRAST, _BRIGHT, _SMOOTHER = 40.0, 120.0, 2.0

_HALF_TURN = np.diag([-1.0, -1.0, 1.0])
_NO_TURN = np.eye(3)


@dataclass(frozen=True)
class MountReading:
    """A way to read a mount.

    Attributes:
        text: what is wrong if this is the right one.
        before: (3, 3), turns the mount in the ego frame.
        after: (3, 3), turns it in the optical frame.
    """

    text: str
    before: FloatArray
    after: FloatArray


READINGS = {
    "as given": MountReading("the mount as it is given", _NO_TURN, _NO_TURN),
    "yaw": MountReading("a camera that is turned by 180 degrees about the vertical", _HALF_TURN, _NO_TURN),
    "roll": MountReading("a picture that is upside down (turned by 180 degrees)", _NO_TURN, _HALF_TURN),
    "pitch": MountReading("a camera that looks the other way, upside down", _HALF_TURN, _HALF_TURN),
}
"""Ways to read a mount, by name; the given one first."""


@dataclass(frozen=True)
class Reading:
    """How a pair of pictures agrees with a mount.

    Attributes:
        features: features that move enough to tell.
        agreeing: those that move as static things above the ground do.
    """

    features: int
    agreeing: int

    @property
    def agreement(self) -> float:
        """Share of those that agree; 0 without any."""
        return self.agreeing / self.features if self.features else 0.0


def mean_over(pairs: Iterable[dict[str, Reading]]) -> dict[str, Reading]:
    """Readings of several pairs of pictures together."""
    features, agreeing = dict.fromkeys(READINGS, 0), dict.fromkeys(READINGS, 0)
    for pair in pairs:
        for name, reading in pair.items():
            features[name] += reading.features
            agreeing[name] += reading.agreeing
    return {name: Reading(features[name], agreeing[name]) for name in READINGS}


def picture_readings(first: CameraImage, second: CameraImage, then: FloatArray, now: FloatArray) -> dict[str, Reading]:
    """How the motion between two pictures of a camera agrees with each reading of its mount.

    Args:
        first: the earlier picture.
        second: the later one.
        then: (3,) x, y, heading of the ego at the first; m, rad.
        now: (3,) at the second, in the same frame.

    Returns:
        By the names of `READINGS`.
    """
    calibration, start, end = _followed(first, second)
    if not len(start):
        return dict.fromkeys(READINGS, Reading(0, 0))
    rays = _rays(calibration, start), _rays(calibration, end)
    cos, sin = math.cos(now[2] - then[2]), math.sin(now[2] - then[2])
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    cos, sin = math.cos(then[2]), math.sin(then[2])
    x, y = now[:2] - then[:2]
    way = np.array([cos * x + sin * y, cos * y - sin * x, 0.0])
    base = turn @ calibration.ego_t_camera + way - calibration.ego_t_camera
    pixel = 1.0 / float(calibration.intrinsics[0, 0])
    height = float(calibration.ego_t_camera[2])
    return {
        name: _reading(rays, reading.before @ calibration.ego_r_camera @ reading.after, turn, base, pixel, height)
        for name, reading in READINGS.items()
    }


def _reading(
    rays: tuple[FloatArray, FloatArray],
    ego_r_camera: FloatArray,
    turn: FloatArray,
    base: FloatArray,
    pixel: float,
    height_m: float,
) -> Reading:
    """Features that move away from where the ego drives to, and lie above the ground."""
    before, after = rays[0] @ ego_r_camera.T, rays[1] @ ego_r_camera.T @ turn.T
    across = base - (before @ base)[:, None] * before
    size = np.linalg.norm(across, axis=1)
    moved = after - before
    tells = (np.linalg.norm(np.cross(before, after), axis=1) > _PARALLAX_PX * pixel) & (
        size > _LEAST_BASE_SHARE * np.linalg.norm(base)
    )
    against = -across / np.maximum(size, 1e-9)[:, None]
    along = (moved * against).sum(axis=1)
    aside = np.linalg.norm(moved - along[:, None] * against, axis=1)
    agrees = tells & (along > 0.0) & (aside < _ASIDE_SHARE * along + _ASIDE_PX * pixel)
    depth = size / np.maximum(along, 1e-9)
    drop = depth * before[:, 2]
    below = (depth < _FAR_M) & (height_m + drop < -_BELOW_M - _BELOW_SHARE * np.abs(drop))
    return Reading(int(tells.sum()), int((agrees & ~below).sum()))


def _followed(
    first: CameraImage, second: CameraImage
) -> tuple[CameraCalibration, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Features of the first picture and where they are in the second, (N, 2) px each, with the calibration for them."""
    (grey, calibration), (later, _) = _small(first), _small(second)
    nothing = np.zeros((0, 2), dtype=np.float32)
    corners = cv2.goodFeaturesToTrack(grey, _FEATURES, _QUALITY, _SPACING_PX)
    if corners is None or grey.shape != later.shape:
        return calibration, nothing, nothing
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        grey, later, corners, np.zeros_like(corners), None, None, _WINDOW, _LEVELS
    )
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(
        later, grey, there, np.zeros_like(there), None, None, _WINDOW, _LEVELS
    )
    good = (found[:, 0] > 0) & (found_back[:, 0] > 0)
    good &= np.linalg.norm((corners - back)[:, 0], axis=1) < _RETURN_PX
    return calibration, corners[good, 0].astype(np.float32), there[good, 0].astype(np.float32)


def _small(image: CameraImage) -> tuple[npt.NDArray[np.uint8], CameraCalibration]:
    """A picture in grey and of a handy size."""
    calibration = image.calibration
    rgb = image.rgb
    if calibration.width_px > _WIDTH_PX:
        height_px = max(round(calibration.height_px * _WIDTH_PX / calibration.width_px), 1)
        rgb = np.asarray(cv2.resize(rgb, (_WIDTH_PX, height_px), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        calibration = calibration.scaled(_WIDTH_PX, height_px)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), dtype=np.uint8), calibration


def _rays(calibration: CameraCalibration, pixels: npt.NDArray[np.float32]) -> FloatArray:
    """(N, 3) unit vectors in the optical frame."""
    points, distortion = pixels[:, None].astype(np.float64), calibration.distortion
    if calibration.lens is Lens.FISHEYE:
        four = np.zeros(4)
        four[: len(distortion)] = distortion
        plane = cv2.fisheye.undistortPoints(points, calibration.intrinsics, four)
    else:
        plane = cv2.undistortPoints(points, calibration.intrinsics, distortion if np.any(distortion) else None)
    space = np.column_stack((np.asarray(plane, dtype=np.float64).reshape(-1, 2), np.ones(len(pixels))))
    return np.asarray(space / np.linalg.norm(space, axis=1, keepdims=True))


class SkyAndGround(Enum):
    """What the brightness of a picture says of its sky."""

    UPRIGHT = "upright"
    UPSIDE_DOWN = "upside down"
    UNKNOWN = "unknown"


def sky_and_ground(image: CameraImage) -> SkyAndGround:
    """Whether the bright and smooth part of a picture lies where its mount has the sky, or where it has the ground."""
    small = replace(
        image, rgb=np.asarray(cv2.resize(image.rgb, (64, 36), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    )
    grey = np.asarray(cv2.cvtColor(small.rgb, cv2.COLOR_RGB2GRAY), dtype=np.float64)
    rows, columns = np.mgrid[0:36, 0:64]
    calibration = image.calibration.scaled(64, 36)
    pixels = np.stack((columns.ravel(), rows.ravel()), axis=-1).astype(np.float32)
    elevation = (_rays(calibration, pixels) @ calibration.ego_r_camera.T)[:, 2].reshape(36, 64)
    sky, ground = elevation > _BESIDE_HORIZON, elevation < -_BESIDE_HORIZON
    if min(sky.sum(), ground.sum()) < sky.size // 10:
        return SkyAndGround.UNKNOWN
    rough = np.abs(np.asarray(cv2.Laplacian(grey, cv2.CV_64F)))
    above, below = float(grey[sky].mean()), float(grey[ground].mean())
    rough_above, rough_below = float(rough[sky].mean()), float(rough[ground].mean())
    if below > max(above + _CONTRAST, _BRIGHT) and rough_above > _SMOOTHER * rough_below:
        return SkyAndGround.UPSIDE_DOWN
    if above > max(below + _CONTRAST, _BRIGHT) and rough_below > rough_above:
        return SkyAndGround.UPRIGHT
    return SkyAndGround.UNKNOWN
