"""The parts of PDM-Closed by hand: forecast, paths, leaders."""

import numpy as np
import pytest
import shapely
import torch

from pair_drive_core.geometry import rectangle_corners
from pair_drive_core.planning.pdm_forecast import forecast_objects
from pair_drive_core.planning.pdm_leaders import LeaderSearch, Obstacles
from pair_drive_core.planning.pdm_paths import ParallelPaths
from pair_drive_core.scene import PACIFICA, ObjectType


def test_the_forecast_moves_every_second_step_along_the_heading(roads):
    scene = roads.road([("car", ObjectType.VEHICLE, (30.0, 0.0, 0.0), 5.0)])
    scene.objects.states[:, 0, 4] = 12.0
    states = forecast_objects(scene).objects.states[:, 0]
    assert states.shape == (51, 5)
    assert states[:5, 0].tolist() == pytest.approx([30.0, 30.0, 32.6, 32.6, 35.2])
    assert (states[:, 1] == 0.0).all(), "13 m/s along its heading, wherever the velocity points"
    assert states[7, 3:].tolist() == [5.0, 12.0]


def test_what_rolls_backwards_is_expected_to_go_on_backwards(roads):
    scene = roads.road([("car", ObjectType.VEHICLE, (30.0, 0.0, 0.0), -2.0)])
    assert forecast_objects(scene).objects.states[50, 0, 0] == pytest.approx(20.0)


def test_static_objects_stay_whatever_their_velocity(roads):
    scene = roads.road([("cone", ObjectType.TRAFFIC_CONE, (30.0, 0.0, 0.0), 4.0)])
    states = forecast_objects(scene).objects.states[:, 0]
    assert (states == torch.tensor([30.0, 0.0, 0.0, 0.0, 0.0])).all()


def test_only_near_objects_count_nearest_first_class_by_class(roads):
    # The ego's centre is 1.461 m before its rear axle.
    walkers = [(f"walker-{i}", ObjectType.PEDESTRIAN, (10.0 + i, 5.0, 0.0), 0.0) for i in range(30)]
    others = [
        ("too far", ObjectType.VEHICLE, (101.5, 0.0, 0.0), 0.0),
        ("far", ObjectType.VEHICLE, (101.4, 0.0, 0.0), 0.0),
        ("near", ObjectType.VEHICLE, (20.0, 0.0, 0.0), 0.0),
        ("cone", ObjectType.TRAFFIC_CONE, (90.0, 0.0, 0.0), 0.0),
        ("bicycle", ObjectType.BICYCLE, (12.0, 0.0, 0.0), 0.0),
    ]
    tokens = forecast_objects(roads.road([*walkers[::-1], *others])).objects.tokens
    assert tokens == ("cone", "near", "far", *(f"walker-{i}" for i in range(25)), "bicycle")


def test_touching_objects_are_marked(roads):
    scene = roads.road(
        [("apart", ObjectType.VEHICLE, (6.36, 0.0, 0.0), 0.0), ("touching", ObjectType.VEHICLE, (6.34, 0.0, 0.0), 0.0)]
    )
    forecast = forecast_objects(scene)
    assert dict(zip(forecast.objects.tokens, forecast.touching.tolist(), strict=True)) == {
        "apart": False,
        "touching": True,
    }
    assert forecast.relevant.tokens == ("apart",)


def test_a_corridor_is_as_wide_as_the_vehicle_with_square_ends(roads):
    paths = ParallelPaths.beside(roads.road(), (0.0, -1.0))
    start = paths.project(np.zeros(2))
    assert start.tolist() == pytest.approx([50.0, 50.0])
    first, second = paths.corridors(start, 30.0, 2.0)
    # Path points lie every 2 m, at x = 0, 2, ..., 30.
    assert first.equals(shapely.box(-1.0, -1.0, 31.0, 1.0))
    assert second.equals(shapely.box(-1.0, -2.0, 31.0, 0.0))
    (end,) = paths.corridors(start[:1] + 249.5, 30.0, 2.0)
    assert end.equals(shapely.box(248.5, -1.0, 251.0, 1.0)), "less than two points left: the stretch itself"


def test_paths_are_sampled_between_their_ends(roads):
    paths = ParallelPaths.beside(roads.road(), (0.0, 2.0))
    poses = paths.poses(np.array([[-5.0, 51.0, 400.0]] * 2))
    assert poses[0, :, 0].tolist() == pytest.approx([-50.0 + 1e-5, 1.0, 250.0])
    assert poses[1, :, 1].tolist() == pytest.approx([2.0] * 3)


def leaders_of(progress, heading=(0.0, 0.0, 0.0), is_light=False):
    """Three proposals on a path along +x that ends at 100 m; a box of 4 m at 20 m with 4 m/s, or a red light."""
    box = rectangle_corners(np.array([[20.0, 0.0]]), np.array([0.0]), 4.0, 2.0)
    corners = box[None] if not is_light else np.zeros((1, 0, 4, 2))
    obstacles = Obstacles(
        corners,
        [box[0]] if is_light else [],
        np.array([[shapely.Polygon(box[0])]], dtype=object),
        np.array([0, 1]),
        np.array([0]),
        np.array([20.0]),
        np.zeros(0 if is_light else 1),
        np.full(0 if is_light else 1, 4.0),
    )
    search = LeaderSearch(obstacles, PACIFICA, np.array([100.0]), (1, len(progress)))
    poses = np.array([[[p, 0.0, h] for p, h in zip(progress, heading, strict=False)]])
    search.update(0, poses, np.array([progress]))
    return search.rear[0].tolist(), search.speed[0].tolist()


def test_a_leader_is_as_far_as_the_gap_between_the_outlines():
    rear, speed = leaders_of([0.0, 10.0])
    # From the rear axle 4.049 m to the bumper; the box begins at 18 m.
    assert rear == pytest.approx([18.0 - 4.049] * 2)
    assert speed == [4.0, 4.0]


def test_only_the_speed_along_the_own_heading_counts():
    _, speed = leaders_of([0.0], heading=(np.pi / 3.0,))
    assert speed == pytest.approx([2.0])


def test_what_is_passed_is_no_leader_and_the_free_road_ends_with_the_path():
    half = PACIFICA.length_m / 2.0
    rear, speed = leaders_of([30.0, 40.0])
    assert rear == pytest.approx([100.0 - half] * 2)
    assert speed == [0.0, 0.0]


def test_what_a_proposal_does_not_write_stays_from_the_one_before_it():
    half = PACIFICA.length_m / 2.0
    rear, speed = leaders_of([30.0, 10.0, 40.0])
    assert rear == pytest.approx([100.0 - half, 18.0 - 4.049 - half, 100.0 - half])
    assert speed == [0.0, 4.0, 4.0], "the free road behind a leader keeps the leader's speed"


def test_a_red_light_stands_still():
    rear, speed = leaders_of([0.0, 30.0], is_light=True)
    assert rear[0] == pytest.approx(18.0 - 4.049)
    assert speed == [0.0, 0.0]
