"""Pictures and clouds as they came, decoded once: when somebody first looks, or ahead of that on another thread."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from pair_drive_core.driving.messages import MessageError, cloud_points, compressed_image_rgb, image_rgb
from pair_drive_core.driving.messages.images import RgbArray
from pair_drive_core.driving.topics import InputKind, InputTopic

PointArray = npt.NDArray[np.float32]


class Reading:
    """One message of a camera or of the LiDAR. What it holds does not depend on who decodes it, or when.

    Args:
        entry: its topic.
        message: of the topic's type; let go of once it is decoded.
        least_rows: rows that a compressed picture keeps at least where it is decoded at a fraction of its size; 0
            decodes it whole.
    """

    def __init__(self, entry: InputTopic, message: Any, least_rows: int = 0) -> None:  # noqa: ANN401 - as SensorFeed
        self.entry = entry
        self.frame_id = str(message.header.frame_id)
        self._message = message
        self._least_rows = least_rows
        self._lock = threading.Lock()
        self._content: RgbArray | PointArray | None = None
        self._error: Exception | None = None

    def picture(self) -> RgbArray:
        """(h, w, 3) uint8, red green blue.

        Raises:
            MessageError: if the message holds no picture that can be used.
        """
        picture: RgbArray = self._decoded()
        return picture

    def points(self) -> PointArray:
        """(P, 4) float32 in the sensor's frame, at least one; see `cloud_points`.

        Raises:
            MessageError: if the message holds no cloud that can be used.
        """
        points: PointArray = self._decoded()
        return points

    def prepare(self) -> None:
        """Decode it now; whoever wants it later gets it, or the error."""
        with contextlib.suppress(Exception):  # It is kept, and raised again for whoever wants the reading.
            self._decoded()

    def _decoded(self) -> Any:  # noqa: ANN401 - by the kind of the topic
        with self._lock:
            if self._error is None and self._content is None:
                try:
                    self._content = self._decode()
                except Exception as error:
                    self._error = error
                    raise
                finally:
                    self._message = None
            if self._error is not None:
                raise self._error
            return self._content

    def _decode(self) -> RgbArray | PointArray:
        message = self._message
        if self.entry.kind is InputKind.IMAGE:
            return image_rgb(message)
        if self.entry.kind is InputKind.COMPRESSED_IMAGE:
            return compressed_image_rgb(message, self._least_rows)
        points = cloud_points(message)
        if points.shape[0] == 0:
            total = int(message.height) * int(message.width)
            raise MessageError(f"point cloud: expected points, got none that is finite among {total}")
        return points
