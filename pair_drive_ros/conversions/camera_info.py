"""sensor_msgs/CameraInfo."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import CameraInfo

from pair_drive_core.driving.messages import camera_calibration
from pair_drive_core.scene import CameraCalibration
from pair_drive_ros.conversions.stamps import to_header

__all__ = ["camera_calibration", "to_camera_info"]


def to_camera_info(calibration: CameraCalibration, time_us: int, frame_id: str) -> CameraInfo:
    """Intrinsics and distortion as a message.

    Args:
        calibration: of the camera.
        time_us: stamp.
        frame_id: optical frame of the camera.
    """
    message = CameraInfo(header=to_header(time_us, frame_id), distortion_model="plumb_bob")
    message.height, message.width = calibration.height_px, calibration.width_px
    message.d = calibration.distortion.tolist()
    message.k = calibration.intrinsics.reshape(-1)
    message.r = np.eye(3).reshape(-1)
    message.p = np.hstack((calibration.intrinsics, np.zeros((3, 1)))).reshape(-1)
    return message
