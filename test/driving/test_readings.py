"""Pictures and clouds that are decoded once, perhaps ahead and at a fraction of their size."""

import threading
from types import SimpleNamespace as Box

import cv2
import numpy as np
import pytest

from pair_drive_core.driving import readings
from pair_drive_core.driving.messages import MessageError, compressed_image_rgb
from pair_drive_core.driving.readings import Reading
from pair_drive_core.driving.topics import INPUT_TOPICS
from pair_drive_core.models.features import FeatureConfig, stitch_cameras
from pair_drive_core.scene import FRONT_CAMERAS, CameraImage
from pair_drive_core.town import navsim_calibration

WIDTH, HEIGHT = 1920, 1080
PICTURES = INPUT_TOPICS["camera/front/image_raw/compressed"]
CLOUDS = INPUT_TOPICS["lidar/points"]


def detailed(seed, width=WIDTH, height=HEIGHT):
    """A picture with edges: coarse cells, and fine ones over a part of it."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.integers(0, 256, (9, 16, 3), np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    fine = cv2.resize(rng.integers(0, 60, (270, 480, 3), np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.add(coarse, fine)


def compressed(rgb, kind="jpeg"):
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if kind == "jpeg" else []
    data = cv2.imencode(f".{kind}", rgb[..., ::-1] if rgb.ndim == 3 else rgb, options)[1].reshape(-1)
    return Box(header=Box(frame_id="optical"), format=kind, data=data)


def reading(rgb, least_rows=0, kind="jpeg"):
    return Reading(PICTURES, compressed(rgb, kind), least_rows)


@pytest.mark.parametrize(
    ("size", "least_rows", "expected"),
    [
        ((1920, 1080), 0, (1080, 1920)),
        ((1920, 1080), 256, (270, 480)),
        ((1920, 1080), 271, (540, 960)),
        ((1920, 1080), 100, (135, 240)),
        ((480, 270), 256, (270, 480)),
        ((1922, 1080), 256, (540, 961)),
        ((1921, 1081), 100, (1081, 1921)),
    ],
)
def test_a_jpeg_keeps_the_rows_that_are_needed_and_its_shape(size, least_rows, expected):
    assert reading(detailed(0, *size), least_rows).picture().shape == (*expected, 3)


def test_other_files_are_decoded_whole():
    small = detailed(0, 64, 32)
    assert reading(small, 8, "png").picture().shape == small.shape
    assert reading(np.ascontiguousarray(small[..., 0]), 8).picture().shape == small.shape, "perhaps a mosaic"


def test_the_network_sees_nearly_the_same_whether_its_pictures_were_decoded_whole():
    """The mean of pixels, taken in two steps; what differs is how the file's blocks were rounded."""
    config = FeatureConfig(image_height_px=128, image_width_px=512, area_interpolation=True)

    def stitched(least_rows):
        images = []
        for number, name in enumerate(FRONT_CAMERAS):
            rgb = reading(detailed(number), least_rows).picture()
            images.append(CameraImage(navsim_calibration(name).scaled(rgb.shape[1], rgb.shape[0]), rgb, 0))
        return stitch_cameras(images, config).astype(int)

    off = np.abs(stitched(256) - stitched(0))
    # Colours of JPEG are stored at half the resolution, so edges between saturated colours differ the most.
    assert off.mean() < 1.0 and np.percentile(off, 99) <= 8, (off.mean(), np.percentile(off, (50, 99)), off.max())


def test_a_reading_is_decoded_once_and_its_message_let_go(monkeypatch):
    calls = []
    monkeypatch.setattr(readings, "compressed_image_rgb", lambda *a: calls.append(a) or compressed_image_rgb(*a))
    taken = reading(detailed(0, 64, 32))
    ahead = threading.Thread(target=taken.prepare)
    ahead.start()
    first = taken.picture()
    ahead.join()
    assert taken.picture() is first and len(calls) == 1
    assert taken._message is None


def test_what_cannot_be_decoded_says_so_each_time_and_not_to_who_only_prepares():
    fields = [Box(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
    layout = {"fields": fields, "is_bigendian": False, "point_step": 12, "row_step": 0}
    empty = Reading(CLOUDS, Box(header=Box(frame_id="lidar"), height=1, width=0, data=b"", **layout))
    empty.prepare()
    for _ in range(2):
        with pytest.raises(MessageError, match="none that is finite among 0"):
            empty.points()
