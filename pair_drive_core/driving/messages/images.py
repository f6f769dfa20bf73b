"""sensor_msgs/Image and sensor_msgs/CompressedImage."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from pair_drive_core.driving.messages.errors import MessageError
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.stamps import to_header
from pair_drive_core.scene import CameraImage

RgbArray = npt.NDArray[np.uint8]

_CONVERSIONS: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
}
"""Bytes a pixel and OpenCV's conversion to RGB, by encoding."""
ENCODINGS = tuple(_CONVERSIONS)
"""Encodings of raw images that can be read."""


class ImageLike(Protocol):
    """sensor_msgs/Image."""

    height: int
    width: int
    encoding: str
    step: int
    data: Any


class CompressedImageLike(Protocol):
    """sensor_msgs/CompressedImage."""

    format: str
    data: Any


def image_rgb(message: ImageLike) -> RgbArray:
    """The picture of a raw image message; rows may be padded.

    Returns:
        (height, width, 3) uint8, red green blue.

    Raises:
        MessageError: for an encoding that is not one of `ENCODINGS`, or data that do not fill the stated size.
    """
    if message.encoding not in _CONVERSIONS:
        raise MessageError(f"image encoding: expected one of {', '.join(ENCODINGS)}, got {message.encoding!r}")
    channels, conversion = _CONVERSIONS[message.encoding]
    height, width, step = int(message.height), int(message.width), int(message.step)
    if height < 1 or width < 1:
        raise MessageError(f"image size: expected at least 1 x 1, got {width} x {height}")
    if step < width * channels:
        raise MessageError(
            f"image step: expected at least {width * channels} bytes ({width} pixels of {message.encoding}), got {step}"
        )
    data = np.frombuffer(message.data, dtype=np.uint8)
    # The last row's padding may be left out.
    if data.size < step * (height - 1) + width * channels:
        raise MessageError(f"image data: expected {step * height} bytes ({height} rows of {step}), got {data.size}")
    rows = np.lib.stride_tricks.as_strided(data, (height, width, channels), (step, channels, 1), writeable=False)
    if conversion is None:
        return np.ascontiguousarray(rows)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(rows), conversion), dtype=np.uint8)


def compressed_image_rgb(message: CompressedImageLike) -> RgbArray:
    """The picture of a JPEG or PNG message.

    Returns:
        (height, width, 3) uint8, red green blue.

    Raises:
        MessageError: if the bytes are not a JPEG or PNG image that OpenCV can read.
    """
    data = np.frombuffer(message.data, dtype=np.uint8)
    head = data[:8].tobytes()
    if not (head.startswith(b"\xff\xd8") or head == b"\x89PNG\r\n\x1a\n"):
        raise MessageError(
            f"compressed image: expected JPEG or PNG data, got {data.size} bytes of format {message.format!r} "
            f"beginning with {head.hex()}"
        )
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if picture is None:
        raise MessageError(f"compressed image: {data.size} bytes of format {message.format!r} are damaged")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def to_image(make: MakeMessage, picture: CameraImage, frame_id: str) -> Any:  # noqa: ANN401
    """A raw rgb8 image, stamped with the start of exposure.

    Args:
        make: maker of messages.
        picture: the picture.
        frame_id: optical frame of the camera.
    """
    height, width = picture.rgb.shape[:2]
    return make(
        "sensor_msgs/msg/Image",
        header=to_header(make, picture.time_us, frame_id),
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=width * 3,
        data=np.ascontiguousarray(picture.rgb).reshape(-1),
    )


def to_compressed_image(
    make: MakeMessage,
    picture: CameraImage,
    frame_id: str,
    kind: Literal["jpeg", "png"] = "jpeg",
    quality: int = 90,
) -> Any:  # noqa: ANN401
    """A JPEG or PNG image, stamped with the start of exposure.

    Args:
        make: maker of messages.
        picture: the picture.
        frame_id: optical frame of the camera.
        kind: file format.
        quality: of JPEG, 1 to 100.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if kind == "jpeg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    _, encoded = cv2.imencode(f".{kind}", cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2BGR), options)
    return make(
        "sensor_msgs/msg/CompressedImage",
        header=to_header(make, picture.time_us, frame_id),
        format=f"rgb8; {kind} compressed bgr8",
        data=np.asarray(encoded, dtype=np.uint8).reshape(-1),
    )
