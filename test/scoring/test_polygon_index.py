"""Binned point-in-polygon tests against shapely."""

import math

import numpy as np
import pytest
import torch
from shapely import Point, Polygon, contains_xy

from pair_drive_core.scene import PackedRings
from pair_drive_core.scoring.polygon_index import PolygonIndex


def star(rng, center, radius, vertices):
    angle = np.sort(rng.uniform(0, 2 * math.pi, vertices))
    reach = radius * rng.uniform(0.2, 1.0, vertices)
    return center + np.stack((reach * np.cos(angle), reach * np.sin(angle)), axis=-1)


def lane(rng, start, heading, length):
    along = np.arange(0, length, 1.0)
    bend = heading + 0.01 * rng.normal() * along
    line = start + np.stack((np.cumsum(np.cos(bend)), np.cumsum(np.sin(bend))), axis=-1)
    side = 1.75 * np.stack((-np.sin(bend), np.cos(bend)), axis=-1)
    return np.concatenate((line + side, (line - side)[::-1]))


def index_of(rings, dtype=torch.float64):
    packed = PackedRings.from_sequences(
        [torch.from_numpy(np.array(r, dtype=np.float64, order="C").reshape(-1, 2)) for r in rings]
    )
    return PolygonIndex.build(packed.points.to(dtype), packed.offsets)


@pytest.mark.parametrize("seed", range(5))
def test_random_polygons(seed):
    rng = np.random.default_rng(seed)
    rings = [star(rng, rng.uniform(-20, 20, 2), rng.uniform(1, 30), rng.integers(3, 60)) for _ in range(20)]
    rings += [lane(rng, rng.uniform(-50, 0, 2), rng.uniform(-3, 3), rng.integers(5, 150)) for _ in range(20)]
    points = rng.uniform(-60, 60, (40, 200, 2))
    points[:, :100] = np.stack([ring[rng.integers(0, len(ring), 100)] for ring in rings]) + rng.normal(
        0, 1, (40, 100, 2)
    )
    inside = index_of(rings).contains(torch.from_numpy(points), torch.arange(40)).numpy()
    expected = np.stack([contains_xy(Polygon(r), p[:, 0], p[:, 1]) for r, p in zip(rings, points, strict=True)])
    np.testing.assert_array_equal(inside, expected)
    assert 0.05 < inside.mean() < 0.8


def test_vertices_and_points_on_edges_are_outside():
    ring = np.array([[0, 0], [4, 0], [4, 1], [2, 1], [2, 3], [0, 3]], dtype=float)
    on = np.array([[0, 0], [4, 0], [4, 0.5], [3, 1], [2, 1], [2, 2], [1, 3], [0, 1.5], [2, 0], [2, 3]])
    inside = np.array([[1, 0.5], [3, 0.5], [1, 1.0], [1, 2.0], [2, 0.5]])
    for turned in (ring, ring[:, ::-1]):
        flip = turned is not ring
        index, polygon = index_of([turned]), torch.zeros(1, dtype=torch.int64)
        for points, expected in ((on, False), (inside, True)):
            asked = torch.from_numpy(np.ascontiguousarray(points[:, ::-1] if flip else points))
            found = index.contains(asked[None], polygon)[0]
            assert (found == expected).all()
            assert all(Polygon(turned).contains(Point(p)) == expected for p in asked.tolist())


def test_points_between_integers_of_a_spiky_ring():
    """Vertices at the same coordinate as the point, above and below it, on both sides."""
    ring = np.array([[0, 0], [1, 5], [2, 0], [3, 5], [4, 0], [5, 5], [6, 0], [6, 8], [0, 8]], dtype=float)
    grid = np.stack(np.meshgrid(np.arange(-1, 8, 0.5), np.arange(-1, 10, 0.5)), axis=-1).reshape(-1, 2)
    found = index_of([ring]).contains(torch.from_numpy(grid)[None], torch.zeros(1, dtype=torch.int64))[0].numpy()
    np.testing.assert_array_equal(found, [Polygon(ring).contains(Point(p)) for p in grid])


def test_points_not_asked_about_are_false():
    index = index_of([[[0, 0], [2, 0], [2, 2], [0, 2]]])
    points, wanted = torch.ones(1, 3, 2, dtype=torch.float64), torch.tensor([[True, False, True]])
    assert index.contains(points, torch.zeros(1, dtype=torch.int64), wanted).tolist() == wanted.tolist()


def test_nothing_at_all():
    index = index_of([np.zeros((0, 2)), [[0, 0], [1, 1]]])
    assert not index.contains(torch.zeros(2, 4, 2, dtype=torch.float64), torch.tensor([0, 1])).any()
    empty = torch.zeros(0, 4, 2, dtype=torch.float64)
    assert index.contains(empty, torch.zeros(0, dtype=torch.int64)).shape == (0, 4)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_points_that_are_no_numbers_are_outside(value):
    index = index_of([[[0, 0], [2, 0], [2, 2], [0, 2]]])
    points = torch.full((1, 1, 2), value, dtype=torch.float64)
    assert not index.contains(points, torch.zeros(1, dtype=torch.int64)).any()
