"""Sensor blobs of NAVSIM: JPEG pictures and merged point clouds (.pcd)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.pictures import PictureError, RgbImage, decode_picture

JPEG_QUALITY = 95
"""Quality at which pictures are written."""
MAX_INTENSITY = 255.0
"""Files hold intensities from 0 to 255; `LidarSweep` from 0 to 1."""

_PCD_DTYPE = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("intensity", "<u1"),
        ("ring", "<u1"),
        ("lidar_info", "<u1"),
    ]
)
_PCD_KINDS = {"F": "f", "U": "u", "I": "i"}
_PCD_FIELDS = ("x", "y", "z", "intensity", "ring", "lidar_info")

_MAX_HEADER = 65536


@dataclass(frozen=True, eq=False)
class MergedPointCloud:
    """The points of all LiDARs at one moment.

    Attributes:
        xyz: (P, 3) float32, m, LiDAR frame (equal to the ego frame in NAVSIM).
        intensity: (P,) float32, 0 to 255; files hold whole numbers.
        ring: (P,) uint8, laser beam.
        lidar_id: (P,) uint8, which LiDAR: 0 top, 1 right, 2 left, 3 back, 4 front.
    """

    xyz: npt.NDArray[np.float32]
    intensity: npt.NDArray[np.float32]
    ring: npt.NDArray[np.uint8]
    lidar_id: npt.NDArray[np.uint8]


class FrameBlobs(Protocol):
    """Where an exporter takes the sensor readings of one frame from: rendered now, or copied from files."""

    def camera_jpeg(self, name: str) -> bytes | None:
        """The JPEG file of one camera; None where there is none."""
        ...

    def lidar_pcd(self) -> bytes | None:
        """The .pcd file; None where there is none."""
        ...


def encode_jpeg(rgb: RgbImage, quality: int = JPEG_QUALITY, size: tuple[int, int] | None = None) -> bytes:
    """Encode a picture.

    Args:
        rgb: (height, width, 3) uint8.
        quality: 1 to 100.
        size: width and height to scale to; None leaves the picture as it is.

    Raises:
        ValueError: if the picture cannot be encoded.
    """
    if size is not None and size != (rgb.shape[1], rgb.shape[0]):
        rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    done, buffer = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"cannot encode a picture of shape {rgb.shape}")
    return buffer.tobytes()


def read_jpeg(path: Path) -> RgbImage:
    """Read a picture.

    Returns:
        (height, width, 3) uint8.

    Raises:
        FileNotFoundError: naming the file.
        DatasetError: if the file is no picture, or one of more pixels than cameras have.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: camera picture is missing")
    try:
        return decode_picture(path.read_bytes())
    except PictureError as error:
        raise DatasetError(path, f"expected a JPEG picture: {error}") from error


def require_whole_jpeg(path: Path) -> None:
    """Check that a picture's file begins and ends as JPEG files do, without decoding it.

    Raises:
        FileNotFoundError: naming the file.
        DatasetError: if it is torn or no JPEG file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: camera picture is missing")
    content = path.read_bytes()
    # Some cameras pad their files behind the end marker.
    if not content.startswith(b"\xff\xd8") or not content.rstrip(b"\x00").endswith(b"\xff\xd9"):
        raise DatasetError(path, f"expected a whole JPEG picture, got {len(content)} bytes without its start or end")


def encode_pcd(cloud: MergedPointCloud) -> bytes:
    """Write a point cloud as binary PCD 0.7 with nuPlan's fields."""
    count = cloud.xyz.shape[0]
    table = np.zeros(count, _PCD_DTYPE)
    table["x"], table["y"], table["z"] = cloud.xyz.T.astype(np.float32)
    table["intensity"] = np.clip(np.rint(cloud.intensity), 0, MAX_INTENSITY)
    table["ring"], table["lidar_info"] = cloud.ring, cloud.lidar_id
    header = (
        "# .PCD v0.7 - Point Cloud Data file format\n"
        "VERSION 0.7\n"
        "FIELDS x y z intensity ring lidar_info\n"
        "SIZE 4 4 4 1 1 1\n"
        "TYPE F F F U U U\n"
        "COUNT 1 1 1 1 1 1\n"
        f"WIDTH {count}\n"
        "HEIGHT 1\n"
        "VIEWPOINT 0 0 0 1 0 0 0\n"
        f"POINTS {count}\n"
        "DATA binary\n"
    )
    return header.encode("ascii") + table.tobytes()


def decode_pcd(content: bytes, source: Path | str) -> MergedPointCloud:
    """Read a binary PCD file with at least the fields x, y, z, intensity, ring, lidar_info.

    Args:
        content: the file.
        source: its name, for messages.

    Raises:
        DatasetError: if the header is malformed or points are missing.
    """
    header, start = _pcd_header(content, source)
    fields, sizes, kinds = header["FIELDS"], header["SIZE"], header["TYPE"]
    missing = [name for name in _PCD_FIELDS if name not in fields]
    if missing:
        raise DatasetError(source, f"expected the fields {list(_PCD_FIELDS)}, missing {missing}; it has {fields}")
    try:
        table_type = np.dtype([(n, f"<{_PCD_KINDS[k]}{int(s)}") for n, s, k in zip(fields, sizes, kinds, strict=True)])
        count = int(header["POINTS"][0])
        rows, columns = (int(header.get(name, default)[0]) for name, default in (("HEIGHT", ["1"]), ("WIDTH", [count])))
        each = {int(number) for number in header.get("COUNT", ["1"])}
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise DatasetError(source, f"malformed PCD header ({error})") from error
    if count < 0 or rows < 0 or rows * columns != count or each != {1}:
        raise DatasetError(
            source,
            f"malformed PCD header (expected POINTS as WIDTH x HEIGHT, one number a field; got {count} points, "
            f"{columns} x {rows}, numbers {sorted(each)[:4]})",
        )
    wanted = table_type.itemsize * count
    if len(content) - start < wanted:
        raise DatasetError(source, f"expected {count} points ({wanted} bytes), got {len(content) - start} bytes")
    table = np.frombuffer(content, table_type, count=count, offset=start)
    # Numbers that are none are found where sweeps are validated.
    with np.errstate(invalid="ignore", over="ignore"):
        return MergedPointCloud(
            np.stack([table[axis] for axis in ("x", "y", "z")], axis=-1).astype(np.float32),
            table["intensity"].astype(np.float32),
            table["ring"].astype(np.uint8),
            table["lidar_info"].astype(np.uint8),
        )


def _pcd_header(content: bytes, source: Path | str) -> tuple[dict[str, list[str]], int]:
    header: dict[str, list[str]] = {}
    start = 0
    while "DATA" not in header:
        end = content.find(b"\n", start)
        if not 0 <= end <= _MAX_HEADER:
            raise DatasetError(source, "expected a PCD header that ends with DATA binary")
        words = content[start:end].decode("ascii", errors="replace").split()
        start = end + 1
        if words and not words[0].startswith("#"):
            header[words[0].upper()] = words[1:]
    absent = [key for key in ("FIELDS", "SIZE", "TYPE", "POINTS") if key not in header]
    if absent or header["DATA"] != ["binary"]:
        raise DatasetError(source, f"expected binary PCD data, got DATA {header['DATA']}, missing header {absent}")
    return header, start


def read_pcd(path: Path) -> MergedPointCloud:
    """Read a merged point cloud.

    Raises:
        FileNotFoundError: naming the file.
        DatasetError: if the file is malformed.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: LiDAR point cloud is missing")
    return decode_pcd(path.read_bytes(), path)
