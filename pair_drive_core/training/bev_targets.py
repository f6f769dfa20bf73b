"""What the auxiliary BEV map shall show (one of TransFuser's two auxiliary tasks, METHOD section 6)."""

from __future__ import annotations

from enum import IntEnum

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from pair_drive_core.geometry import box_corners, relative_se2, transform_points
from pair_drive_core.geometry.se2 import inverse_se2
from pair_drive_core.models.bev_backbone import BevBackbone, BevFeatures
from pair_drive_core.scene import MapLayer, ObjectType, Scene

_SUBPIXEL_BITS = 4
_LANE_LAYERS = (MapLayer.LANE, MapLayer.LANE_CONNECTOR)
_DRIVABLE_LAYERS = (
    *_LANE_LAYERS,
    MapLayer.ROADBLOCK,
    MapLayer.ROADBLOCK_CONNECTOR,
    MapLayer.INTERSECTION,
    MapLayer.CARPARK_AREA,
    MapLayer.DRIVABLE_AREA,
)


class BevClass(IntEnum):
    """Classes of the map; where several apply, the later one is painted over the earlier."""

    BACKGROUND = 0
    WALKWAY = 1
    DRIVABLE = 2
    ROUTE_LANE = 3
    STATIC_OBJECT = 4
    VEHICLE = 5
    PEDESTRIAN_OR_BICYCLE = 6


def paint_bev(scene: Scene, size_px: int, range_m: float) -> npt.NDArray[np.uint8]:
    """The classes around the ego at t0.

    Args:
        scene: ground truth.
        size_px: rows and columns.
        range_m: half the side.

    Returns:
        (size, size) uint8, values of `BevClass`; rows along x, columns along y, as the LiDAR raster.
    """
    canvas = np.zeros((size_px, size_px), dtype=np.uint8)
    local_se2_world = inverse_se2(scene.ego.pose)

    def paint(rings: list[Tensor], value: BevClass) -> None:
        for ring in rings:
            cell = (ring.numpy() + range_m) * (size_px / (2.0 * range_m)) - 0.5
            if (cell.max(0) > -1).all() and (cell.min(0) < size_px).all():
                points = np.round(cell[:, ::-1] * (1 << _SUBPIXEL_BITS)).astype(np.int32)
                cv2.fillPoly(canvas, [points], int(value), shift=_SUBPIXEL_BITS)

    for value, layers, on_route in (
        (BevClass.WALKWAY, (MapLayer.WALKWAYS,), False),
        (BevClass.DRIVABLE, _DRIVABLE_LAYERS, False),
        (BevClass.ROUTE_LANE, _LANE_LAYERS, True),
    ):
        wanted = torch.isin(scene.map.layers, torch.tensor([int(layer) for layer in layers]))
        if on_route:
            wanted = wanted & scene.map.on_route
        paint([transform_points(local_se2_world, scene.map.rings[i]) for i in wanted.nonzero()[:, 0].tolist()], value)
    for value, rings in _object_rings(scene):
        paint(rings, value)
    return canvas


def _object_rings(scene: Scene) -> list[tuple[BevClass, list[Tensor]]]:
    """Boxes of the objects present at t0, ego frame."""
    objects = scene.objects
    pose = relative_se2(scene.ego.pose, objects.states[0, :, :3])
    corners = box_corners(pose[:, :2], pose[:, 2], objects.sizes[:, 0], objects.sizes[:, 1])
    vehicle = objects.types == int(ObjectType.VEHICLE)
    by_class = (
        (BevClass.STATIC_OBJECT, ~objects.is_agent),
        (BevClass.VEHICLE, vehicle),
        (BevClass.PEDESTRIAN_OR_BICYCLE, objects.is_agent & ~vehicle),
    )
    return [(value, list(corners[wanted & objects.present[0]])) for value, wanted in by_class]


def bev_loss(backbone: BevBackbone, bev: BevFeatures, target: Tensor) -> Tensor:
    """Cross-entropy of the auxiliary BEV map, in nats.

    Args:
        backbone: whose map it is.
        bev: F_BEV of B moments.
        target: (B, size, size) uint8, see `paint_bev`; the nearest cell counts for each cell of the map.
    """
    logits = backbone.semantics(bev)
    wanted = functional.interpolate(target.unsqueeze(1), logits.shape[2:], mode="nearest-exact").squeeze(1)
    return functional.cross_entropy(logits, wanted.long())
