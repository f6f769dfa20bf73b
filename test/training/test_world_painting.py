"""A centre line as a map around the ego: how far beside it, how far along it, which way."""

from types import SimpleNamespace

import numpy as np
import pytest

from pair_drive_core.models.features import FeatureConfig
from pair_drive_core.scene import PACIFICA
from pair_drive_core.training.world_painting import LATERAL_LIMIT_M, _Canvas

CONFIG = FeatureConfig(lidar_size_px=64, lidar_range_m=16.0, lidar_ahead_m=8.0)


@pytest.mark.parametrize("heading", [0.0, 0.5, np.pi / 2, -2.0])
def test_a_straight_line_gives_every_cell_its_place_on_it(heading):
    """The line goes through the middle of the vehicle; a vertex each metre, cells of half a metre."""
    direction, middle = np.array([np.cos(heading), np.sin(heading)]), np.array([PACIFICA.rear_axle_to_center_m, 0.0])
    along = np.arange(-40.0, 41.0)
    points = np.column_stack((middle + along[:, None] * direction, np.full(81, heading), along + 100.0))
    coded = _Canvas(CONFIG).line(points, SimpleNamespace(vehicle=PACIFICA)).astype(np.float64)
    center = (np.arange(64) + 0.5) * 0.5 - 16.0
    x, y = np.meshgrid(center + 8.0 - middle[0], center, indexing="ij")
    true_along, true_lateral = x * direction[0] + y * direction[1], y * direction[0] - x * direction[1]
    known = coded[..., 0] > 0
    near = np.abs(true_lateral) < LATERAL_LIMIT_M
    assert not known[~near].any() and known[near].mean() > 0.95, "all but where the line has left the map"
    assert np.abs((coded[..., 0] / 127.5 - 1.0) * LATERAL_LIMIT_M - true_lateral)[known].max() < 0.07
    assert np.abs(coded[..., 2] * 0.5 - 24.0 - true_along)[known].max() < 0.26
    angle = coded[..., 1] * (2.0 * np.pi / 256.0) - heading
    assert np.abs(np.sin(angle)).max() < 0.02 and np.cos(angle).min() > 0.0
