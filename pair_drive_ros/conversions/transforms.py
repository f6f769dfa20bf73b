"""geometry_msgs/TransformStamped, the content of tf2_msgs/TFMessage."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import TransformStamped

from pair_drive_core.scene import CameraCalibration, EgoStatus
from pair_drive_core.scene.sensors import FloatArray
from pair_drive_ros.conversions.odometry import to_quaternion
from pair_drive_ros.conversions.stamps import to_header


def to_ego_transform(status: EgoStatus, frame_id: str, base_frame: str) -> TransformStamped:
    """Where the ego is: from `base_frame` into `frame_id`."""
    message = TransformStamped(header=to_header(status.time_us, frame_id), child_frame_id=base_frame)
    message.transform.translation.x, message.transform.translation.y = (float(value) for value in status.pose[:2])
    message.transform.rotation = to_quaternion(float(status.pose[2]))
    return message


def to_camera_transform(
    calibration: CameraCalibration, time_us: int, base_frame: str, optical_frame: str
) -> TransformStamped:
    """Where a camera sits: from its optical frame into `base_frame`."""
    message = TransformStamped(header=to_header(time_us, base_frame), child_frame_id=optical_frame)
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = (float(value) for value in calibration.ego_t_camera)
    rotation.x, rotation.y, rotation.z, rotation.w = quaternion_of(calibration.ego_r_camera)
    return message


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
