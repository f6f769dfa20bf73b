"""JPEG and PNG pictures of strangers: their size is read from the header before anything is allocated for it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

MAX_PIXELS = 2**24
"""Largest picture that is decoded: eight times NAVSIM's cameras."""

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_CHUNK_FRAME = 12
"""Bytes of a PNG chunk beside its data: length, kind, checksum."""
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN, _END = 0xDA, 0xD9

RgbImage = npt.NDArray[np.uint8]


class PictureError(ValueError):
    """Bytes that are no picture, or one that is too large."""


def picture_size(content: bytes) -> tuple[int, int]:
    """Width and height that a JPEG or PNG header declares, px.

    Raises:
        PictureError: if there is no such header.
    """
    if content.startswith(_JPEG):
        return _jpeg_size(content)
    if content.startswith(_PNG):
        return png_size(content)
    raise PictureError(f"expected a JPEG or PNG picture, got {len(content)} bytes beginning with {content[:8].hex()!r}")


def decode_picture(content: bytes) -> RgbImage:
    """The picture in a JPEG or PNG file.

    Returns:
        (height, width, 3) uint8, red green blue.

    Raises:
        PictureError: if the bytes are no whole picture, or of one that has more than `MAX_PIXELS`.
    """
    width, height = picture_size(content)
    if not 1 <= width * height <= MAX_PIXELS:
        raise PictureError(f"expected a picture of 1 to {MAX_PIXELS} pixels, got {width} x {height}")
    try:
        bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise PictureError(f"a picture that does not decode ({' '.join(str(error).split())[:120]})") from None
    if bgr is None:
        raise PictureError(f"a picture of {width} x {height} that does not decode, {len(content)} bytes")
    return np.ascontiguousarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Of the frame header (ITU T.81, B.2.2); segments follow each other without gaps."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker in (_SCAN, _END):
            break
        if marker in _FRAME_HEADERS:
            if at + 9 > len(content):
                break
            return int.from_bytes(content[at + 7 : at + 9], "big"), int.from_bytes(content[at + 5 : at + 7], "big")
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    raise PictureError(f"expected a JPEG picture, got {len(content)} bytes without a frame header")


def png_size(content: bytes) -> tuple[int, int]:
    """Of the header chunk (PNG specification, 5.3).

    The chunks must reach to the file's end one after the other: a decoder takes the memory that a chunk states before
    it sees that the file is shorter, 2 GiB for some hundred bytes.

    Raises:
        PictureError: if there is no such header, or the chunks do not end with the file's last one.
    """
    at, size, last = len(_PNG), (0, 0), b""
    while last != b"IEND" and at + _CHUNK_FRAME <= len(content):
        length, last = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if at == len(_PNG) and last == b"IHDR":
            size = int.from_bytes(content[at + 8 : at + 12], "big"), int.from_bytes(content[at + 12 : at + 16], "big")
        at += length + _CHUNK_FRAME
    if last != b"IEND" or at > len(content) or 0 in size:
        raise PictureError(f"expected a whole PNG picture, got {len(content)} bytes that are damaged or cut off")
    return size
