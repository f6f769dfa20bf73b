"""The stitched image laid onto the ground: every place keeps its colour."""

import dataclasses

import cv2
import numpy as np
import pytest

from pair_drive_core.models import FeatureConfig, build_features
from pair_drive_core.models.features import stitch_cameras, stitched_views
from pair_drive_core.models.ground_image import _sampling, ground_image
from pair_drive_core.scene import FRONT_CAMERAS, AgentInput, CameraImage, DrivingCommand, EgoStatus, LidarSweep
from pair_drive_core.town import navsim_calibration, stitch_calibrations
from pair_drive_core.training.town_samples import town_views

CONFIG = FeatureConfig(256, 1024, 64, ground_image=True, area_interpolation=True)


def paint_ground(calibration, colour_of):
    """What a camera sees of a coloured plane: each pixel's ray is cut with the ground."""
    rows, columns = np.mgrid[: calibration.height_px, : calibration.width_px]
    rays = np.linalg.inv(calibration.intrinsics) @ np.stack((columns, rows, np.ones_like(rows))).reshape(3, -1)
    rays = calibration.ego_r_camera @ rays
    down = rays[2] < -1e-6
    distance = np.where(down, -calibration.ego_t_camera[2] / np.where(down, rays[2], 1.0), 0.0)
    places = calibration.ego_t_camera[:2, None] + distance * rays[:2]
    colour = np.where(down, colour_of(places[0], places[1]), 0)
    rgb = np.repeat(colour.reshape(rows.shape)[..., None], 3, axis=2).astype(np.uint8)
    return CameraImage(calibration, rgb, 0)


@pytest.fixture(scope="module")
def pictures():
    """A lane 3 m wide along x, 4 m to the left, and a bar across the road 12 m ahead."""

    def colour_of(x, y):
        return np.where(np.abs(y - 4.0) < 1.5, 200, np.where(np.abs(x - 12.0) < 1.0, 120, 40))

    return [paint_ground(navsim_calibration(name).scaled(960, 540), colour_of) for name in FRONT_CAMERAS]


def seen_from_above(pictures):
    views = stitched_views([picture.calibration for picture in pictures], CONFIG)
    return ground_image(stitch_cameras(pictures, CONFIG), views, 64, 32.0)[..., 0]


def test_places_keep_their_colour(pictures):
    """Row 32 + x, column 32 + y: the bar at 12 m ahead, the lane at 4 m left, plain ground elsewhere."""
    above = seen_from_above(pictures)
    assert above[44, 31] == pytest.approx(120, abs=25)
    assert above[43, 28] == pytest.approx(120, abs=25)
    assert above[46:50, 36].mean() == pytest.approx(200, abs=15)
    assert above[50:60, 36].mean() == pytest.approx(200, abs=30)
    assert above[39, 31] == pytest.approx(40, abs=10)
    assert above[40, 28] == pytest.approx(40, abs=10)


def test_behind_the_vehicle_nothing_is_seen(pictures):
    assert (seen_from_above(pictures)[:30] == 0).all()


def test_resolution_of_the_cameras_does_not_matter(pictures):
    smaller = []
    for picture in pictures:
        calibration = picture.calibration.scaled(480, 270)
        smaller.append(
            CameraImage(calibration, picture.rgb.reshape(270, 2, 480, 2, 3).mean((1, 3)).astype(np.uint8), 0)
        )
    coarse, fine = seen_from_above(smaller), seen_from_above(pictures)
    assert np.abs(coarse.astype(float) - fine).mean() < 3.0


def test_a_camera_turned_to_the_side_moves_what_it_sees(pictures):
    front = pictures[1]
    turned = front.calibration
    angle = np.deg2rad(10.0)
    yaw = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    moved = type(turned)(
        turned.name,
        turned.width_px,
        turned.height_px,
        turned.intrinsics,
        yaw @ turned.ego_r_camera,
        turned.ego_t_camera,
        turned.distortion,
    )
    wrong = seen_from_above([pictures[0], CameraImage(moved, front.rgb, 0), pictures[2]])
    assert np.abs(wrong.astype(float) - seen_from_above(pictures)).mean() > 5.0


def test_town_pictures_rendered_stitched_agree_with_whole_ones():
    """The training's short cut and the vehicle's way give the same view of the ground."""
    config = FeatureConfig(64, 256, 64, ground_image=True)
    short = town_views(256, 64)
    whole = stitched_views([navsim_calibration(name) for name in FRONT_CAMERAS], config)
    for a, b in zip(short, whole, strict=True):
        assert a.focal_px == pytest.approx(b.focal_px, rel=0.02)
        assert a.center_px == pytest.approx(b.center_px, abs=1.0)
        assert a.columns_px == pytest.approx(b.columns_px, abs=1.0)
    assert sum(calibration.width_px for calibration in stitch_calibrations(256, 64)) == 256


def test_features_carry_it_only_when_asked(pictures):
    status = EgoStatus(0, np.zeros(3), np.zeros(2), np.zeros(2), DrivingCommand.STRAIGHT)
    cameras = dict(zip(FRONT_CAMERAS, pictures, strict=True))
    agent_input = AgentInput((status,), cameras, LidarSweep(np.zeros((0, 4), np.float32), 0))
    assert build_features(agent_input, CONFIG).ground.shape == (1, 3, 64, 64)
    assert build_features(agent_input, FeatureConfig()).ground.shape == (1, 0, 256, 256)


def test_cameras_that_look_at_the_sky_see_no_ground(pictures):
    """Mounts turned straight up: nothing of the ground lies ahead of them, and that is no error."""
    up = np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    views = stitched_views([dataclasses.replace(picture.calibration, ego_r_camera=up) for picture in pictures], CONFIG)
    assert (ground_image(stitch_cameras(pictures, CONFIG), views, 64, 32.0) == 0).all()


PUBLISHED_K = np.array([[1545.0, 0.0, 960.0], [0.0, 1545.0, 560.0], [0.0, 0.0, 1.0]])
PUBLISHED_D = np.array([-0.356123, 0.172545, -0.00213, 0.000464, -0.05231])


def test_with_the_published_calibration_each_cell_shows_its_own_place():
    """The ray of the pixel that fills a cell, undistorted, meets the ground in that cell and nowhere else."""
    config = FeatureConfig()
    calibrations = [
        dataclasses.replace(navsim_calibration(name), intrinsics=PUBLISHED_K, distortion=PUBLISHED_D)
        for name in FRONT_CAMERAS
    ]
    views = stitched_views(calibrations, config)
    columns, rows = _sampling(tuple(views), config.image_height_px, 256, 32.0, 0.0)
    filled = 0
    for view, calibration in zip(views, calibrations, strict=True):
        mine = (columns >= view.columns_px[0]) & (columns < view.columns_px[1])
        cells = np.argwhere(mine)
        pixels = np.column_stack((columns[mine], rows[mine])).astype(np.float64)
        matrix = np.array(
            [[view.focal_px[0], 0, view.center_px[0]], [0, view.focal_px[1], view.center_px[1]], [0, 0, 1]]
        )
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-12)
        plane = cv2.undistortPoints(pixels[:, None], matrix, PUBLISHED_D, criteria=criteria)[:, 0]
        rays = np.column_stack((plane, np.ones(len(plane)))) @ calibration.ego_r_camera.T
        places = calibration.ego_t_camera - rays * (calibration.ego_t_camera[2] / rays[:, 2])[:, None]
        expected = (cells + 0.5) * 0.25 - 32.0
        assert np.abs(places[:, :2] - expected).max() < 0.25
        filled += len(cells)
    assert filled > 20_000
