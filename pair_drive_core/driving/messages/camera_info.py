"""sensor_msgs/CameraInfo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from transforms3d.euler import euler2mat

from pair_drive_core.driving.messages.errors import MessageError
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.stamps import to_header
from pair_drive_core.scene import CameraCalibration, Lens
from pair_drive_core.scene.sensors import FloatArray

_LENSES = {
    "plumb_bob": Lens.BROWN,
    "rational_polynomial": Lens.BROWN,
    "": Lens.BROWN,
    "equidistant": Lens.FISHEYE,
    "fisheye": Lens.FISHEYE,
}
_ASPECT_TOLERANCE = 0.02
_ROTATION_TOLERANCE = 1e-3
_RECTIFIED_SHARE = 0.01
_PLUMB_BOB = 5
"""Coefficients of plumb_bob; OpenCV's models with more are called rational_polynomial."""

_LEAST_ANGLE_DEG, _GREATEST_ANGLE_DEG = 10.0, 175.0
_OFF_CENTRE = 0.2
"""The optical axis lies at least this share of the picture away from its border."""

_BODY_R_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""From an optical frame (z forward, x right) to the body frame of the same camera (x forward, y left): REP-103."""


class CameraInfoLike(Protocol):
    """sensor_msgs/CameraInfo."""

    height: int
    width: int
    distortion_model: str
    d: Any
    k: Any
    r: Any
    p: Any
    binning_x: int
    binning_y: int
    roi: Any


def mount_rotation(roll: float, pitch: float, yaw: float) -> FloatArray:
    """(3, 3) rotation of a mounting given by fixed-axis roll, pitch, yaw in rad (the order of URDF)."""
    return np.asarray(euler2mat(roll, pitch, yaw, axes="sxyz"), dtype=np.float64)


def camera_pose(mount: Sequence[float]) -> tuple[FloatArray, FloatArray]:
    """Rotation (3, 3) from the optical frame to the ego frame, and position (3,) in the ego frame.

    Args:
        mount: x, y, z in m and roll, pitch, yaw in rad of the camera's body frame in the ego frame.
    """
    x, y, z, roll, pitch, yaw = (float(value) for value in mount)
    return mount_rotation(roll, pitch, yaw) @ _BODY_R_OPTICAL, np.array([x, y, z])


def camera_calibration(
    message: CameraInfoLike, name: str, mount: Sequence[float], *, rectified: bool = False
) -> CameraCalibration:
    """Calibration of a camera, for the pictures that it sends.

    Args:
        message: intrinsics and distortion. rosbags names the fields of ROS 2 `k` and `d`, as rclpy does. Region of
            interest and binning are taken out, as sensor_msgs defines them: K and P speak of the whole sensor.
        name: NAVSIM camera name.
        mount: x, y, z in m and roll, pitch, yaw in rad of the camera's body frame (x forward, y left, z up) in the
            ego frame.
        rectified: whether the pictures are rectified, so that P and R hold for them instead of K and the distortion.

    Raises:
        MessageError: for a distortion model or matrix that cannot be used.
    """
    matrix = _matrix(message.p, (3, 4), "p", name)[:, :3] if rectified else _matrix(message.k, (3, 3), "k", name)
    if matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise MessageError(
            f"camera_info of {name}: expected {'p' if rectified else 'k'} with positive focal lengths, "
            f"got {matrix.tolist()}"
        )
    if int(message.width) < 1 or int(message.height) < 1:
        raise MessageError(f"camera_info of {name}: expected a size, got {message.width} x {message.height}")
    _require_plausible(matrix, int(message.width), int(message.height), name)
    lens, distortion = (Lens.BROWN, np.zeros(5)) if rectified else _lens(message, name)
    rotation, position = camera_pose(mount)
    if rectified:
        turn = _matrix(message.r, (3, 3), "r", name)
        if not np.allclose(turn @ turn.T, np.eye(3), atol=_ROTATION_TOLERANCE):
            raise MessageError(f"camera_info of {name}: expected r as a rotation, got {turn.tolist()}")
        rotation = rotation @ turn.T
    return _of_pictures(message, CameraCalibration(name, 0, 0, matrix, rotation, position, distortion, lens))


def _require_plausible(matrix: FloatArray, width_px: int, height_px: int, name: str) -> None:
    """Numbers of another size of picture, or of another unit, look like those of a lens that nobody mounts.

    Raises:
        MessageError: for an angle of view or a centre that no camera for driving has.
    """
    angle_deg = math.degrees(2.0 * math.atan(0.5 * width_px / float(matrix[0, 0])))
    centre = (float(matrix[0, 2]) / width_px, float(matrix[1, 2]) / height_px)
    if not _LEAST_ANGLE_DEG <= angle_deg <= _GREATEST_ANGLE_DEG:
        raise MessageError(
            f"camera_info of {name}: expected an angle of view of {_LEAST_ANGLE_DEG:g} to {_GREATEST_ANGLE_DEG:g} "
            f"degrees, got {angle_deg:.1f} (focal length {matrix[0, 0]:g} px, {width_px} px wide)"
        )
    if not all(_OFF_CENTRE <= share <= 1.0 - _OFF_CENTRE for share in centre):
        raise MessageError(
            f"camera_info of {name}: expected the optical axis near the middle of {width_px} x {height_px} px, "
            f"got ({matrix[0, 2]:g}, {matrix[1, 2]:g}): of another size of picture?"
        )


def _matrix(values: Any, shape: tuple[int, int], field: str, name: str) -> FloatArray:  # noqa: ANN401 - array or list
    """A matrix of finite numbers.

    Raises:
        MessageError: if it is none.
    """
    matrix = np.asarray(values, dtype=np.float64).reshape(-1)
    if matrix.size != shape[0] * shape[1] or not np.isfinite(matrix).all():
        raise MessageError(
            f"camera_info of {name}: expected {field} as {shape[0]} x {shape[1]} finite numbers, got {matrix.tolist()}"
        )
    return matrix.reshape(shape)


def _lens(message: CameraInfoLike, name: str) -> tuple[Lens, FloatArray]:
    """Model and coefficients; 5 zeros where the message states none, or zeros under whatever name.

    Raises:
        MessageError: for a model that is not known, or coefficients that do not fit it.
    """
    if not np.any(message.d):
        return Lens.BROWN, np.zeros(5)
    lens = _LENSES.get(message.distortion_model)
    if lens is None:
        known = ", ".join(repr(model) for model in _LENSES if model)
        raise MessageError(
            f"camera_info of {name}: expected a distortion model of {known} or none, got {message.distortion_model!r}"
        )
    given = np.asarray(message.d, dtype=np.float64).reshape(-1)
    counts = lens.coefficient_counts
    if given.size not in counts:
        wanted = ", ".join(str(count) for count in counts)
        raise MessageError(
            f"camera_info of {name}: expected {wanted} distortion coefficients for {message.distortion_model!r}, "
            f"got {given.size}"
        )
    if not np.isfinite(given).all():
        raise MessageError(
            f"camera_info of {name}: expected finite distortion coefficients, got {given.tolist()} (not calibrated?)"
        )
    if lens is Lens.BROWN and given.size < 5:
        return lens, np.concatenate((given, np.zeros(5 - given.size)))
    return lens, given


def _of_pictures(message: CameraInfoLike, whole: CameraCalibration) -> CameraCalibration:
    """The calibration of the part of the sensor that is read out, binned as it is.

    Raises:
        MessageError: for a region that does not lie on the sensor.
    """
    width, height, roi = int(message.width), int(message.height), message.roi
    x, y, roi_width, roi_height = (int(v) for v in (roi.x_offset, roi.y_offset, roi.width, roi.height))
    roi_width, roi_height = roi_width or width - x, roi_height or height - y
    bins = max(int(message.binning_x), 1), max(int(message.binning_y), 1)
    inside = x + roi_width <= width and y + roi_height <= height
    if not inside or roi_width < bins[0] or roi_height < bins[1]:
        raise MessageError(
            f"camera_info of {whole.name}: expected a region of interest inside {width} x {height}, got {roi_width} x "
            f"{roi_height} at ({x}, {y}) with binning {bins[0]} x {bins[1]}"
        )
    shifted = whole.intrinsics - np.array([[0.0, 0.0, x], [0.0, 0.0, y], [0.0, 0.0, 0.0]])
    scale = np.diag([1.0 / bins[0], 1.0 / bins[1], 1.0])
    return replace(whole, width_px=roi_width // bins[0], height_px=roi_height // bins[1], intrinsics=scale @ shifted)


def describes_rectification(message: CameraInfoLike) -> bool:
    """Whether rectified pictures of this camera would need other intrinsics than its raw ones."""
    k = np.asarray(message.k, dtype=np.float64).reshape(-1)
    p = np.asarray(message.p, dtype=np.float64).reshape(-1)
    if k.size != 9 or p.size != 12 or not p[0] > 0:
        return False
    return bool(np.any(np.asarray(message.d))) or abs(float(p[0]) - float(k[0])) > _RECTIFIED_SHARE * float(k[0])


def fit_calibration(calibration: CameraCalibration, width_px: int, height_px: int) -> CameraCalibration:
    """The calibration at the size of a picture.

    Raises:
        MessageError: if the picture's aspect ratio is another one, so that no scaling makes them fit.
    """
    if (calibration.width_px, calibration.height_px) == (width_px, height_px):
        return calibration
    scale_x, scale_y = width_px / calibration.width_px, height_px / calibration.height_px
    if abs(scale_x / scale_y - 1.0) > _ASPECT_TOLERANCE:
        raise MessageError(
            f"camera {calibration.name}: expected a picture of the aspect ratio of its camera_info "
            f"({calibration.width_px} x {calibration.height_px}), got {width_px} x {height_px}"
        )
    return calibration.scaled(width_px, height_px)


def to_camera_info(make: MakeMessage, calibration: CameraCalibration, time_us: int, frame_id: str) -> Any:  # noqa: ANN401
    """Intrinsics and distortion as a message.

    Args:
        make: maker of messages.
        calibration: of the camera.
        time_us: stamp.
        frame_id: optical frame of the camera.
    """
    rational = calibration.lens is Lens.BROWN and len(calibration.distortion) > _PLUMB_BOB
    whole = make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make(
        "sensor_msgs/msg/CameraInfo",
        header=to_header(make, time_us, frame_id),
        height=calibration.height_px,
        width=calibration.width_px,
        distortion_model="rational_polynomial" if rational else calibration.lens.value,
        d=calibration.distortion,
        k=calibration.intrinsics.reshape(-1),
        r=np.eye(3).reshape(-1),
        p=np.hstack((calibration.intrinsics, np.zeros((3, 1)))).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=whole,
    )
