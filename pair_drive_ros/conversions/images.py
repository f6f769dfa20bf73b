"""sensor_msgs/Image and sensor_msgs/CompressedImage."""

from __future__ import annotations

import array
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage, Image

from pair_drive_core.driving.messages import compressed_image_rgb, image_rgb
from pair_drive_core.driving.messages.images import RgbArray
from pair_drive_core.scene import CameraImage
from pair_drive_ros.conversions.stamps import to_header

__all__ = ["compressed_image_rgb", "image_rgb", "to_compressed_image", "to_image"]


def byte_array(data: npt.NDArray[np.uint8]) -> array.array[int]:
    """Bytes in the type that rclpy takes over without looking at each one."""
    packed = array.array("B")
    packed.frombytes(np.ascontiguousarray(data).data.cast("B"))
    return packed


def to_image(picture: CameraImage, frame_id: str) -> Image:
    """A raw rgb8 image, stamped with the start of exposure.

    Args:
        picture: the picture.
        frame_id: optical frame of the camera.
    """
    height, width = picture.rgb.shape[:2]
    message = Image(header=to_header(picture.time_us, frame_id), height=height, width=width, encoding="rgb8")
    message.step = width * 3
    message.data = byte_array(picture.rgb)
    return message


def to_compressed_image(
    picture: CameraImage, frame_id: str, kind: Literal["jpeg", "png"] = "jpeg", quality: int = 90
) -> CompressedImage:
    """A JPEG or PNG image, stamped with the start of exposure.

    Args:
        picture: the picture.
        frame_id: optical frame of the camera.
        kind: file format.
        quality: of JPEG, 1 to 100.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if kind == "jpeg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    _, encoded = cv2.imencode(f".{kind}", _bgr(picture.rgb), options)
    message = CompressedImage(header=to_header(picture.time_us, frame_id), format=f"rgb8; {kind} compressed bgr8")
    message.data = byte_array(encoded)
    return message


def _bgr(rgb: RgbArray) -> RgbArray:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), dtype=np.uint8)
