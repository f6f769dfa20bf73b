import math

import pytest
import torch

from pair_drive_core.geometry import Polyline


def corner():
    return Polyline.from_points(torch.tensor([[0.0, 0.0], [10.0, 0.0], [10.0, 10.0]], dtype=torch.float64))


def test_projection_measures_arc_length_round_the_corner():
    points = torch.tensor([[3.0, 1.0], [12.0, 4.0], [-5.0, 0.0], [10.0, 99.0]], dtype=torch.float64)
    assert corner().project(points).tolist() == [3.0, 14.0, 0.0, 20.0]


def test_interpolation_inverts_projection_and_clips_to_the_ends():
    distance = torch.tensor([-1.0, 2.5, 13.0, 50.0], dtype=torch.float64)
    poses = corner().interpolate(distance)
    assert poses[:, :2].tolist() == [[0, 0], [2.5, 0], [10, 3], [10, 10]]
    assert poses[2, 2] == pytest.approx(math.pi / 2)


def test_heading_turns_the_short_way_across_pi():
    line = Polyline.from_points(
        torch.tensor([[0.0, 0.0], [-1.0, 0.0]]), headings=torch.tensor([math.pi - 0.1, -math.pi + 0.1])
    )
    assert abs(float(line.interpolate(torch.tensor([0.5]))[0, 2])) == pytest.approx(math.pi, abs=1e-5)


def test_repeated_points_are_no_trouble():
    line = Polyline.from_points(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [2.0, 0.0]]))
    assert line.interpolate(torch.tensor([1.5]))[0, :2].tolist() == [1.5, 0.0]
    assert line.project(torch.tensor([[1.5, 3.0]])).tolist() == [1.5]


@pytest.mark.parametrize("points", [torch.zeros(1, 2), torch.zeros(3, 3), torch.tensor([[0.0, 0.0], [math.nan, 1.0]])])
def test_what_is_no_polyline_is_refused(points):
    with pytest.raises(ValueError, match="polyline needs"):
        Polyline.from_points(points)
