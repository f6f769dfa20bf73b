"""Paints the layers that the reward model learns to imagine, from the ground truth of a scene."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pair_drive_core.geometry import box_corners, relative_se2, transform_points
from pair_drive_core.geometry.se2 import inverse_se2
from pair_drive_core.models.features import FeatureConfig
from pair_drive_core.models.world_layers import (
    BINARY_LAYERS,
    EDGE_SCALE_M,
    LATERAL_SCALE_M,
    OCCUPANCY_TIMES,
    PROGRESS_SCALE_M,
    WorldLayer,
)
from pair_drive_core.scene import MapLayer, Scene

FloatArray = npt.NDArray[np.float64]
_SUBPIXEL_BITS = 4
_OVERSAMPLING = 2
"""Polygons are painted this much finer and a cell counts where most of it is covered: OpenCV fills edges too."""
_DRIVABLE = (MapLayer.ROADBLOCK, MapLayer.INTERSECTION, MapLayer.DRIVABLE_AREA, MapLayer.CARPARK_AREA)
"""The scorer's drivable layers (`scoring.ego_areas`)."""
_LANES = (MapLayer.LANE, MapLayer.LANE_CONNECTOR)
_RED_STEPS = {WorldLayer.RED_NOW: 0, WorldLayer.RED_2S: 20, WorldLayer.RED_4S: 40}
EDGE_LIMIT_M = 3.0
LATERAL_LIMIT_M = 8.0
"""Farther from the centre line than this, the layers that speak of it are not asked for."""
_PROGRESS_STEP_M = 0.5
_PROGRESS_FIRST_M = -24.0
_LINE_STEP_M = 0.2


@dataclass(frozen=True)
class PaintedWorld:
    """Layers of one moment, packed into bytes.

    Attributes:
        flags: (size, size) uint16, bit k is the binary `WorldLayer` k.
        line: (size, size, 4) uint8: distance to the edge, lateral distance (0: too far from the line), direction,
            progress; see `unpack_world`.
    """

    flags: npt.NDArray[np.uint16]
    line: npt.NDArray[np.uint8]


def paint_world(scene: Scene, config: FeatureConfig) -> PaintedWorld:
    """The layers around the ego at t0."""
    canvas = _Canvas(config)
    local_se2_world = inverse_se2(scene.ego.pose)

    def polygons(wanted: Tensor) -> list[FloatArray]:
        rings = [scene.map.rings[i] for i in wanted.nonzero()[:, 0].tolist()]
        return [transform_points(local_se2_world, ring).numpy() for ring in rings]

    layers = scene.map.layers
    drivable = canvas.fill(polygons(_among(layers, _DRIVABLE)))
    flags = {
        WorldLayer.DRIVABLE: canvas.covered(drivable),
        WorldLayer.ON_ROUTE: canvas.covered(canvas.fill(polygons(_among(layers, _LANES) & scene.map.on_route))),
        WorldLayer.INTERSECTION: canvas.covered(canvas.fill(polygons(layers == int(MapLayer.INTERSECTION)))),
    }
    for layer, step in _RED_STEPS.items():
        red = [scene.lights.rings[i] for i in range(len(scene.lights.tokens)) if bool(scene.lights.red[step, i])]
        flags[layer] = canvas.covered(canvas.fill([transform_points(local_se2_world, ring).numpy() for ring in red]))
    static, *occupied = _boxes(scene)
    flags[WorldLayer.STATIC] = canvas.covered(canvas.fill(static))
    packed = np.zeros((canvas.size, canvas.size), dtype=np.uint16)
    for layer, covered in flags.items():
        packed |= covered.astype(np.uint16) << int(layer)
    for time, rings in enumerate(occupied):
        packed |= canvas.covered(canvas.fill(rings)).astype(np.uint16) << (int(WorldLayer.OCCUPIED) + time)
    center_line = _local_line(scene)
    line = np.concatenate((canvas.edge_distance(drivable)[..., None], canvas.line(center_line, scene)), axis=-1)
    return PaintedWorld(packed, line)


class _Canvas:
    """Cells around the ego."""

    def __init__(self, config: FeatureConfig) -> None:
        self.size, self.reach, self.ahead = config.lidar_size_px, config.lidar_range_m, config.lidar_ahead_m
        self.cell_m = 2.0 * self.reach / self.size
        self.fine = self.size * _OVERSAMPLING

    def fill(self, rings: list[FloatArray]) -> npt.NDArray[np.uint8]:
        """(fine, fine) uint8, 1 inside any of some rings, (P, 2), ego frame."""
        image = np.zeros((self.fine, self.fine), dtype=np.uint8)
        for ring in rings:
            cell = self._cells(ring, self.fine)
            if (cell.max(0) > -1).all() and (cell.min(0) < self.fine).all():
                points = np.round(cell[:, ::-1] * (1 << _SUBPIXEL_BITS)).astype(np.int32)
                cv2.fillPoly(image, [points], 1, shift=_SUBPIXEL_BITS)
        return image

    def covered(self, fine: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """(size, size): whether most of a cell is covered."""
        blocks = cv2.resize(fine * np.uint8(200), (self.size, self.size), interpolation=cv2.INTER_AREA)
        return np.asarray(blocks > 100)

    def edge_distance(self, fine: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(size, size) uint8, signed distance to the edge, positive inside."""
        # The frame of the canvas is no edge: whatever is beyond it continues what is at it.
        inside, outside = (cv2.distanceTransform(part, cv2.DIST_L2, 3) for part in (fine, 1 - fine))
        signed = np.clip((inside - outside) * (self.cell_m / _OVERSAMPLING), -EDGE_LIMIT_M, EDGE_LIMIT_M)
        coarse = cv2.resize(signed, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return np.asarray(np.round((coarse / EDGE_LIMIT_M + 1.0) * 127.5), dtype=np.uint8)

    def line(self, points: FloatArray, scene: Scene) -> npt.NDArray[np.uint8]:
        """(size, size, 3) uint8: lateral distance, direction and progress with respect to a line, (P, 4)."""
        cell = np.round(self._cells(points[:, :2], self.size)).astype(np.int64)
        seen = np.nonzero(((cell >= 0) & (cell < self.size)).all(-1))[0]
        if not len(seen):
            return np.zeros((self.size, self.size, 3), dtype=np.uint8)
        away = np.ones((self.size, self.size), dtype=np.uint8)
        away[cell[seen, 0], cell[seen, 1]] = 0
        _, label = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        point_of_label = np.zeros(int(label.max()) + 1, dtype=np.int64)
        point_of_label[label[cell[seen, 0], cell[seen, 1]]] = seen
        nearest = points[point_of_label[label]]
        center = (np.arange(self.size) + 0.5) * self.cell_m - self.reach
        x, y = np.meshgrid(center + self.ahead, center, indexing="ij")
        dx, dy = x - nearest[..., 0], y - nearest[..., 1]
        cos, sin = np.cos(nearest[..., 2]), np.sin(nearest[..., 2])
        lateral, along = dy * cos - dx * sin, dx * cos + dy * sin
        start = scene.vehicle.rear_axle_to_center_m - points[:, :2] @ np.array([1.0, 0.0])
        origin = points[np.argmin(start**2 + points[:, 1] ** 2), 3]
        progress = (nearest[..., 3] + along - origin - _PROGRESS_FIRST_M) / _PROGRESS_STEP_M
        near = (np.abs(lateral) < LATERAL_LIMIT_M) & (np.abs(along) < 2.0)
        coded = (
            np.where(near, np.clip(np.round((lateral / LATERAL_LIMIT_M + 1.0) * 127.5), 1, 255), 0),
            np.round((np.mod(nearest[..., 2], 2.0 * np.pi)) * (256.0 / (2.0 * np.pi))) % 256,
            np.clip(np.round(progress), 0, 255),
        )
        return np.stack(coded, axis=-1).astype(np.uint8)

    def _cells(self, points: FloatArray, size: int) -> FloatArray:
        """Points in the ego frame as rows and columns of cells' centres."""
        shifted = np.column_stack((points[:, 0] - self.ahead, points[:, 1])) + self.reach
        return np.asarray(shifted * (size / (2.0 * self.reach)) - 0.5)


def _among(layers: Tensor, wanted: tuple[MapLayer, ...]) -> Tensor:
    return torch.isin(layers, torch.tensor([int(layer) for layer in wanted]))


def _boxes(scene: Scene) -> list[list[FloatArray]]:
    """Rings of the static objects at t0, then of the agents at each key frame; ego frame at t0."""
    objects = scene.objects
    pose = relative_se2(scene.ego.pose, objects.states[:OCCUPANCY_TIMES, :, :3])
    sizes = objects.sizes.expand(pose.shape[0], -1, -1)
    corners = box_corners(pose[..., :2], pose[..., 2], sizes[..., 0], sizes[..., 1])
    shown = [list(corners[0, ~objects.is_agent & objects.present[0]].numpy())]
    shown.extend(
        list(corners[time, objects.is_agent & objects.present[time]].numpy()) for time in range(OCCUPANCY_TIMES)
    )
    return shown


def _local_line(scene: Scene) -> FloatArray:
    """(P, 4): x, y, heading and arc length of the centre line in small steps, ego frame."""
    line = transform_points(inverse_se2(scene.ego.pose), scene.route.centerline[:, :2]).numpy()
    step = np.hypot(*np.diff(line, axis=0).T)
    keep = np.concatenate(([True], step > 1e-6))
    line = line[keep]
    arc = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))))
    fine = np.arange(0.0, arc[-1], _LINE_STEP_M)
    segment = np.clip(np.searchsorted(arc, fine, side="right") - 1, 0, len(line) - 2)
    difference = np.diff(line, axis=0)
    heading = np.arctan2(difference[:, 1], difference[:, 0])[segment]
    return np.column_stack((np.interp(fine, arc, line[:, 0]), np.interp(fine, arc, line[:, 1]), heading, fine))


def progress_of(scene: Scene) -> float:
    """How far PDM-Closed's centre gets along the centre line in 4 s, m; 0 where there is no reference."""
    if scene.reference is None:
        return 0.0
    line = _local_line(scene)
    poses = relative_se2(scene.ego.pose, scene.reference[[0, -1]].to(torch.float64)).numpy()
    centers = poses[:, :2] + scene.vehicle.rear_axle_to_center_m * np.column_stack(
        (np.cos(poses[:, 2]), np.sin(poses[:, 2]))
    )
    along = [line[np.argmin(((line[:, :2] - center) ** 2).sum(-1)), 3] for center in centers]
    return max(float(along[1] - along[0]), 0.0)


def unpack_world(flags: Tensor, line: Tensor, coarser: int = 1) -> tuple[Tensor, Tensor]:
    """Packed layers as the network predicts them.

    Args:
        flags: (B, h, w) int32, see `PaintedWorld`.
        line: (B, h, w, 4) uint8.
        coarser: cells, along each side, that become one: probabilities and numbers are averaged.

    Returns:
        (B, LAYERS, h / coarser, w / coarser) targets in the order of `WorldLayer`, and (B, ...) bool of the same size,
        where those of the centre line are known.
    """
    low, high = (flags & 0xFF).to(torch.uint8), (flags >> 8).to(torch.uint8)
    bits = torch.arange(8, dtype=torch.uint8, device=flags.device).reshape(1, -1, 1, 1)
    binary = torch.cat([(part.unsqueeze(1) >> bits) & 1 for part in (low, high)], dim=1)[:, :BINARY_LAYERS]
    known = line[..., 1] > 0
    edge, lateral, _, progress = (_mean_of(part, coarser) for part in line.permute(3, 0, 1, 2))
    angle = line[:, ::coarser, ::coarser, 2].float() * (2.0 * torch.pi / 256.0)
    numbers = (
        (edge / 127.5 - 1.0) * (EDGE_LIMIT_M / EDGE_SCALE_M),
        (lateral / 127.5 - 1.0) * (LATERAL_LIMIT_M / LATERAL_SCALE_M),
        angle.cos(),
        angle.sin(),
        (progress * _PROGRESS_STEP_M + _PROGRESS_FIRST_M) / PROGRESS_SCALE_M,
    )
    return torch.cat((_mean_of(binary, coarser), torch.stack(numbers, dim=1)), dim=1), _mean_of(known, coarser) == 1.0


def _mean_of(cells: Tensor, coarser: int) -> Tensor:
    """(..., h, w) float, blocks of small integers averaged."""
    if coarser == 1:
        return cells.float()
    rows, columns = cells.shape[-2] // coarser, cells.shape[-1] // coarser
    blocks = cells.to(torch.int16).reshape(*cells.shape[:-2], rows, coarser, columns, coarser)
    return blocks.sum((-3, -1), dtype=torch.int16).float() / (coarser * coarser)
