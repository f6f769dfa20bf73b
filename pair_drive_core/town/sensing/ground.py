"""The ground of a town seen from above: grass, asphalt, pavements and paint, as a pyramid of pictures."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pair_drive_core.town.streets.curves import FloatArray, offset_left
from pair_drive_core.town.streets.junction_shapes import ISLAND_RADIUS_M
from pair_drive_core.town.streets.layout import LANE_WIDTH_M, MEDIAN_M, STOP_LINE_DEPTH_M, JunctionKind
from pair_drive_core.town.streets.network import BuiltJunction, RoadNetwork

ByteImage = npt.NDArray[np.uint8]

GRASS = (92, 112, 66)
_WALKWAY = (168, 164, 156)
_KERB = (190, 188, 182)
_ASPHALT = (74, 75, 78)
_JUNCTION = (70, 71, 74)
_PARKING = (82, 82, 84)
_WHITE = (225, 225, 222)
_YELLOW = (222, 178, 52)
_FRACTION_BITS = 4
_MARGIN_M = 70.0


class GroundTexture:
    """Pictures of the ground at halving resolutions.

    Attributes:
        levels: RGB pictures; row 0 is south, column 0 west.
        meters_per_px: resolution of each level.
        origin: (2,), town coordinates of the outer corner of pixel (0, 0), m.
    """

    def __init__(self, network: RoadNetwork, meters_per_px: float = 0.1, level_count: int = 4) -> None:
        """Paint the ground of a network.

        Args:
            network: the map.
            meters_per_px: resolution of the finest level.
            level_count: number of levels, each half as fine as the one before.
        """
        points = np.concatenate([polygon.ring for polygon in network.walkways])
        self.origin: FloatArray = np.floor(points.min(0) - _MARGIN_M)
        extent = np.ceil(points.max(0) + _MARGIN_M) - self.origin
        coarsest = 2 ** (level_count - 1)
        shape = [int(np.ceil(side / meters_per_px / coarsest)) * coarsest for side in extent]
        self._scale = 1.0 / meters_per_px
        picture = np.full((shape[1], shape[0], 3), GRASS, dtype=np.uint8)
        self._paint_surfaces(picture, network)
        self._paint_lines(picture, network)
        _roughen(picture)
        self.levels: list[ByteImage] = [picture]
        self.meters_per_px = [meters_per_px]
        for _ in range(level_count - 1):
            last = self.levels[-1]
            half = (last.shape[1] // 2, last.shape[0] // 2)
            self.levels.append(np.asarray(cv2.resize(last, half, interpolation=cv2.INTER_AREA), dtype=np.uint8))
            self.meters_per_px.append(2.0 * self.meters_per_px[-1])

    def town_from_pixel(self, level: int) -> FloatArray:
        """(3, 3): homogeneous pixel (column, row) of a level to town coordinates, m."""
        size = self.meters_per_px[level]
        shift = self.origin + 0.5 * size
        return np.array([[size, 0.0, shift[0]], [0.0, size, shift[1]], [0.0, 0.0, 1.0]])

    def _pixels(self, points: FloatArray) -> npt.NDArray[np.int32]:
        at = (points - self.origin) * self._scale - 0.5
        pixels: npt.NDArray[np.int32] = np.round(at * 2**_FRACTION_BITS).astype(np.int32)
        return pixels

    def _fill(self, picture: ByteImage, ring: FloatArray, color: tuple[int, int, int]) -> None:
        cv2.fillPoly(picture, [self._pixels(ring)], color, lineType=cv2.LINE_AA, shift=_FRACTION_BITS)

    def _line(self, picture: ByteImage, points: FloatArray, color: tuple[int, int, int], width_m: float = 0.15) -> None:
        width = max(round(width_m * self._scale), 1)
        cv2.polylines(picture, [self._pixels(points)], False, color, width, cv2.LINE_AA, _FRACTION_BITS)

    def _paint_surfaces(self, picture: ByteImage, network: RoadNetwork) -> None:
        for junction in network.junctions:
            ring = self._pixels(junction.area.ring)
            width = round(2.0 * 2.6 * self._scale)
            cv2.polylines(picture, [ring], True, _WALKWAY, width, cv2.LINE_AA, _FRACTION_BITS)
        for area, color in ((network.walkways, _WALKWAY), (network.carparks, _PARKING)):
            for polygon in area:
                self._fill(picture, polygon.ring, color)
        for junction in network.junctions:
            self._line(picture, np.concatenate((junction.area.ring, junction.area.ring[:1])), _KERB, 0.5)
        for block, connector in zip(network.roadblocks, network.roadblock_is_connector, strict=True):
            if not connector:
                self._fill(picture, block.ring, _ASPHALT)
        for junction in network.junctions:
            self._fill(picture, junction.area.ring, _JUNCTION)
            if junction.kind is JunctionKind.ROUNDABOUT:
                turn = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)[:, None]
                circle = np.concatenate((np.cos(turn), np.sin(turn)), axis=1)
                for radius, color in ((ISLAND_RADIUS_M, _KERB), (ISLAND_RADIUS_M - 0.4, GRASS)):
                    self._fill(picture, junction.center + radius * circle, color)

    def _paint_lines(self, picture: ByteImage, network: RoadNetwork) -> None:
        for road in network.roads:
            line, heading = road.reference[:, :2], road.reference[:, 2]
            if road.lanes_forward and road.lanes_backward:
                for side in (0.2, -0.2):
                    self._line(picture, offset_left(line, heading, side), _YELLOW, 0.12)
            for sign, lanes in ((-1.0, len(road.lanes_forward)), (1.0, len(road.lanes_backward))):
                for i in range(1, lanes):
                    self._dashes(picture, offset_left(line, heading, sign * (MEDIAN_M + i * LANE_WIDTH_M)))
                edge = sign * (MEDIAN_M + lanes * LANE_WIDTH_M + 0.1)
                if lanes:
                    self._line(picture, offset_left(line, heading, edge), _WHITE, 0.12)
        for lane in network.lanes:
            if not lane.is_connector:
                left, right = lane.ring[len(lane.centerline) - 1], lane.ring[len(lane.centerline)]
                ahead = lane.successors
                if ahead and network.junctions[network.lanes[ahead[0]].junction or 0].kind is JunctionKind.MERGE:
                    continue
                back = (
                    STOP_LINE_DEPTH_M / 2.0 * np.array([np.cos(lane.centerline[-1, 2]), np.sin(lane.centerline[-1, 2])])
                )
                self._line(picture, np.stack((left, right)) - back, _WHITE, 0.4)
        for junction in network.junctions:
            if junction.kind is not JunctionKind.MERGE:
                self._zebras(picture, junction)

    def _dashes(self, picture: ByteImage, line: FloatArray) -> None:
        """3 m of paint, 6 m of gap; vertices are about 1 m apart."""
        for start in range(0, len(line) - 3, 9):
            self._line(picture, line[start : start + 4], _WHITE)

    def _zebras(self, picture: ByteImage, junction: BuiltJunction) -> None:
        for crosswalk in junction.crosswalks.values():
            right, left, left_far, right_far = crosswalk.ring
            count = int(np.hypot(*(left - right)) / 1.2)
            for i in range(count):
                a, b = (i + 0.25) / count, (i + 0.75) / count
                near, far = left - right, left_far - right_far
                bar = np.stack((right + a * near, right + b * near, right_far + b * far, right_far + a * far))
                self._fill(picture, bar, _WHITE)


def _roughen(picture: ByteImage) -> None:
    """Give every surface grain, the same tile again and again; in place."""
    rng = np.random.default_rng(7)
    tile = 512
    fine = rng.normal(0.0, 5.0, (tile, tile))
    patches = cv2.resize(rng.normal(0.0, 6.0, (16, 16)), (tile, tile), interpolation=cv2.INTER_CUBIC)
    grain = np.repeat((fine + patches)[..., None], 3, axis=-1)
    lighter, darker = (np.clip(sign * grain, 0.0, 255.0).astype(np.uint8) for sign in (1.0, -1.0))
    for top in range(0, picture.shape[0], tile):
        for left in range(0, picture.shape[1], tile):
            part = picture[top : top + tile, left : left + tile]
            height, width = part.shape[:2]
            part[:] = cv2.subtract(cv2.add(part, lighter[:height, :width]), darker[:height, :width])
