"""sensor_msgs/CameraInfo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from transforms3d.euler import euler2mat

from pair_drive_core.driving.messages.errors import MessageError
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.stamps import to_header
from pair_drive_core.scene import CameraCalibration
from pair_drive_core.scene.sensors import FloatArray

_DISTORTION_MODELS = ("plumb_bob", "")
_ASPECT_TOLERANCE = 0.02

_BODY_R_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""From an optical frame (z forward, x right) to the body frame of the same camera (x forward, y left): REP-103."""


class CameraInfoLike(Protocol):
    """sensor_msgs/CameraInfo."""

    height: int
    width: int
    distortion_model: str
    d: Any
    k: Any


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


def camera_calibration(message: CameraInfoLike, name: str, mount: Sequence[float]) -> CameraCalibration:
    """Calibration of a camera.

    Args:
        message: intrinsics and distortion. rosbags names the fields of ROS 2 `k` and `d`, as rclpy does.
        name: NAVSIM camera name.
        mount: x, y, z in m and roll, pitch, yaw in rad of the camera's body frame (x forward, y left, z up) in the
            ego frame.

    Raises:
        MessageError: for a distortion model or matrix that cannot be used.
    """
    if message.distortion_model not in _DISTORTION_MODELS:
        raise MessageError(
            f"camera_info of {name}: expected distortion model {_DISTORTION_MODELS[0]!r} or none, "
            f"got {message.distortion_model!r}"
        )
    intrinsics = np.asarray(message.k, dtype=np.float64).reshape(-1)
    if intrinsics.size != 9 or not np.isfinite(intrinsics).all() or intrinsics[0] <= 0 or intrinsics[4] <= 0:
        raise MessageError(f"camera_info of {name}: expected k with positive focal lengths, got {intrinsics.tolist()}")
    if int(message.width) < 1 or int(message.height) < 1:
        raise MessageError(f"camera_info of {name}: expected a size, got {message.width} x {message.height}")
    distortion = np.zeros(5)
    given = np.asarray(message.d, dtype=np.float64).reshape(-1)
    if given.size not in (0, 4, 5):
        raise MessageError(f"camera_info of {name}: expected 0, 4 or 5 distortion coefficients, got {given.size}")
    distortion[: given.size] = given
    rotation, position = camera_pose(mount)
    return CameraCalibration(
        name,
        int(message.width),
        int(message.height),
        intrinsics.reshape(3, 3),
        rotation,
        position,
        distortion,
    )


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
    whole = make("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make(
        "sensor_msgs/msg/CameraInfo",
        header=to_header(make, time_us, frame_id),
        height=calibration.height_px,
        width=calibration.width_px,
        distortion_model="plumb_bob",
        d=calibration.distortion,
        k=calibration.intrinsics.reshape(-1),
        r=np.eye(3).reshape(-1),
        p=np.hstack((calibration.intrinsics, np.zeros((3, 1)))).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=whole,
    )
