"""Paints boxes from far to near: cars, people, houses, trees, light heads."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pair_drive_core.scene import CameraCalibration
from pair_drive_core.town.sensing.ground import ByteImage
from pair_drive_core.town.sensing.projection import FACE_TURN, FACES, PIXEL_CENTER, box_corners_3d, project
from pair_drive_core.town.sensing.weather import Daylight
from pair_drive_core.town.sensing.world import LAMP_COLORS, Shape, World
from pair_drive_core.town.streets.curves import FloatArray

_NEAR_M = 0.25
_DETAIL_PX = 26.0
"""Cars whose face is at least this tall get lamps and wheels."""
_WINDOW_PX = 7.0
"""Storeys at least this tall get windows."""
_BAY_M = 3.4
_FLOOR_M = 3.3
_WINDOW_SHARE = 0.56 * 0.45


class BoxPainter:
    """Paints one picture.

    Attributes:
        picture: painted in place.
        calibration: of the camera.
        daylight: light and air, the sun's direction in the ego frame.
    """

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
        pixels = pixels - PIXEL_CENTER
        drawn = np.round(np.clip(pixels, -2e4, 2e4) * 8.0).astype(np.int32)
        for i in range(len(chosen)):
            shape = int(chosen.shape[i])
            if shape == Shape.CROWN and whole[i]:
                self._paint_crown(drawn[i], colors[i, 1])
                continue
            for face in range(6):
                if not facing[i, face]:
                    continue
                color = colors[i, face]
                if shape == Shape.BUILDING and face < 4:
                    self._paint_wall(corners[i, FACES[face]], color, float(chosen.size[i, 1 if face % 2 == 0 else 0]))
                    continue
                polygon = drawn[i, FACES[face]] if whole[i] else self._clipped(corners[i, FACES[face]])
                if len(polygon) >= 3:
                    cv2.fillConvexPoly(self.picture, polygon, color.tolist(), cv2.LINE_8, 3)
                if whole[i]:
                    ground = (float(chosen.base_m[i]), float(chosen.size[i, 2]))
                    self._paint_detail(shape, face, pixels[i, FACES[face]], ground)
            if shape == Shape.HEAD and whole[i] and chosen.lamp[i] >= 0 and facing[i, 0]:
                self._paint_lamp(pixels[i, FACES[0]], int(chosen.lamp[i]))

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
        normals = world.pose[:, 2:3] + FACE_TURN
        sunny = 0.72 + 0.28 * light.sun_strength * np.cos(normals - light.sun_azimuth)
        shade = np.column_stack((sunny, np.full(count, 0.85 + 0.25 * light.sun_strength), np.full(count, 0.35)))
        base = np.clip(world.color[:, None, :] * shade[..., None], 0.0, 255.0)
        clear = np.exp(-distance / light.haze_m)[:, None, None]
        mixed: FloatArray = base * clear + (1.0 - clear) * np.array(light.horizon_rgb)
        return mixed

    def _facing(self, world: World, corners: FloatArray) -> npt.NDArray[np.bool_]:
        """(N, 6): whether the camera sees each face."""
        camera = self.calibration.ego_t_camera
        normals = world.pose[:, 2:3] + FACE_TURN
        to_camera = camera[:2] - corners[:, FACES[:4, 0], :2]
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
        pixels = points[:, :2] / points[:, 2:] * focal + calibration.intrinsics[:2, 2] - PIXEL_CENTER
        return np.round(np.clip(pixels, -2e4, 2e4) * 8.0).astype(np.int32)

    def _paint_wall(self, face: FloatArray, color: FloatArray, wide_m: float) -> None:
        """A wall with its windows; from far away both blend into one colour."""
        polygon = self._clipped(face)
        if len(polygon) < 3:
            return
        cv2.fillConvexPoly(self.picture, polygon, color.tolist(), cv2.LINE_8, 3)
        if not self._paint_windows(face, color, wide_m):
            blended = (1.0 - _WINDOW_SHARE) * color + _WINDOW_SHARE * _glass(color)
            cv2.fillConvexPoly(self.picture, polygon, blended.tolist(), cv2.LINE_8, 3)

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

    def _paint_detail(self, shape: int, face: int, quad: FloatArray, ground: tuple[float, float]) -> None:
        """Lamps and wheels on faces that are large enough to show them.

        Args:
            shape: what the box is.
            face: which of its faces.
            quad: (4, 2), corners of the face, px.
            ground: height of the box's bottom over the ground and height of the box, m.
        """
        if face > 3 or shape != Shape.BODY:
            return
        tall = float(np.hypot(*(quad[3] - quad[0])))
        if tall < _DETAIL_PX:
            return
        base, height = ground
        if face in (0, 2):
            lamp = (235.0, 235.0, 220.0) if face == 0 else (190.0, 20.0, 20.0)
            for left, right in ((0.04, 0.2), (0.8, 0.96)):
                self._patch(quad, left, right, 0.42 / height, 0.66 / height, lamp)
            self._patch(quad, 0.38, 0.62, 0.2 / height, 0.34 / height, (225.0, 225.0, 225.0))
        else:
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

    def _paint_windows(self, face: FloatArray, color: FloatArray, wide_m: float) -> bool:
        """Windows on a wall, all with one call.

        Args:
            face: (4, 3), its corners in the ego frame, m.
            color: of the wall.
            wide_m: its width.

        Returns:
            False where they would be too small to be seen.
        """
        tall_m = float(face[3, 2] - face[0, 2])
        columns, floors = max(round(wide_m / _BAY_M), 1), max(round(tall_m / _FLOOR_M), 1)
        pixels, depth = project(self.calibration, face)
        if depth.min() > _NEAR_M and np.ptp(pixels[:, 1]) / floors < _WINDOW_PX:
            return False
        left = (np.arange(columns) + 0.22) / columns
        low = (np.arange(floors) + 0.3) / floors
        u = np.stack((left, left + 0.56 / columns, left + 0.56 / columns, left), axis=-1)[None, :, :, None]
        v = np.stack((low, low, low + 0.45 / floors, low + 0.45 / floors), axis=-1)[:, None, :, None]
        bottom, top = face[0] + u * (face[1] - face[0]), face[3] + u * (face[2] - face[3])
        corners = (bottom + v * (top - bottom)).reshape(-1, 4, 3)
        pixels, depth = project(self.calibration, corners)
        seen = pixels[depth.min(-1) > _NEAR_M] - PIXEL_CENTER
        if len(seen):
            drawn = np.round(np.clip(seen, -2e4, 2e4) * 8.0).astype(np.int32)
            cv2.fillPoly(self.picture, list(drawn), _glass(color).tolist(), cv2.LINE_8, 3)
        return True


def _glass(wall: FloatArray) -> FloatArray:
    """Colour of the windows in a wall."""
    glass: FloatArray = 0.38 * wall + np.array([10.0, 16.0, 26.0])
    return glass
