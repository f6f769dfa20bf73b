"""Paints what a camera sees: the ground by one homography a distance band, boxes from far to near."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pair_drive_core.scene import CameraCalibration
from pair_drive_core.town.cameras import stitch_calibrations
from pair_drive_core.town.curves import FloatArray
from pair_drive_core.town.ground import GRASS, ByteImage, GroundTexture
from pair_drive_core.town.weather import Daylight, expose
from pair_drive_core.town.world import LAMP_COLORS, Shape, World

_NEAR_M = 0.25
_FACES = np.array([[0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7], [4, 5, 6, 7], [3, 2, 1, 0]])
"""Corner indices of front, left, rear, right, top and bottom; see `box_corners_3d`."""
_CORNER_SIGNS = np.array(
    [[1, -1, 0], [1, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 1], [1, 1, 1], [-1, 1, 1], [-1, -1, 1]], dtype=np.float64
)
_FACE_TURN = np.array([0.0, np.pi / 2.0, np.pi, -np.pi / 2.0])
_DETAIL_PX = 26.0
"""Things at least this tall get windows, lamps and wheels."""


def box_corners_3d(world: World) -> FloatArray:
    """(N, 8, 3): corners of boxes: front-right, front-left, rear-left, rear-right, below then above; ego frame, m."""
    half = world.size[:, None, :] * np.array([0.5, 0.5, 1.0]) * _CORNER_SIGNS
    cos, sin = np.cos(world.pose[:, 2])[:, None], np.sin(world.pose[:, 2])[:, None]
    return np.stack(
        (
            world.pose[:, None, 0] + cos * half[..., 0] - sin * half[..., 1],
            world.pose[:, None, 1] + sin * half[..., 0] + cos * half[..., 1],
            world.base_m[:, None] + half[..., 2],
        ),
        axis=-1,
    )


def project(calibration: CameraCalibration, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pixels of points in the ego frame.

    Args:
        calibration: pinhole; distortion is not applied.
        points: (..., 3), ego frame, m.

    Returns:
        (..., 2) pixels (column, row) and (...) depth, m; pixels mean nothing where the depth is not positive.
    """
    camera = (points - calibration.ego_t_camera) @ calibration.ego_r_camera
    depth = camera[..., 2]
    plane = camera[..., :2] / np.where(np.abs(depth) < 1e-9, 1e-9, depth)[..., None]
    focal = calibration.intrinsics[(0, 1), (0, 1)]
    return plane * focal + calibration.intrinsics[:2, 2], depth


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
        _BoxPainter(picture, calibration, daylight).paint(world)
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
        sky = np.linspace(1.0, 0.0, max(top, 1))[:, None] ** 0.8
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
        plane = np.column_stack((rotation.T[:, 0], rotation.T[:, 1], -rotation.T @ position))
        pixel_from_town = calibration.intrinsics @ plane @ ego_from_town
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


class _BoxPainter:
    def __init__(self, picture: ByteImage, calibration: CameraCalibration, daylight: Daylight) -> None:
        self.picture = picture
        self.calibration = calibration
        self.daylight = daylight

    def paint(self, world: World) -> None:
        """Paint boxes from far to near; boxes of one thing from the ground up."""
        visible = self._in_view(world)
        if not len(visible):
            return
        distance = self._distance(world)
        root = np.arange(len(world)) - world.order
        order = visible[np.lexsort((world.order[visible], root[visible], -distance[root[visible]]))]
        chosen = world.select(order)
        corners = box_corners_3d(chosen)
        pixels, depth = project(self.calibration, corners)
        colors = self._face_colors(chosen, distance[order])
        facing = self._facing(chosen, corners)
        whole = depth.min(-1) > _NEAR_M
        drawn = np.round(np.clip(pixels, -2e4, 2e4) * 8.0).astype(np.int32)
        for i in range(len(chosen)):
            shape = int(chosen.shape[i])
            if shape == Shape.CROWN and whole[i]:
                self._paint_crown(drawn[i], colors[i, 1])
                continue
            for face in range(6):
                if not facing[i, face]:
                    continue
                polygon = drawn[i, _FACES[face]] if whole[i] else self._clipped(corners[i, _FACES[face]])
                if len(polygon) >= 3:
                    cv2.fillConvexPoly(self.picture, polygon, colors[i, face].tolist(), cv2.LINE_8, 3)
                if whole[i]:
                    ground = (float(chosen.base_m[i]), float(chosen.size[i, 2]))
                    self._paint_detail(shape, face, pixels[i, _FACES[face]], colors[i, face], ground)
            if shape == Shape.HEAD and whole[i] and chosen.lamp[i] >= 0 and facing[i, 0]:
                self._paint_lamp(pixels[i, _FACES[0]], int(chosen.lamp[i]))

    def _in_view(self, world: World) -> npt.NDArray[np.int64]:
        calibration = self.calibration
        center = np.column_stack((world.pose[:, :2], world.base_m + 0.5 * world.size[:, 2]))
        camera = (center - calibration.ego_t_camera) @ calibration.ego_r_camera
        radius = 0.5 * np.sqrt((world.size**2).sum(-1))
        focal = calibration.intrinsics[0, 0]
        left = (calibration.intrinsics[0, 2]) / focal
        right = (calibration.width_px - calibration.intrinsics[0, 2]) / focal
        inside = camera[:, 2] > -radius
        inside &= camera[:, 0] + camera[:, 2] * left > -radius * np.hypot(1.0, left)
        inside &= -camera[:, 0] + camera[:, 2] * right > -radius * np.hypot(1.0, right)
        big = radius * focal > 0.6 * np.maximum(camera[:, 2], 0.1)
        return np.nonzero(inside & big)[0]

    def _distance(self, world: World) -> FloatArray:
        """(N,): distance along the ground from the camera to the nearest point of each box, m."""
        offset = self.calibration.ego_t_camera[:2] - world.pose[:, :2]
        cos, sin = np.cos(world.pose[:, 2]), np.sin(world.pose[:, 2])
        along = np.abs(cos * offset[:, 0] + sin * offset[:, 1]) - world.size[:, 0] / 2.0
        across = np.abs(cos * offset[:, 1] - sin * offset[:, 0]) - world.size[:, 1] / 2.0
        return np.hypot(np.maximum(along, 0.0), np.maximum(across, 0.0))

    def _face_colors(self, world: World, distance: FloatArray) -> FloatArray:
        """(N, 6, 3): colour of each face: turned to the sun or away, faded by the haze."""
        light, count = self.daylight, len(world)
        normals = world.pose[:, 2:3] + _FACE_TURN
        sunny = 0.72 + 0.28 * light.sun_strength * np.cos(normals - light.sun_azimuth)
        shade = np.column_stack((sunny, np.full(count, 0.85 + 0.25 * light.sun_strength), np.full(count, 0.35)))
        base = np.clip(world.color[:, None, :] * shade[..., None], 0.0, 255.0)
        clear = np.exp(-distance / light.haze_m)[:, None, None]
        mixed: FloatArray = base * clear + (1.0 - clear) * np.array(light.horizon_rgb)
        return mixed

    def _facing(self, world: World, corners: FloatArray) -> npt.NDArray[np.bool_]:
        """(N, 6): whether the camera sees each face."""
        camera = self.calibration.ego_t_camera
        normals = world.pose[:, 2:3] + _FACE_TURN
        to_camera = camera[:2] - corners[:, _FACES[:4, 0], :2]
        side = (to_camera * np.stack((np.cos(normals), np.sin(normals)), axis=-1)).sum(-1) > 0.0
        top = camera[2] > corners[:, 4, 2]
        bottom = camera[2] < corners[:, 0, 2]
        return np.column_stack((side, top, bottom))

    def _clipped(self, face: FloatArray) -> npt.NDArray[np.int32]:
        """A face cut off at the near plane, in pixels times 8."""
        calibration = self.calibration
        camera = (face - calibration.ego_t_camera) @ calibration.ego_r_camera
        kept: list[FloatArray] = []
        for i in range(len(camera)):
            a, b = camera[i - 1], camera[i]
            if (a[2] > _NEAR_M) != (b[2] > _NEAR_M):
                kept.append(a + (_NEAR_M - a[2]) / (b[2] - a[2]) * (b - a))
            if b[2] > _NEAR_M:
                kept.append(b)
        if len(kept) < 3:
            return np.zeros((0, 2), dtype=np.int32)
        points = np.stack(kept)
        focal = calibration.intrinsics[(0, 1), (0, 1)]
        pixels = points[:, :2] / points[:, 2:] * focal + calibration.intrinsics[:2, 2]
        return np.round(np.clip(pixels, -2e4, 2e4) * 8.0).astype(np.int32)

    def _paint_crown(self, corners: npt.NDArray[np.int32], color: FloatArray) -> None:
        low, high = corners.min(0), corners.max(0)
        center = ((low + high) // 2).tolist()
        axes = (np.maximum(high - low, 8) // 2).tolist()
        cv2.ellipse(self.picture, center, axes, 0.0, 0.0, 360.0, color.tolist(), -1, cv2.LINE_8, 3)
        if axes[1] > 8 * _DETAIL_PX:
            lit = [center[0] - axes[0] // 4, center[1] - axes[1] // 4]
            bright = np.minimum(color * 1.18, 255.0).tolist()
            cv2.ellipse(self.picture, lit, [a * 5 // 9 for a in axes], 0.0, 0.0, 360.0, bright, -1, cv2.LINE_8, 3)

    def _paint_lamp(self, face: FloatArray, lamp: int) -> None:
        """Three lenses, one lit; red above, green below."""
        below, above = 0.5 * (face[0] + face[1]), 0.5 * (face[2] + face[3])
        tall = float(np.hypot(*(above - below)))
        for light, share in ((2, 0.8), (1, 0.5), (0, 0.2)):
            if light != lamp and tall < _DETAIL_PX:
                continue
            at = np.round((below + share * (above - below)) * 8.0).astype(int).tolist()
            color = LAMP_COLORS[light] if light == lamp else (50, 50, 46)
            radius = max(round(tall * 0.17 * 8.0), 8 if light == lamp else 1)
            cv2.circle(self.picture, at, radius, color, -1, cv2.LINE_AA, 3)

    def _paint_detail(
        self, shape: int, face: int, quad: FloatArray, color: FloatArray, ground: tuple[float, float]
    ) -> None:
        """Lamps, wheels and windows on faces that are large enough to show them.

        Args:
            shape: what the box is.
            face: which of its faces.
            quad: (4, 2), corners of the face, px.
            color: of the face.
            ground: height of the box's bottom over the ground and height of the box, m.
        """
        if face > 3 or shape not in (Shape.BODY, Shape.BUILDING, Shape.CABIN):
            return
        tall = float(np.hypot(*(quad[3] - quad[0])))
        if tall < _DETAIL_PX:
            return
        base, height = ground
        if shape == Shape.BUILDING:
            self._paint_windows(quad, color)
        elif shape == Shape.BODY and face in (0, 2):
            lamp = (235.0, 235.0, 220.0) if face == 0 else (190.0, 20.0, 20.0)
            for left, right in ((0.04, 0.2), (0.8, 0.96)):
                self._patch(quad, left, right, 0.42 / height, 0.66 / height, lamp)
            self._patch(quad, 0.38, 0.62, 0.2 / height, 0.34 / height, (225.0, 225.0, 225.0))
        elif shape == Shape.BODY:
            for left, right in ((0.12, 0.28), (0.72, 0.88)):
                self._patch(quad, left, right, -base / height, 0.42 / height, (22.0, 22.0, 24.0))

    def _patch(
        self, quad: FloatArray, left: float, right: float, low: float, high: float, color: tuple[float, float, float]
    ) -> None:
        """A rectangle on a face, in shares of its sides (0, 0 is its first corner)."""
        corners = [
            (1 - v) * ((1 - u) * quad[0] + u * quad[1]) + v * ((1 - u) * quad[3] + u * quad[2])
            for u, v in ((left, low), (right, low), (right, high), (left, high))
        ]
        polygon = np.round(np.clip(np.stack(corners), -2e4, 2e4) * 8.0).astype(np.int32)
        cv2.fillConvexPoly(self.picture, polygon, color, cv2.LINE_AA, 3)

    def _paint_windows(self, quad: FloatArray, color: FloatArray) -> None:
        wide = max(float(np.hypot(*(quad[1] - quad[0]))), float(np.hypot(*(quad[2] - quad[3]))))
        tall = max(float(np.hypot(*(quad[3] - quad[0]))), float(np.hypot(*(quad[2] - quad[1]))))
        columns = int(np.clip(wide / 45.0, 2, 7))
        floors = int(np.clip(tall / 55.0, 1, 6))
        red, green, blue = (0.38 * color + np.array([10.0, 16.0, 26.0])).tolist()
        for i in range(columns):
            for k in range(floors):
                u, v = (i + 0.22) / columns, (k + 0.3) / floors
                self._patch(quad, u, u + 0.56 / columns, v, v + 0.45 / floors, (red, green, blue))
