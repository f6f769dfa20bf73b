"""The road seen from above: the stitched image laid onto flat ground through the cameras' own calibrations.

TransFuser leaves it to attention to find out which pixel shows which place. A small network trained on few scenes
learns that slowly, so the place of every ground pixel is computed and given to the LiDAR encoder beside its raster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from pair_drive_core.scene import CameraCalibration
from pair_drive_core.scene.lens import Lens, project

FloatMap = npt.NDArray[np.float32]
_NEAREST_M = 0.3
"""Points nearer to a camera's plane than this are not seen."""


@dataclass(frozen=True)
class GroundView:
    """One camera's part of the stitched image; plain numbers, so that its projection can be remembered.

    Attributes:
        focal_px: along columns and rows, in pixels of the stitched image.
        center_px: principal point, likewise.
        columns_px: first column and the one behind the last.
        ego_r_camera: rotation from the optical frame to the ego frame, by rows.
        ego_t_camera: position in the ego frame, m.
        distortion: coefficients of the lens model.
        lens: model of the lens.
    """

    focal_px: tuple[float, float]
    center_px: tuple[float, float]
    columns_px: tuple[float, float]
    ego_r_camera: tuple[float, ...]
    ego_t_camera: tuple[float, ...]
    distortion: tuple[float, ...]
    lens: Lens = Lens.BROWN

    @staticmethod
    def of(
        calibration: CameraCalibration,
        crop_px: tuple[float, float],
        scale: tuple[float, float],
        columns: tuple[float, float],
    ) -> GroundView:
        """A camera whose picture was cropped, then scaled, then put into some columns of the stitched image.

        Args:
            calibration: of the whole picture.
            crop_px: columns cut at the left, rows cut at the top.
            scale: of columns and rows.
            columns: in the stitched image.
        """
        k = calibration.intrinsics
        return GroundView(
            (float(k[0, 0] * scale[0]), float(k[1, 1] * scale[1])),
            (float((k[0, 2] - crop_px[0]) * scale[0] + columns[0]), float((k[1, 2] - crop_px[1]) * scale[1])),
            columns,
            tuple(float(value) for value in calibration.ego_r_camera.reshape(-1)),
            tuple(float(value) for value in calibration.ego_t_camera),
            tuple(float(value) for value in calibration.distortion),
            calibration.lens,
        )


def ground_image(
    stitched: npt.NDArray[np.uint8],
    views: Sequence[GroundView],
    size_px: int,
    range_m: float,
    ahead_m: float = 0.0,
) -> npt.NDArray[np.uint8]:
    """The stitched image as a map of the ground.

    Args:
        stitched: (H, W, 3) uint8.
        views: its cameras.
        size_px: rows and columns of the result.
        range_m: half its side.
        ahead_m: how far its middle lies ahead of the rear axle.

    Returns:
        (size, size, 3) uint8, rows along x, columns along y, as the LiDAR raster; black where no camera looks or a
        camera's lens model no longer holds (`project`).
    """
    columns, rows = _sampling(tuple(views), stitched.shape[0], size_px, range_m, ahead_m)
    seen = cv2.remap(stitched, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(seen, dtype=np.uint8)


@lru_cache(maxsize=64)
def _sampling(
    views: tuple[GroundView, ...], height_px: int, size_px: int, range_m: float, ahead_m: float
) -> tuple[FloatMap, FloatMap]:
    """Column and row of the stitched image for the centre of each cell, both (size, size); -2 where none sees it."""
    cell = 2.0 * range_m / size_px
    center = (np.arange(size_px) + 0.5) * cell - range_m
    x, y = np.meshgrid(center + ahead_m, center, indexing="ij")
    points = np.stack((x, y, np.zeros_like(x)), axis=-1).reshape(-1, 3)
    columns = np.full(len(points), -2.0)
    rows = np.full(len(points), -2.0)
    for view in views:
        rotation, position = np.array(view.ego_r_camera).reshape(3, 3), np.array(view.ego_t_camera)
        local = (points - position) @ rotation
        ahead = local[:, 2] > _NEAREST_M
        if not ahead.any():
            continue
        intrinsics = np.array(
            [[view.focal_px[0], 0.0, view.center_px[0]], [0.0, view.focal_px[1], view.center_px[1]], [0.0, 0.0, 1.0]]
        )
        pixels = np.full((len(points), 2), -2.0)
        pixels[ahead], holds = project(local[ahead], intrinsics, view.lens, np.array(view.distortion))
        ahead[ahead] = holds
        first, end = view.columns_px
        seen = ahead & (pixels[:, 0] >= first) & (pixels[:, 0] < end) & (pixels[:, 1] >= 0) & (pixels[:, 1] < height_px)
        columns[seen], rows[seen] = pixels[seen, 0], pixels[seen, 1]
    shape = (size_px, size_px)
    return columns.reshape(shape).astype(np.float32), rows.reshape(shape).astype(np.float32)
