"""Sensor readings to network inputs, as TransFuser does it on NAVSIM (METHOD section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pair_drive_core.models.ground_image import GroundView, ground_image
from pair_drive_core.scene import (
    FRONT_CAMERAS,
    AgentInput,
    CameraCalibration,
    CameraImage,
    DrivingCommand,
    EgoStatus,
    LidarSweep,
    SceneError,
)

STATUS_SIZE = 8
"""One-hot command (4), velocity (2), acceleration (2)."""
SWEEP_AGE_TOLERANCE_S = 0.15
"""How far the age of an earlier sweep may lie from the one that is asked for."""
MAX_SIDE_PX = 8192
"""Largest side of a network input; any other number is a mistake that would take all memory."""
_CROP_ROWS = 28.0 / 1080.0
"""Share of the rows cut at the top and at the bottom of each image: 28 px of 1080."""
_CROP_COLUMNS = 416.0 / 1920.0
"""Share of the columns cut at the left and at the right of the side images: 416 px of 1920."""


@dataclass(frozen=True)
class FeatureConfig:
    """Sizes of the network inputs; the defaults are the paper's.

    Attributes:
        image_height_px: rows of the stitched image.
        image_width_px: columns of the stitched image.
        lidar_size_px: rows and columns of the LiDAR raster, which always spans +-`lidar_range_m`.
        lidar_range_m: half the side of the raster.
        lidar_ahead_m: how far the middle of the raster lies ahead of the rear axle; 0 is the official TransFuser. At
            14 m/s a plan ends 56 m ahead, so half a square around the axle shows what nobody will reach.
        lidar_past_s: ages of earlier sweeps that are rastered too, each moved into the ego frame at t0 and in a channel
            of its own: what moves is in different places. A sweep that is not there leaves zeros.
        lidar_min_height_m: only points above this height count.
        lidar_clip: points per pixel that mean 1.0.
        ground_image: whether the LiDAR encoder also gets the image laid onto the ground (`ground_image`); False is the
            official TransFuser.
        area_interpolation: average pixels when shrinking the image (right for much smaller inputs); False is the
            bilinear resize of the official TransFuser.
    """

    image_height_px: int = 256
    image_width_px: int = 1024
    lidar_size_px: int = 256
    lidar_range_m: float = 32.0
    lidar_ahead_m: float = 0.0
    lidar_past_s: tuple[float, ...] = ()
    lidar_min_height_m: float = 0.2
    lidar_clip: float = 5.0
    ground_image: bool = False
    area_interpolation: bool = False

    def __post_init__(self) -> None:
        for name in ("image_height_px", "image_width_px", "lidar_size_px"):
            if not 1 <= getattr(self, name) <= MAX_SIDE_PX:
                raise ValueError(f"{name}: expected 1 to {MAX_SIDE_PX}, got {getattr(self, name)}")
        if self.lidar_range_m <= 0.0 or self.lidar_clip <= 0.0:
            raise ValueError(
                f"lidar_range_m, lidar_clip: expected more than 0, got {self.lidar_range_m}, {self.lidar_clip}"
            )


@dataclass(frozen=True)
class Features:
    """Network inputs for B moments.

    Attributes:
        camera: (B, 3, H, W), red green blue in [0, 1], left-front, front and right-front image side by side.
        lidar: (B, 1 + P, h, w) in [0, 1], the sweep at t0 and P earlier ones; row 0 is the rear edge, column 0 the
            right one (both axes grow with the ego frame's x and y).
        ground: (B, 3, h, w) in [0, 1], the image laid onto the ground, rows and columns as in `lidar`; (B, 0, h, w)
            where it is not used.
        status: (B, 8), one-hot command (left, straight, right, unknown), velocity in m/s, acceleration in m/s^2.
    """

    camera: Tensor
    lidar: Tensor
    ground: Tensor
    status: Tensor

    def __len__(self) -> int:
        """Number of moments."""
        return self.status.shape[0]

    def __getitem__(self, index: Tensor | slice) -> Features:
        """Some of the moments."""
        return Features(self.camera[index], self.lidar[index], self.ground[index], self.status[index])

    def to(self, device: torch.device) -> Features:
        """The same on another device."""
        return Features(*(part.to(device) for part in self.tensors().values()))

    def tensors(self) -> dict[str, Tensor]:
        """By name."""
        return {"camera": self.camera, "lidar": self.lidar, "ground": self.ground, "status": self.status}

    @staticmethod
    def concatenate(parts: Sequence[Features]) -> Features:
        """Join along the batch axis."""
        return Features(
            torch.cat([part.camera for part in parts]),
            torch.cat([part.lidar for part in parts]),
            torch.cat([part.ground for part in parts]),
            torch.cat([part.status for part in parts]),
        )


def build_features(agent_input: AgentInput, config: FeatureConfig) -> Features:
    """Network inputs of one moment (batch of one).

    Args:
        agent_input: readings; the three front cameras and the LiDAR must be there.
        config: sizes.

    Raises:
        SceneError: naming the reading that is missing or malformed.
    """
    missing = [name for name in FRONT_CAMERAS if name not in agent_input.cameras]
    if missing:
        available = ", ".join(sorted(agent_input.cameras)) or "none"
        raise SceneError(
            f"the planner needs cameras {', '.join(FRONT_CAMERAS)}; missing {missing}, available {available}"
        )
    if agent_input.lidar is None:
        raise SceneError("the planner needs a LiDAR sweep, got none")
    agent_input.validate()
    images = [agent_input.cameras[name] for name in FRONT_CAMERAS]
    views = stitched_views([image.calibration for image in images], config)
    stitched = stitch_cameras(images, config)
    return assemble_features(stitched, views, agent_input.lidar, agent_input.now, config, agent_input.earlier_lidar)


def assemble_features(
    stitched: npt.NDArray[np.uint8],
    views: Sequence[GroundView],
    lidar: LidarSweep,
    status: EgoStatus,
    config: FeatureConfig,
    earlier: Sequence[LidarSweep] = (),
) -> Features:
    """Network inputs of one moment whose cameras are stitched already.

    Args:
        stitched: (H, W, 3) uint8, of the configured size.
        views: which of its columns show what; not looked at without `ground_image`.
        lidar: points in the ego frame.
        status: at t0.
        config: sizes.
        earlier: earlier sweeps, moved into the ego frame at t0; those of the configured ages are taken.
    """
    size = config.lidar_size_px
    ground = torch.zeros(1, 0, size, size)
    if config.ground_image:
        ground = _as_picture(ground_image(stitched, views, size, config.lidar_range_m, config.lidar_ahead_m))
    sweeps = [lidar, *(sweep_of_age(earlier, status.time_us, age) for age in config.lidar_past_s)]
    empty = np.zeros((size, size), dtype=np.float32)
    raster = torch.from_numpy(np.stack([empty if s is None else rasterise_lidar(s, config) for s in sweeps]))[None]
    return Features(_as_picture(stitched), raster, ground, status_vector(status).unsqueeze(0))


def sweep_of_age(earlier: Sequence[LidarSweep], time_us: int, age_s: float) -> LidarSweep | None:
    """The sweep whose stamp is nearest to `age_s` before a moment; None where none is near enough."""
    wanted_us = time_us - round(age_s * 1e6)
    nearest = min(earlier, key=lambda sweep: abs(sweep.time_us - wanted_us), default=None)
    if nearest is None or abs(nearest.time_us - wanted_us) > SWEEP_AGE_TOLERANCE_S * 1e6:
        return None
    return nearest


def stitched_views(calibrations: Sequence[CameraCalibration], config: FeatureConfig) -> list[GroundView]:
    """Where the left-front, front and right-front camera are in the stitched image (see `stitch_cameras`)."""
    crops = [_crop(c.height_px, c.width_px, position) for position, c in enumerate(calibrations)]
    heights = [c.height_px - 2 * crop[0] for c, crop in zip(calibrations, crops, strict=True)]
    widths = [c.width_px - 2 * crop[1] for c, crop in zip(calibrations, crops, strict=True)]
    level = [width * max(heights) // height for width, height in zip(widths, heights, strict=True)]
    edges = np.cumsum([0, *level]) * (config.image_width_px / sum(level))
    return [
        GroundView.of(
            calibration,
            (crop[1], crop[0]),
            ((edges[i + 1] - edges[i]) / widths[i], config.image_height_px / heights[i]),
            (float(edges[i]), float(edges[i + 1])),
        )
        for i, (calibration, crop) in enumerate(zip(calibrations, crops, strict=True))
    ]


def _crop(height: int, width: int, position: int) -> tuple[int, int]:
    """Rows cut above and below, and columns cut left and right, of the image at a position."""
    return round(height * _CROP_ROWS), round(width * _CROP_COLUMNS) if position != 1 else 0


def _as_picture(rgb: npt.NDArray[np.uint8]) -> Tensor:
    """(1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(rgb).permute(2, 0, 1).unsqueeze(0).float() / 255.0


def stitch_cameras(images: Sequence[CameraImage], config: FeatureConfig) -> npt.NDArray[np.uint8]:
    """Crop, join and resize the three front images.

    The crop is 28 px top and bottom everywhere and 416 px left and right of the side images at 1920 x 1080, and the
    same share of any other resolution.

    Args:
        images: left-front, front, right-front.
        config: sizes.

    Returns:
        (H, W, 3) uint8.
    """
    strips: list[npt.NDArray[np.uint8]] = []
    for position, image in enumerate(images):
        height, width = image.rgb.shape[:2]
        rows, columns = _crop(height, width, position)
        strips.append(image.rgb[rows : height - rows, columns : width - columns])
    tallest = max(strip.shape[0] for strip in strips)
    level = [
        s if s.shape[0] == tallest else _resize(s, s.shape[1] * tallest // s.shape[0], tallest, area=True)
        for s in strips
    ]
    joined = np.concatenate(level, axis=1)
    return _resize(joined, config.image_width_px, config.image_height_px, area=config.area_interpolation)


def rasterise_lidar(sweep: LidarSweep, config: FeatureConfig) -> npt.NDArray[np.float32]:
    """Count the points above the ground in each pixel of a raster around the vehicle.

    Args:
        sweep: points in the ego frame, m.
        config: sizes.

    Returns:
        (h, w) float32 in [0, 1]: x along the rows, y along the columns.
    """
    size, reach = config.lidar_size_px, config.lidar_range_m
    above = sweep.points[sweep.points[:, 2] > config.lidar_min_height_m, :2]
    corner = np.array([reach - config.lidar_ahead_m, reach], dtype=np.float32)
    pixel = np.floor((above + corner) * np.float32(size / (2.0 * reach))).astype(np.int64)
    inside = ((pixel >= 0) & (pixel < size)).all(axis=1)
    flat = pixel[inside, 0] * size + pixel[inside, 1]
    counts = np.bincount(flat, minlength=size * size).reshape(size, size)
    return (np.minimum(counts, config.lidar_clip) / config.lidar_clip).astype(np.float32)


def status_vector(status: EgoStatus) -> Tensor:
    """(8,): one-hot command, velocity (m/s), acceleration (m/s^2), the last two in the ego frame."""
    command = torch.zeros(len(DrivingCommand))
    command[int(status.command)] = 1.0
    motion = np.concatenate((status.velocity, status.acceleration)).astype(np.float32)
    return torch.cat((command, torch.from_numpy(motion)))


def _resize(image: npt.NDArray[np.uint8], width: int, height: int, *, area: bool) -> npt.NDArray[np.uint8]:
    """An image at another size; unchanged where the size is right already."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = image.shape[0] > height and image.shape[1] > width
    method = cv2.INTER_AREA if area and shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)
