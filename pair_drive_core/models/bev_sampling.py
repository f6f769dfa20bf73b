"""Reading a BEV map at points of the ego frame."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pair_drive_core.geometry import transform_points
from pair_drive_core.scene import PACIFICA, VehicleParameters


def sample_bev(bev_map: Tensor, points: Tensor, range_m: float, ahead_m: float = 0.0) -> Tensor:
    """Bilinear readings of a BEV map; zero outside it.

    Args:
        bev_map: (B, C, h, w), rows along x, columns along y.
        points: (B, K, P, 2), ego frame, m.
        range_m: half the side of the map.
        ahead_m: how far its middle lies ahead of the rear axle.

    Returns:
        (B, K, P, C).
    """
    middle = torch.tensor([ahead_m, 0.0], dtype=points.dtype, device=points.device)
    grid = ((points - middle) / range_m).flip(-1)
    return functional.grid_sample(bev_map, grid, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


def footprint_points(poses: Tensor, vehicle: VehicleParameters = PACIFICA) -> Tensor:
    """The box centre and the four corners of the vehicle.

    Args:
        poses: (..., 3), rear axle; m, rad.
        vehicle: measures.

    Returns:
        (..., 5, 2), m.
    """
    front, rear, half = vehicle.front_length_m, -vehicle.rear_length_m, vehicle.width_m / 2.0
    local = [[vehicle.rear_axle_to_center_m, 0.0], [front, half], [front, -half], [rear, half], [rear, -half]]
    return transform_points(poses.unsqueeze(-2), torch.tensor(local, dtype=poses.dtype, device=poses.device))
