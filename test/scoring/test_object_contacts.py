"""Boxes that touch, and where objects are seen from the rear axle."""

import math

import numpy as np
import pytest
import torch
from shapely import LineString, Polygon

from pair_drive_core.geometry import box_corners
from pair_drive_core.scene import PACIFICA
from pair_drive_core.scoring.object_contacts import Contacts, bearings, boxes_touch, front_edge_touches
from pair_drive_core.scoring.rollouts import Rollouts

HALF = (PACIFICA.length_m / 2, PACIFICA.width_m / 2)


def random_boxes(seed, count=400):
    rng = np.random.default_rng(seed)
    offset = torch.from_numpy(rng.uniform(-6, 6, (count, 2)))
    heading, other = torch.from_numpy(rng.uniform(-math.pi, math.pi, (2, count)))
    half = torch.from_numpy(rng.uniform(0.1, 3.0, (count, 2)))
    return offset, heading, other, half


def polygons(offset, heading, other, half):
    length, width = torch.tensor(2 * HALF[0]).double(), torch.tensor(2 * HALF[1]).double()
    ego = box_corners(torch.zeros_like(offset), heading, length, width)
    others = box_corners(offset, other, 2 * half[:, 0], 2 * half[:, 1])
    return ego.numpy(), others.numpy()


@pytest.mark.parametrize("seed", range(3))
def test_boxes_touch_where_shapely_says_they_intersect(seed):
    offset, heading, other, half = random_boxes(seed)
    direction = torch.stack((heading.cos(), heading.sin()), dim=-1)
    ego, others = polygons(offset, heading, other, half)
    expected = [Polygon(a).intersects(Polygon(b)) for a, b in zip(ego, others, strict=True)]
    assert boxes_touch(offset, direction, HALF, other, half).tolist() == expected
    assert 50 < sum(expected) < 350


@pytest.mark.parametrize("seed", range(3))
def test_the_front_edge_touches_where_shapely_says_so(seed):
    offset, heading, other, half = random_boxes(seed)
    direction = torch.stack((heading.cos(), heading.sin()), dim=-1)
    ego, others = polygons(offset, heading, other, half)
    expected = [LineString(a[[0, 3]]).intersects(Polygon(b)) for a, b in zip(ego, others, strict=True)]
    assert front_edge_touches(offset, direction, HALF, other, half).tolist() == expected
    assert 20 < sum(expected) < 350


def test_touching_counts():
    offset = torch.tensor([[3.0, 0.0], [0.0, 2.0], [3.0, 2.0], [3.0 + 1e-9, 0.0]], dtype=torch.float64)
    direction = torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(4, 2)
    half = torch.ones(4, 2, dtype=torch.float64)
    touch = boxes_touch(offset, direction, (2.0, 1.0), torch.zeros(4, dtype=torch.float64), half)
    assert touch.tolist() == [True, True, True, False]


class OneObject:
    """What `bearings` reads of prepared scenes: objects around a rear axle at (3, -2)."""

    def __init__(self, degrees):
        angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
        states = torch.zeros(len(degrees), 41, 5, dtype=torch.float64)
        states[:, :, 0] = 3.0 + 7.0 * angle.cos()[:, None]
        states[:, :, 1] = -2.0 + 7.0 * angle.sin()[:, None]
        self.object_states = states


@pytest.mark.parametrize("turn", [0.0, 77.0, -160.0])
def test_ahead_is_below_30_degrees_and_behind_above_150(turn):
    off = [0.0, 29.9, -29.9, 30.1, -30.1, 90.0, 149.9, -149.9, 150.1, -150.1, 180.0]
    states = torch.zeros(1, 1, 41, 11, dtype=torch.float64)
    states[..., 0], states[..., 1], states[..., 2] = 3.0, -2.0, math.radians(turn)
    rows = torch.arange(len(off))
    contacts = Contacts(torch.zeros_like(rows), rows, torch.zeros_like(rows), torch.zeros_like(rows))
    ahead, behind = bearings(Rollouts.from_states(states, PACIFICA), OneObject([a + turn for a in off]), contacts)
    assert ahead.tolist() == [abs(a) < 30 for a in off]
    assert behind.tolist() == [abs(a) > 150 for a in off]


def test_an_object_centred_on_the_axle_is_neither():
    states = torch.zeros(1, 1, 41, 11)
    objects = OneObject([0.0])
    objects.object_states = torch.zeros(1, 41, 5)
    zero = torch.zeros(1, dtype=torch.int64)
    ahead, behind = bearings(Rollouts.from_states(states, PACIFICA), objects, Contacts(zero, zero, zero, zero))
    assert not ahead.any() and not behind.any()
