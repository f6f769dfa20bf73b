"""Batched planar geometry in torch: angles, SE(2), polylines, polygons, oriented boxes. No domain words here."""

from pair_drive_core.geometry.angles import normalise_angle, wrap_angle
from pair_drive_core.geometry.boxes import box_corners, boxes_intersect, rectangle_corners
from pair_drive_core.geometry.polygons import points_in_polygon
from pair_drive_core.geometry.polylines import Polyline
from pair_drive_core.geometry.se2 import compose_se2, inverse_se2, relative_se2, rotate_points, transform_points

__all__ = [
    "Polyline",
    "box_corners",
    "boxes_intersect",
    "compose_se2",
    "inverse_se2",
    "normalise_angle",
    "points_in_polygon",
    "rectangle_corners",
    "relative_se2",
    "rotate_points",
    "transform_points",
    "wrap_angle",
]
