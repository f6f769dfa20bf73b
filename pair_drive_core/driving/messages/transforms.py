"""tf2_msgs/TFMessage: where sensors sit, as a tree of frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from transforms3d.quaternions import quat2mat

from pair_drive_core.driving.messages.errors import MessageError
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.odometry import to_quaternion, to_vector
from pair_drive_core.driving.messages.stamps import to_header
from pair_drive_core.scene import CameraCalibration, EgoStatus
from pair_drive_core.scene.sensors import FloatArray

_NORM_TOLERANCE = 0.01
_MAX_DEPTH = 64


class TransformsLike(Protocol):
    """tf2_msgs/TFMessage."""

    transforms: Sequence[Any]


class TransformTree:
    """The newest transform between each frame and its parent.

    Sensors are fixed to the vehicle, so the time of a transform does not matter, whether it comes on /tf_static or,
    as from some simulators, again and again on /tf.
    """

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, FloatArray]] = {}

    def add(self, message: TransformsLike) -> None:
        """Take in all transforms of a message that are some.

        Raises:
            MessageError: naming those without a rotation or with numbers that are not finite; the others are taken.
        """
        problems = []
        for entry in message.transforms:
            child = str(entry.child_frame_id).lstrip("/")
            try:
                self._parents[child] = (str(entry.header.frame_id).lstrip("/"), _matrix(child, entry.transform))
            except MessageError as error:
                problems.append(str(error))
        if problems:
            raise MessageError("; ".join(problems))

    def lookup(self, target: str, source: str) -> FloatArray | None:
        """(4, 4) `target_T_source`, which maps coordinates of the source frame into the target frame.

        Args:
            target: frame that coordinates are wanted in.
            source: frame that they are given in.

        Returns:
            None as long as the frames are not connected.
        """
        from_target, from_source = self._chain(target.lstrip("/")), self._chain(source.lstrip("/"))
        common = next((frame for frame in from_source if frame in from_target), None)
        if common is None:
            return None
        return np.asarray(np.linalg.inv(from_target[common]) @ from_source[common], dtype=np.float64)

    def _chain(self, frame: str) -> dict[str, FloatArray]:
        """Transforms from a frame into itself, its parent, and so on to the root; nearest first."""
        chain = {frame: np.eye(4)}
        pose = np.eye(4)
        while frame in self._parents and len(chain) < _MAX_DEPTH:
            frame, parent_from_child = self._parents[frame]
            if frame in chain:
                break
            pose = parent_from_child @ pose
            chain[frame] = pose
        return chain


def _matrix(name: str, transform: Any) -> FloatArray:  # noqa: ANN401 - geometry_msgs/Transform of rclpy or rosbags
    """(4, 4) homogeneous matrix of a transform."""
    t, q = transform.translation, transform.rotation
    x, y, z, w = (float(value) for value in (q.x, q.y, q.z, q.w))
    matrix = np.eye(4)
    matrix[:3, 3] = (t.x, t.y, t.z)
    if not abs(np.sqrt(x * x + y * y + z * z + w * w) - 1.0) <= _NORM_TOLERANCE or not np.isfinite(matrix).all():
        raise MessageError(
            f"transform of {name!r}: expected finite numbers and a unit quaternion, got ({t.x}, {t.y}, {t.z}) "
            f"({x}, {y}, {z}, {w})"
        )
    matrix[:3, :3] = quat2mat((w, x, y, z))
    return matrix


def to_ego_transform(make: MakeMessage, status: EgoStatus, frame_id: str, base_frame: str) -> Any:  # noqa: ANN401
    """geometry_msgs/TransformStamped, where the ego is: from `base_frame` into `frame_id`."""
    translation = to_vector(make, *status.pose[:2].tolist())
    rotation = to_quaternion(make, float(status.pose[2]))
    return make(
        "geometry_msgs/msg/TransformStamped",
        header=to_header(make, status.time_us, frame_id),
        child_frame_id=base_frame,
        transform=make("geometry_msgs/msg/Transform", translation=translation, rotation=rotation),
    )


def to_camera_transform(
    make: MakeMessage, calibration: CameraCalibration, time_us: int, base_frame: str, optical_frame: str
) -> Any:  # noqa: ANN401
    """geometry_msgs/TransformStamped, where a camera sits: from its optical frame into `base_frame`."""
    x, y, z, w = quaternion_of(calibration.ego_r_camera)
    translation = to_vector(make, *calibration.ego_t_camera.tolist())
    rotation = make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)
    return make(
        "geometry_msgs/msg/TransformStamped",
        header=to_header(make, time_us, base_frame),
        child_frame_id=optical_frame,
        transform=make("geometry_msgs/msg/Transform", translation=translation, rotation=rotation),
    )


def to_transforms(make: MakeMessage, transforms: Sequence[Any]) -> Any:  # noqa: ANN401
    """tf2_msgs/TFMessage of several geometry_msgs/TransformStamped."""
    return make("tf2_msgs/msg/TFMessage", transforms=list(transforms))


def quaternion_of(rotation: FloatArray) -> tuple[float, float, float, float]:
    """x, y, z, w of a (3, 3) rotation, from the eigenvector of Bar-Itzhack's symmetric matrix (exact for any angle)."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    symmetric = np.array(
        [
            [xx - yy - zz, yx + xy, zx + xz, zy - yz],
            [yx + xy, yy - xx - zz, zy + yz, xz - zx],
            [zx + xz, zy + yz, zz - xx - yy, yx - xy],
            [zy - yz, xz - zx, yx - xy, xx + yy + zz],
        ]
    )
    x, y, z, w = np.linalg.eigh(symmetric)[1][:, -1].tolist()
    return x, y, z, w
