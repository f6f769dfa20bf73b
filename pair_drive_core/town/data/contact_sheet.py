"""One picture of several scenes: the front cameras, the LiDAR from above, and the map with everything on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pair_drive_core.geometry import rectangle_corners
from pair_drive_core.scene import FRONT_CAMERAS, CameraImage, LidarSweep, MapLayer, ObjectType, Scene
from pair_drive_core.town.streets.curves import FloatArray

ByteImage = npt.NDArray[np.uint8]

_REACH_M = 40.0
_LAYERS = (
    (MapLayer.WALKWAYS, (226, 222, 214)),
    (MapLayer.ROADBLOCK, (176, 178, 182)),
    (MapLayer.INTERSECTION, (164, 166, 170)),
    (MapLayer.CARPARK_AREA, (196, 192, 180)),
    (MapLayer.CROSSWALK, (238, 238, 238)),
)
_OBJECTS = {
    ObjectType.VEHICLE: (60, 100, 190),
    ObjectType.PEDESTRIAN: (200, 70, 160),
    ObjectType.BICYCLE: (40, 150, 110),
    ObjectType.TRAFFIC_CONE: (240, 120, 20),
    ObjectType.BARRIER: (240, 150, 40),
    ObjectType.CZONE_SIGN: (220, 160, 0),
    ObjectType.GENERIC_OBJECT: (110, 90, 70),
}
_EGO = (220, 50, 40)
_HUMAN = (20, 150, 40)
_ROUTE = (250, 225, 130)
_RED = (230, 60, 50)


@dataclass(frozen=True)
class SheetEntry:
    """One scene of a sheet.

    Attributes:
        scene: ground truth.
        cameras: pictures of the front cameras, all of one size.
        lidar: the sweep.
        caption: what to write over it.
    """

    scene: Scene
    cameras: dict[str, CameraImage]
    lidar: LidarSweep
    caption: str


def draw_sheet(entries: Sequence[SheetEntry], columns: int = 2) -> ByteImage:
    """Lay scenes out in a grid.

    Args:
        entries: at least one.
        columns: scenes in a row.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        ValueError: if there are no entries.
    """
    if not entries:
        raise ValueError("contact sheet: expected at least one scene, got none")
    tiles = [_tile(entry) for entry in entries]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
    return np.concatenate(rows, axis=0)


def _tile(entry: SheetEntry) -> ByteImage:
    front = np.concatenate([entry.cameras[name].rgb for name in FRONT_CAMERAS], axis=1)
    side = front.shape[0]
    tile = np.concatenate((front, lidar_view(entry.lidar, side), map_view(entry.scene, side)), axis=1)
    banner = np.full((26, tile.shape[1], 3), 30, dtype=np.uint8)
    cv2.putText(banner, entry.caption, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
    framed = np.concatenate((banner, tile), axis=0)
    return cv2.copyMakeBorder(framed, 0, 6, 0, 6, cv2.BORDER_CONSTANT, value=(255, 255, 255)).astype(np.uint8)


def lidar_view(sweep: LidarSweep, side_px: int) -> ByteImage:
    """The sweep from above, ahead is up, colour by height."""
    picture = np.full((side_px, side_px, 3), 18, dtype=np.uint8)
    points = sweep.points[(np.abs(sweep.points[:, :2]) < _REACH_M).all(-1)]
    at = _pixels(points[:, :2].astype(np.float64), side_px)
    inside = ((at >= 0) & (at < side_px)).all(-1)
    level = np.clip((points[inside, 2] + 0.3) / 3.5 * 255.0, 0.0, 255.0).astype(np.uint8)
    colors = np.asarray(cv2.applyColorMap(level[:, None], cv2.COLORMAP_TURBO), dtype=np.uint8)[:, 0, ::-1]
    rising = np.argsort(points[inside, 2], kind="stable")
    picture[at[inside][rising, 1], at[inside][rising, 0]] = colors[rising]
    _draw_box(picture, np.array([1.461, 0.0]), 0.0, (5.176, 2.297), _EGO)
    return picture


def map_view(scene: Scene, side_px: int) -> ByteImage:
    """The map around the ego, ahead is up: route, red lights, objects at t0, the demonstrated way."""
    picture = np.full((side_px, side_px, 3), (208, 216, 196), dtype=np.uint8)
    pose = scene.ego.pose.numpy()
    layers = scene.map.layers.tolist()
    for layer, color in _LAYERS:
        for i, kind in enumerate(layers):
            if kind == int(layer):
                _fill(picture, _local(scene.map.rings[i].numpy(), pose), color)
    for i, on_route in enumerate(scene.map.on_route.tolist()):
        if on_route:
            _fill(picture, _local(scene.map.rings[i].numpy(), pose), _ROUTE)
    for i in range(len(scene.lights.tokens)):
        if bool(scene.lights.red[0, i]):
            _fill(picture, _local(scene.lights.rings[i].numpy(), pose), _RED)
    if scene.lanes is not None:
        for i in range(len(scene.lanes.tokens)):
            _line(picture, _local(scene.lanes.centerlines[i].numpy()[:, :2], pose), (150, 150, 150), 1)
    objects = scene.objects
    for i in np.nonzero(objects.present[0].numpy())[0].tolist():
        x, y, heading = objects.states[0, i, :3].tolist()
        center = _local(np.array([[x, y]]), pose)[0]
        size = (float(objects.sizes[i, 0]), float(objects.sizes[i, 1]))
        _draw_box(picture, center, heading - float(pose[2]), size, _OBJECTS[ObjectType(int(objects.types[i]))])
    _draw_box(picture, np.array([scene.vehicle.rear_axle_to_center_m, 0.0]), 0.0, (5.176, 2.297), _EGO)
    if scene.human is not None:
        way = np.concatenate((np.zeros((1, 2)), scene.human.poses[:, :2].numpy()))
        _line(picture, way, _HUMAN, 2)
        for x, y in _pixels(way, side_px).tolist():
            cv2.circle(picture, (x, y), 2, _HUMAN, -1, cv2.LINE_AA)
    return picture


def _local(points: FloatArray, pose: FloatArray) -> FloatArray:
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    x, y = (points[:, :2] - pose[:2]).T
    return np.column_stack((cos * x + sin * y, cos * y - sin * x))


def _pixels(points: FloatArray, side_px: int) -> npt.NDArray[np.int64]:
    """Ego frame to pixels (column, row): ahead is up, left is left; the ego stands a little below the middle."""
    scale = side_px / (2.0 * _REACH_M)
    column, row = side_px / 2.0 - points[:, 1] * scale, 0.65 * side_px - points[:, 0] * scale
    return np.floor(np.column_stack((column, row))).astype(np.int64)


def _fill(picture: ByteImage, ring: FloatArray, color: tuple[int, int, int]) -> None:
    cv2.fillPoly(picture, [_pixels(ring, picture.shape[0]).astype(np.int32)], color, cv2.LINE_AA)


def _line(picture: ByteImage, points: FloatArray, color: tuple[int, int, int], width: int) -> None:
    cv2.polylines(picture, [_pixels(points, picture.shape[0]).astype(np.int32)], False, color, width, cv2.LINE_AA)


def _draw_box(
    picture: ByteImage, center: FloatArray, heading: float, size: tuple[float, float], color: tuple[int, int, int]
) -> None:
    length, width = np.maximum(size, 0.6)
    _fill(picture, rectangle_corners(center, heading, length, width), color)
