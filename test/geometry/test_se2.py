import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pair_drive_core.geometry import (
    box_corners,
    boxes_intersect,
    compose_se2,
    inverse_se2,
    points_in_polygon,
    relative_se2,
    transform_points,
    wrap_angle,
)

coordinate = st.floats(-1e3, 1e3, allow_nan=False)
angle = st.floats(-10.0, 10.0, allow_nan=False)
pose = st.tuples(coordinate, coordinate, angle).map(lambda p: torch.tensor(p, dtype=torch.float64))


def same_pose(a, b):
    return bool(torch.allclose(a[..., :2], b[..., :2], atol=1e-9)) and bool(
        (wrap_angle(a[..., 2] - b[..., 2]).abs() < 1e-9).all()
    )


def test_a_quarter_turn_left_maps_forward_to_left():
    world_se2_ego = torch.tensor([10.0, 5.0, math.pi / 2])
    point = transform_points(world_se2_ego, torch.tensor([2.0, 0.0]))
    assert torch.allclose(point, torch.tensor([10.0, 7.0]), atol=1e-6)


@given(pose)
def test_inverse_undoes(a):
    assert same_pose(compose_se2(a, inverse_se2(a)), torch.zeros(3, dtype=torch.float64))


@given(pose, pose, pose)
def test_composition_is_associative(a, b, c):
    assert same_pose(compose_se2(compose_se2(a, b), c), compose_se2(a, compose_se2(b, c)))


@given(pose, pose)
def test_relative_pose_composes_back(reference, target):
    assert same_pose(compose_se2(reference, relative_se2(reference, target)), target)


def test_relative_pose_keeps_millimetres_far_from_the_origin():
    reference = torch.tensor([4.4e6, 1.2e6, 0.3], dtype=torch.float64)
    target = compose_se2(reference, torch.tensor([1.25e-3, 0.0, 0.0], dtype=torch.float64))
    assert relative_se2(reference, target)[0] == pytest.approx(1.25e-3, abs=1e-9)


@given(st.lists(angle, min_size=1, max_size=5))
def test_wrapped_angles_name_the_same_direction(values):
    values = torch.tensor(values, dtype=torch.float64)
    wrapped = wrap_angle(values)
    assert bool(((wrapped >= -math.pi) & (wrapped < math.pi)).all())
    assert torch.allclose(wrapped.cos(), values.cos(), atol=1e-9) and torch.allclose(
        wrapped.sin(), values.sin(), atol=1e-9
    )


def test_corners_run_counter_clockwise_from_front_left():
    corners = box_corners(torch.zeros(2), torch.tensor(0.0), torch.tensor(4.0), torch.tensor(2.0))
    assert corners.tolist() == [[2, 1], [-2, 1], [-2, -1], [2, -1]]


@pytest.mark.parametrize(
    ("dx", "heading", "meets"),
    [(3.9, 0.0, True), (4.0, 0.0, True), (4.1, 0.0, False), (3.6, math.pi / 4, True), (4.2, math.pi / 4, False)],
)
def test_boxes_meet_when_they_share_a_point(dx, heading, meets):
    sizes = torch.tensor(4.0, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)
    zero = torch.zeros(2, dtype=torch.float64)
    a = box_corners(zero, torch.tensor(0.0, dtype=torch.float64), *sizes)
    b = box_corners(torch.tensor([dx, 0.0], dtype=torch.float64), torch.tensor(heading, dtype=torch.float64), *sizes)
    assert bool(boxes_intersect(a, b)) is meets
    assert bool(boxes_intersect(b, a)) is meets


def test_points_in_a_concave_polygon():
    ring = torch.tensor([[0.0, 0.0], [4, 0], [4, 4], [2, 1], [0, 4]])
    points = torch.tensor([[2.0, 0.5], [2.0, 2.0], [0.5, 2.0], [5.0, 0.5]])
    assert points_in_polygon(points, ring).tolist() == [True, False, True, False]
