"""Renders what a camera sees: the ground by one homography a distance band, then everything that stands on it."""

from __future__ import annotations

import cv2
import numpy as np

from pair_drive_core.scene import CameraCalibration
from pair_drive_core.town.sensing.box_painter import BoxPainter
from pair_drive_core.town.sensing.cameras import stitch_calibrations
from pair_drive_core.town.sensing.ground import GRASS, ByteImage, GroundTexture
from pair_drive_core.town.sensing.projection import PIXEL_CENTER
from pair_drive_core.town.sensing.weather import Daylight, expose
from pair_drive_core.town.sensing.world import World
from pair_drive_core.town.streets.curves import FloatArray

_SKY_REACH = 0.36
"""Slope above the horizon at which the sky has its full colour."""


class CameraRenderer:
    """Renders pictures of one town.

    Attributes:
        ground: the town's ground.
    """

    def __init__(self, ground: GroundTexture) -> None:
        self.ground = ground

    def render(
        self,
        calibration: CameraCalibration,
        world: World,
        town_pose: FloatArray,
        daylight: Daylight | None = None,
        rng: np.random.Generator | None = None,
    ) -> ByteImage:
        """One picture.

        Args:
            calibration: of the camera at the wanted resolution.
            world: boxes around the ego, ego frame.
            town_pose: (3,), the ego's rear axle in the town, m, rad.
            daylight: light and air, the sun's direction in the ego frame.
            rng: source of rain and noise.

        Returns:
            (height, width, 3) uint8 RGB.
        """
        daylight = daylight or Daylight()
        picture = np.empty((calibration.height_px, calibration.width_px, 3), dtype=np.uint8)
        self._paint_ground(picture, calibration, town_pose, daylight)
        BoxPainter(picture, calibration, daylight).paint(world)
        expose(picture, daylight, rng or np.random.default_rng(0))
        return picture

    def render_stitched(
        self, width_px: int, height_px: int, world: World, town_pose: FloatArray,
        daylight: Daylight | None = None, supersample: int = 2, rng: np.random.Generator | None = None,
    ) -> ByteImage:  # fmt: skip
        """The three front cameras side by side, cropped as the model wants them, at the model's size.

        Args:
            width_px: width of the result.
            height_px: its height.
            world: boxes around the ego.
            town_pose: (3,), the ego in the town.
            daylight: light and air.
            supersample: pixels rendered for one pixel of the result, along each side.
            rng: source of rain and noise.

        Returns:
            (height, width, 3) uint8 RGB.
        """
        cameras = stitch_calibrations(width_px * supersample, height_px * supersample)
        parts = [self.render(camera, world, town_pose, daylight, rng) for camera in cameras]
        joined = np.concatenate(parts, axis=1)
        if supersample == 1:
            return joined
        return np.asarray(cv2.resize(joined, (width_px, height_px), interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def _paint_ground(
        self, picture: ByteImage, calibration: CameraCalibration, town_pose: FloatArray, daylight: Daylight
    ) -> None:
        height = picture.shape[0]
        rotation, position = calibration.ego_r_camera, calibration.ego_t_camera
        # Row of the horizon: where a level ray ahead of the camera is seen (the mounts have no roll).
        ahead = rotation[:, 2] * np.array([1.0, 1.0, 0.0])
        level = ahead @ rotation
        horizon = calibration.intrinsics[1, 2] + calibration.intrinsics[1, 1] * level[1] / level[2]
        top = int(np.clip(np.ceil(horizon) + 1, 0, height))
        above = (horizon - np.arange(max(top, 1)) - 0.5) / (_SKY_REACH * calibration.intrinsics[1, 1])
        sky = np.clip(above, 0.0, 1.0)[:, None] ** 0.8
        rows = sky * np.array(daylight.sky_rgb) + (1.0 - sky) * np.array(daylight.horizon_rgb)
        picture[:top] = rows[:top, None].astype(np.uint8)
        cos, sin = np.cos(town_pose[2]), np.sin(town_pose[2])
        ego_from_town = np.array(
            [
                [cos, sin, -cos * town_pose[0] - sin * town_pose[1]],
                [-sin, cos, sin * town_pose[0] - cos * town_pose[1]],
                [0.0, 0.0, 1.0],
            ]
        )
        shift = np.array([[1.0, 0.0, -PIXEL_CENTER], [0.0, 1.0, -PIXEL_CENTER], [0.0, 0.0, 1.0]])
        plane = np.column_stack((rotation.T[:, 0], rotation.T[:, 1], -rotation.T @ position))
        pixel_from_town = shift @ calibration.intrinsics @ plane @ ego_from_town
        self._warp_bands(picture, pixel_from_town, calibration, horizon, top)
        self._haze(picture, calibration, horizon, top, daylight)

    def _warp_bands(
        self, picture: ByteImage, pixel_from_town: FloatArray, calibration: CameraCalibration, horizon: float, top: int
    ) -> None:
        """Warp each level of the pyramid into the rows where its pixels are about as large as the picture's."""
        height, width = picture.shape[:2]
        camera_m, focal = float(calibration.ego_t_camera[2]), float(calibration.intrinsics[1, 1])
        bottom = height
        for level in range(len(self.ground.levels)):
            # A row's footprint along the ground is d^2 / (h f), with d = h f / (row - horizon).
            finest = self.ground.meters_per_px[level]
            below = np.sqrt(camera_m * focal / (4.0 * finest))
            begin = int(np.clip(horizon + below, top, bottom)) if level + 1 < len(self.ground.levels) else top
            if begin >= bottom:
                continue
            shift = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, -begin], [0.0, 0.0, 1.0]])
            matrix = shift @ pixel_from_town @ self.ground.town_from_pixel(level)
            cv2.warpPerspective(
                self.ground.levels[level], matrix, (width, bottom - begin), dst=picture[begin:bottom],
                flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=GRASS,
            )  # fmt: skip
            bottom = begin

    def _haze(
        self, picture: ByteImage, calibration: CameraCalibration, horizon: float, top: int, daylight: Daylight
    ) -> None:
        """Let the far ground fade into the horizon."""
        height = picture.shape[0]
        reach = min(int(horizon + calibration.intrinsics[1, 1] * calibration.ego_t_camera[2] / 15.0) + 2, height)
        if reach <= top:
            return
        rows = np.arange(top, reach)
        distance = calibration.intrinsics[1, 1] * calibration.ego_t_camera[2] / np.maximum(rows - horizon, 0.5)
        clear = np.exp(-distance / daylight.haze_m)[:, None, None]
        band = picture[top:reach]
        band[:] = (band * clear + (1.0 - clear) * np.array(daylight.horizon_rgb)).astype(np.uint8)
