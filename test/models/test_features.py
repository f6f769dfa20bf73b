"""Stitching, rasterising and status against hand-made readings."""

import numpy as np
import pytest
import torch

from pair_drive_core.models import FeatureConfig, build_features
from pair_drive_core.models.features import rasterise_lidar, stitch_cameras
from pair_drive_core.scene import (
    AgentInput,
    CameraCalibration,
    CameraImage,
    DrivingCommand,
    EgoStatus,
    LidarSweep,
    SceneError,
)


def camera(name, rgb):
    calibration = CameraCalibration(name, rgb.shape[1], rgb.shape[0], np.eye(3), np.eye(3), np.zeros(3), np.zeros(5))
    return CameraImage(calibration, rgb, 0)


def agent_input(height=1080, width=1920, points=None):
    shades = {"CAM_L0": 10, "CAM_F0": 100, "CAM_R0": 200}
    images = {name: camera(name, np.full((height, width, 3), shade, np.uint8)) for name, shade in shades.items()}
    status = EgoStatus(0, np.zeros(3), np.array([7.0, 0.5]), np.array([-1.0, 0.25]), DrivingCommand.RIGHT)
    points = np.zeros((0, 4), np.float32) if points is None else np.asarray(points, np.float32)
    return AgentInput((status,), images, LidarSweep(points, 0))


def test_official_crop_at_full_resolution():
    """28 rows above and below, 416 columns beside the side images: 1024 x 4096 in all, untouched by the resize."""
    rows, columns = np.mgrid[:1080, :1920]
    rgb = np.stack((rows % 256, columns % 256, columns // 256), axis=-1).astype(np.uint8)
    images = [camera(name, rgb) for name in ("CAM_L0", "CAM_F0", "CAM_R0")]
    stitched = stitch_cameras(images, FeatureConfig(image_height_px=1024, image_width_px=1088 + 1920 + 1088))
    assert stitched.shape == (1024, 4096, 3)
    assert (stitched[:, :1088] == rgb[28:-28, 416:-416]).all()
    assert (stitched[:, 1088:3008] == rgb[28:-28]).all()
    assert (stitched[:, 3008:] == rgb[28:-28, 416:-416]).all()


@pytest.mark.parametrize(("height", "width"), [(1080, 1920), (540, 960), (270, 480)])
def test_left_front_right_stand_side_by_side_at_any_resolution(height, width):
    features = build_features(agent_input(height, width), FeatureConfig(64, 256, 64, area_interpolation=True))
    assert features.camera.shape == (1, 3, 64, 256)
    row = features.camera[0, 0, 32] * 255
    seam = round(256 * 1088 / 4096)
    assert row[: seam - 1].unique().tolist() == [10]
    assert row[seam + 1 : 255 - seam].unique().tolist() == [100]
    assert row[257 - seam :].unique().tolist() == [200]


def test_lidar_raster_by_hand():
    config = FeatureConfig(lidar_size_px=64)
    points = [
        *[[10.5, 2.5, 1.0, 0.0]] * 3,  # three of five: 0.6
        *[[-31.9, -31.9, 0.3, 0.0]] * 9,  # clipped at five: 1.0, in the corner behind to the right
        [10.5, 2.5, 0.2, 0.0],  # not above 0.2 m
        [32.0, 0.0, 1.0, 0.0],  # just outside
        [0.0, -32.1, 1.0, 0.0],
    ]
    raster = rasterise_lidar(LidarSweep(np.array(points, np.float32), 0), config)
    assert raster[42, 34] == pytest.approx(0.6)
    assert raster[0, 0] == 1.0
    assert (raster > 0).sum() == 2


def test_paper_raster_has_four_pixels_a_metre():
    raster = rasterise_lidar(LidarSweep(np.array([[0.1, 0.3, 1.0, 0.0]], np.float32), 0), FeatureConfig())
    assert raster.shape == (256, 256)
    assert raster[128, 129] == pytest.approx(0.2)


def test_status_is_command_velocity_acceleration():
    features = build_features(agent_input(), FeatureConfig(64, 256, 64))
    assert features.status.tolist() == [[0.0, 0.0, 1.0, 0.0, 7.0, 0.5, -1.0, 0.25]]


def test_missing_camera_is_named():
    whole = agent_input()
    lacking = AgentInput(whole.status, {"CAM_F0": whole.cameras["CAM_F0"]}, whole.lidar)
    with pytest.raises(SceneError, match=r"missing \['CAM_L0', 'CAM_R0'\], available CAM_F0"):
        build_features(lacking, FeatureConfig())


def test_missing_lidar_is_named():
    whole = agent_input()
    with pytest.raises(SceneError, match="LiDAR"):
        build_features(AgentInput(whole.status, whole.cameras, None), FeatureConfig())


def test_camera_values_lie_between_zero_and_one():
    features = build_features(agent_input(270, 480), FeatureConfig(64, 256, 64))
    assert features.camera.dtype == torch.float32
    assert 0 <= float(features.camera.min()) <= float(features.camera.max()) <= 1
