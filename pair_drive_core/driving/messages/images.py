"""sensor_msgs/Image and sensor_msgs/CompressedImage."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from pair_drive_core.datasets.pictures import MAX_PIXELS, PictureError, png_size
from pair_drive_core.driving.messages.errors import MessageError
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.stamps import to_header
from pair_drive_core.scene import CameraImage

RgbArray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Layout:
    """How the pixels of an encoding lie in memory.

    Attributes:
        channels: samples a pixel.
        conversion: OpenCV's, to red green blue; None where it is that already.
        sample_bytes: 2 for samples of 16 bits, whose largest value is white.
        rows: rows of samples a row of pixels: 1.5 for chroma in planes below the picture.
        multiple: which multiple columns and rows must be.
    """

    channels: int
    conversion: int | None = None
    sample_bytes: int = 1
    rows: float = 1.0
    multiple: tuple[int, int] = (1, 1)


_COLOURS = {
    "rgb": (3, None),
    "bgr": (3, cv2.COLOR_BGR2RGB),
    "rgba": (4, cv2.COLOR_RGBA2RGB),
    "bgra": (4, cv2.COLOR_BGRA2RGB),
    "mono": (1, cv2.COLOR_GRAY2RGB),
}
_MOSAICS = {
    "bayer_rggb": cv2.COLOR_BayerRGGB2RGB,
    "bayer_bggr": cv2.COLOR_BayerBGGR2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGBRG2RGB,
    "bayer_grbg": cv2.COLOR_BayerGRBG2RGB,
}
_LAYOUTS: dict[str, _Layout] = {
    **{
        f"{name}{8 * size}": _Layout(channels, conversion, size)
        for size in (1, 2)
        for name, (channels, conversion) in _COLOURS.items()
    },
    # Without names for the channels: OpenCV's order, as cv_bridge takes it.
    "8UC1": _Layout(1, cv2.COLOR_GRAY2RGB),
    "8UC3": _Layout(3, cv2.COLOR_BGR2RGB),
    "8UC4": _Layout(4, cv2.COLOR_BGRA2RGB),
    **{
        f"{name}{8 * size}": _Layout(1, conversion, size, multiple=(2, 2))
        for size in (1, 2)
        for name, conversion in _MOSAICS.items()
    },
    **dict.fromkeys(("yuv422", "uyvy"), _Layout(2, cv2.COLOR_YUV2RGB_UYVY, multiple=(2, 1))),
    **dict.fromkeys(("yuv422_yuy2", "yuyv"), _Layout(2, cv2.COLOR_YUV2RGB_YUY2, multiple=(2, 1))),
    "nv12": _Layout(1, cv2.COLOR_YUV2RGB_NV12, rows=1.5, multiple=(2, 2)),
    "nv21": _Layout(1, cv2.COLOR_YUV2RGB_NV21, rows=1.5, multiple=(2, 2)),
}
_COLOUR_CHANNELS = 3
_FRACTIONS = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))
"""Fractions of a JPEG's size at which it can be decoded: only so much of each block is transformed."""
ENCODINGS = tuple(_LAYOUTS)
"""Encodings of raw images that can be read."""


class ImageLike(Protocol):
    """sensor_msgs/Image."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


class CompressedImageLike(Protocol):
    """sensor_msgs/CompressedImage."""

    format: str
    data: Any


def image_rgb(message: ImageLike) -> RgbArray:
    """The picture of a raw image message; rows may be padded, a step of 0 means that they are not.

    Returns:
        (height, width, 3) uint8, red green blue. Samples of 16 bits are divided by 257, so that white stays white.

    Raises:
        MessageError: for an encoding that is not one of `ENCODINGS`, or data that do not fill the stated size.
    """
    layout = _LAYOUTS.get(message.encoding)
    if layout is None:
        raise MessageError(f"image encoding: expected one of {', '.join(ENCODINGS)}, got {message.encoding!r}")
    height, width = int(message.height), int(message.width)
    if height < 1 or width < 1:
        raise MessageError(f"image size: expected at least 1 x 1, got {width} x {height}")
    if width % layout.multiple[0] or height % layout.multiple[1]:
        raise MessageError(
            f"image size: expected multiples of {layout.multiple[0]} x {layout.multiple[1]} for {message.encoding}, "
            f"got {width} x {height}"
        )
    row_bytes = width * layout.channels * layout.sample_bytes
    step = int(message.step) or row_bytes
    if step < row_bytes:
        raise MessageError(
            f"image step: expected at least {row_bytes} bytes ({width} pixels of {message.encoding}), got {step}"
        )
    count = int(height * layout.rows)
    data = np.frombuffer(message.data, dtype=np.uint8)
    # The last row's padding may be left out.
    if data.size < step * (count - 1) + row_bytes:
        raise MessageError(f"image data: expected {step * count} bytes ({count} rows of {step}), got {data.size}")
    rows = np.lib.stride_tricks.as_strided(data, (count, row_bytes), (step, 1), writeable=False)
    samples = np.ascontiguousarray(rows)
    if layout.sample_bytes == 2:
        order = ">u2" if message.is_bigendian else "<u2"
        samples = _eight_bits(samples.view(order))
    return _converted(samples.reshape(count, width, layout.channels), layout.conversion)


def compressed_image_rgb(message: CompressedImageLike, least_rows: int = 0) -> RgbArray:
    """The picture of a JPEG or PNG message.

    What image_transport writes into `format` counts (`rgb8; jpeg compressed bgr8`): the order of the colours in the
    file, and whether it holds a mosaic. How the file says it is to be turned (EXIF) does not: the calibration speaks of
    the sensor's own rows and columns.

    Args:
        message: the picture.
        least_rows: a JPEG in colour that has several times as many rows is decoded at a half, a quarter or an eighth of
            its size, which is as good as the mean of its pixels and takes a fraction of the time; 0 decodes it whole.

    Returns:
        (height, width, 3) uint8, red green blue.

    Raises:
        MessageError: if the bytes are not a whole JPEG or PNG image that OpenCV can read, or hold something else than a
            picture for the eye.
    """
    data = np.frombuffer(message.data, dtype=np.uint8)
    content = data.tobytes()
    size = _require_whole(content, message.format)
    try:
        picture = cv2.imdecode(data, _reading_mode(size, least_rows))
    except cv2.error as error:
        raise MessageError(f"compressed image: {data.size} bytes cannot be decoded ({error.err})") from None
    if picture is None:
        raise MessageError(f"compressed image: {data.size} bytes of format {message.format!r} are damaged")
    first, separator, rest = (part.strip() for part in message.format.partition(";"))
    encoding, target = (first, rest) if separator else ("", first)
    samples = np.atleast_3d(picture)
    if encoding.startswith(("16UC", "16SC", "32FC", "8SC")):
        raise MessageError(f"compressed image: expected a picture for the eye, got encoding {encoding!r}")
    if samples.dtype == np.uint16:
        samples = _eight_bits(samples)
    if samples.dtype != np.uint8:
        raise MessageError(f"compressed image: expected samples of 8 or 16 bits, got {samples.dtype}")
    mosaic = _LAYOUTS.get(encoding) if encoding.startswith("bayer_") and samples.shape[2] == 1 else None
    if encoding.startswith("bayer_") and samples.shape[2] == 1 and mosaic is None:
        raise MessageError(f"compressed image: expected a mosaic of {', '.join(_MOSAICS)}, got {encoding!r}")
    if mosaic is not None:
        if samples.shape[0] % 2 or samples.shape[1] % 2:
            raise MessageError(f"compressed image: a mosaic of {samples.shape[1]} x {samples.shape[0]} pixels is cut")
        return _converted(samples, mosaic.conversion)
    # What a publisher hands to OpenCV in the order red green blue comes back in that order.
    as_rgb = target.rpartition("compressed")[2].strip().startswith("rgb")
    kinds = {
        1: cv2.COLOR_GRAY2RGB,
        3: None if as_rgb else cv2.COLOR_BGR2RGB,
        4: cv2.COLOR_RGBA2RGB if as_rgb else cv2.COLOR_BGRA2RGB,
    }
    if samples.shape[2] not in kinds:
        raise MessageError(f"compressed image: expected 1, 3 or 4 channels, got {samples.shape[2]}")
    return _converted(samples, kinds[samples.shape[2]])


def _converted(samples: npt.NDArray[Any], conversion: int | None) -> RgbArray:
    """(h, w, 3) red green blue."""
    contiguous = np.ascontiguousarray(samples)
    return contiguous if conversion is None else np.asarray(cv2.cvtColor(contiguous, conversion), dtype=np.uint8)


def _eight_bits(samples: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Samples of 16 bits with the same white, rounded."""
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


@dataclass(frozen=True)
class _StatedSize:
    """What the header of a file states.

    Attributes:
        width: columns.
        height: rows.
        channels: of a JPEG; 0 for a PNG.
    """

    width: int
    height: int
    channels: int


def _reading_mode(size: _StatedSize, least_rows: int) -> int:
    """OpenCV's way of decoding a file: at the smallest fraction of its size that leaves so many rows.

    Only sizes that the fraction divides are taken, so that the picture keeps its shape.
    """
    if least_rows > 0 and size.channels == _COLOUR_CHANNELS:
        for fraction, mode in _FRACTIONS:
            whole = size.width % fraction == 0 and size.height % fraction == 0
            if whole and size.height // fraction >= least_rows:
                return mode | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.IMREAD_UNCHANGED


def _require_whole(content: bytes, form: str) -> _StatedSize:
    """Size of a file that is a JPEG or PNG with its end in it, and that can be decoded.

    OpenCV decodes what is there of a JPEG that was cut off, and fills the rest with grey.

    Raises:
        MessageError: naming what it is instead.
    """
    try:
        if content.startswith(b"\xff\xd8"):
            size, whole = _jpeg_size(content)
        elif content.startswith(b"\x89PNG\r\n\x1a\n"):
            size, whole = _StatedSize(*png_size(content), 0), True
        else:
            raise MessageError(
                f"compressed image: expected JPEG or PNG data, got {len(content)} bytes of format {form!r} beginning "
                f"with {content[:8].hex()}"
            )
    except (struct.error, PictureError):
        whole, size = False, _StatedSize(0, 0, 0)
    if not whole:
        raise MessageError(f"compressed image: {len(content)} bytes of format {form!r} are damaged or cut off")
    if size.width * size.height > MAX_PIXELS:
        raise MessageError(
            f"compressed image: expected at most {MAX_PIXELS} pixels, its header states {size.width} x {size.height}"
        )
    return size


def _jpeg_size(content: bytes) -> tuple[_StatedSize, bool]:
    """Size as the frame header states it, and whether the end of the picture is there."""
    position, size = 2, _StatedSize(0, 0, 0)
    while True:
        marker, length = struct.unpack_from(">HH", content, position)
        if marker == 0xFFFF:
            position += 1
            continue
        if marker >> 8 != 0xFF:
            return size, False
        kind = marker & 0xFF
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width, channels = struct.unpack_from(">HHB", content, position + 5)
            size = _StatedSize(width, height, channels)
        position += 2 + length
        if kind == 0xDA:
            # A height of 0 is stated after the first scan; OpenCV does not read such files either.
            return size, size.width * size.height > 0 and content.find(b"\xff\xd9", position) >= 0


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
