"""What sensor_msgs/CameraInfo says of raw, rectified, cropped and binned pictures."""

import math

import numpy as np
import pytest

from pair_drive_core.driving.messages import MessageError, bag_messages, camera_calibration
from pair_drive_core.driving.messages.camera_info import describes_rectification, to_camera_info
from pair_drive_core.driving.sensor_feed import SensorMounts
from pair_drive_core.scene import CameraCalibration, Lens

MOUNT = SensorMounts().front
K = (120.0, 0, 80, 0, 118.0, 45, 0, 0, 1)
P = (100.0, 0, 82, 0, 0, 101.0, 44, 0, 0, 0, 1, 0)


@pytest.fixture
def info(bag_types):
    """A camera_info of a sensor of 160 x 90 pixels; any field may be another."""
    make = bag_messages(bag_types)

    def build(roi=(0, 0, 0, 0), **fields):
        names = ("x_offset", "y_offset", "width", "height")
        region = make("sensor_msgs/msg/RegionOfInterest", do_rectify=False, **dict(zip(names, roi, strict=True)))
        header = make(
            "std_msgs/msg/Header", stamp=make("builtin_interfaces/msg/Time", sec=0, nanosec=0), frame_id="cam"
        )
        given = {"distortion_model": "plumb_bob", "d": [0.0] * 5, "k": K, "r": np.eye(3).reshape(-1), "p": P, **fields}
        size = {"width": 160, "height": 90, "binning_x": 0, "binning_y": 0}
        return make("sensor_msgs/msg/CameraInfo", header=header, roi=region, **{**size, **given})

    return build


@pytest.mark.parametrize(
    ("model", "count", "lens"),
    [
        *(("plumb_bob", count, Lens.BROWN) for count in (4, 5, 8, 12, 14)),
        *(("rational_polynomial", count, Lens.BROWN) for count in (5, 8, 12, 14)),
        ("equidistant", 4, Lens.FISHEYE),
        ("fisheye", 4, Lens.FISHEYE),
        ("", 0, Lens.BROWN),
    ],
)
def test_every_model_of_opencv_is_taken_with_its_coefficients(info, model, count, lens):
    d = [0.01 * i for i in range(1, count + 1)]
    calibration = camera_calibration(info(distortion_model=model, d=d), "CAM_F0", MOUNT)
    assert calibration.lens is lens
    assert calibration.distortion[:count].tolist() == d
    assert not calibration.distortion[count:].any()


@pytest.mark.parametrize(
    ("model", "count"), [("none", 0), ("none", 5), ("equidistant", 5), ("inverse_brown_conrady", 5), ("plumb_bob", 6)]
)
def test_no_distortion_is_none_whatever_a_driver_calls_it(info, model, count):
    calibration = camera_calibration(info(distortion_model=model, d=[0.0] * count), "CAM_F0", MOUNT)
    assert (calibration.lens, calibration.distortion.tolist()) == (Lens.BROWN, [0.0] * 5)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"d": [math.nan] * 5}, r"finite distortion coefficients, got \[nan.*not calibrated"),
        ({"d": [0.1, math.inf, 0, 0, 0]}, "finite distortion coefficients"),
        ({"d": [0.1] * 6}, "expected 0, 4, 5, 8, 12, 14 distortion coefficients for 'plumb_bob', got 6"),
        ({"d": [0.1] * 5, "distortion_model": "equidistant"}, "expected 0, 4 distortion coefficients"),
        (
            {"d": [0.1, 0.5], "distortion_model": "double_sphere"},
            "'fisheye' or none, got 'double_sphere'",
        ),
        ({"k": [0.0] * 9}, "positive focal lengths"),
        ({"roi": (80, 45, 100, 45)}, r"inside 160 x 90, got 100 x 45 at \(80, 45\)"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(info, fields, words):
    with pytest.raises(MessageError, match=words):
        camera_calibration(info(**fields), "CAM_F0", MOUNT)


def test_rectified_pictures_take_p_and_the_rotation_and_no_distortion(info):
    angle = 0.1
    r = np.array([[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]])
    message = info(d=[math.nan] * 5, r=r.reshape(-1))
    calibration = camera_calibration(message, "CAM_F0", MOUNT, rectified=True)
    np.testing.assert_array_equal(calibration.intrinsics, np.array(P).reshape(3, 4)[:, :3])
    assert not calibration.distortion.any()
    raw = camera_calibration(info(), "CAM_F0", MOUNT)
    direction = np.array([0.2, -0.1, 1.0])
    np.testing.assert_allclose(calibration.ego_r_camera @ (r @ direction), raw.ego_r_camera @ direction)
    with pytest.raises(MessageError, match="expected p with positive focal lengths"):
        camera_calibration(info(p=[0.0] * 12), "CAM_F0", MOUNT, rectified=True)
    with pytest.raises(MessageError, match="expected r as a rotation"):
        camera_calibration(info(r=[2.0] * 9), "CAM_F0", MOUNT, rectified=True)


def test_a_region_of_interest_is_cut_out(info):
    calibration = camera_calibration(info(roi=(40, 30, 80, 45)), "CAM_F0", MOUNT)
    assert (calibration.width_px, calibration.height_px) == (80, 45)
    np.testing.assert_array_equal(calibration.intrinsics, [[120, 0, 40], [0, 118, 15], [0, 0, 1]])


def test_binning_makes_pictures_smaller_after_the_region_was_cut_out(info):
    calibration = camera_calibration(info(roi=(40, 30, 80, 44), binning_x=2, binning_y=2), "CAM_F0", MOUNT)
    assert (calibration.width_px, calibration.height_px) == (40, 22)
    np.testing.assert_array_equal(calibration.intrinsics, [[60, 0, 20], [0, 59, 7.5], [0, 0, 1]])
    whole = camera_calibration(info(binning_x=1, binning_y=1), "CAM_F0", MOUNT)
    np.testing.assert_array_equal(whole.intrinsics, np.array(K).reshape(3, 3))


def test_whether_rectified_pictures_would_need_other_numbers(info):
    same = (120.0, 0, 80, 0, 0, 118.0, 45, 0, 0, 0, 1, 0)
    assert not describes_rectification(info(p=same))
    assert describes_rectification(info())
    assert describes_rectification(info(p=same, d=[0.1, 0, 0, 0, 0]))
    assert not describes_rectification(info(p=[0.0] * 12))


@pytest.mark.parametrize(
    ("lens", "count", "model"),
    [(Lens.BROWN, 5, "plumb_bob"), (Lens.BROWN, 8, "rational_polynomial"), (Lens.FISHEYE, 4, "equidistant")],
)
def test_what_is_written_is_read_again(bag_types, lens, count, model):
    matrix = np.array(K).reshape(3, 3)
    written = CameraCalibration("CAM_F0", 160, 90, matrix, np.eye(3), np.zeros(3), np.full(count, 0.01), lens)
    message = to_camera_info(bag_messages(bag_types), written, 0, "optical")
    assert message.distortion_model == model
    read = camera_calibration(message, "CAM_F0", MOUNT)
    assert read.lens is lens
    np.testing.assert_array_equal(read.distortion, written.distortion)
