from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from pair_drive_core.driving.messages import MessageError, compressed_image_rgb, image_rgb

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)


def message(encoding, pixels, padding=0, data_type=bytes):
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    rows = np.zeros((height, width * channels + padding), dtype=np.uint8)
    rows[:, : width * channels] = pixels.reshape(height, -1)
    return SimpleNamespace(
        encoding=encoding, height=height, width=width, step=rows.shape[1], data=data_type(rows.tobytes())
    )


ENCODED = {
    "rgb8": PICTURE,
    "bgr8": PICTURE[..., ::-1],
    "rgba8": np.dstack((PICTURE, np.full((6, 5), 9, np.uint8))),
    "bgra8": np.dstack((PICTURE[..., ::-1], np.full((6, 5), 9, np.uint8))),
}


@pytest.mark.parametrize("padding", [0, 7])
@pytest.mark.parametrize("encoding", ENCODED)
def test_every_colour_encoding_gives_the_same_picture_padded_or_not(encoding, padding):
    rgb = image_rgb(message(encoding, ENCODED[encoding], padding))
    np.testing.assert_array_equal(rgb, PICTURE)
    assert rgb.flags.c_contiguous


def test_grey_pictures_become_rgb():
    rgb = image_rgb(message("mono8", PICTURE[..., 0], 3))
    np.testing.assert_array_equal(rgb, np.repeat(PICTURE[..., :1], 3, axis=2))


def test_data_may_be_an_array_as_rosbags_gives_it():
    raw = message("rgb8", PICTURE, data_type=lambda b: np.frombuffer(b, dtype=np.uint8))
    np.testing.assert_array_equal(image_rgb(raw), PICTURE)


def test_the_padding_of_the_last_row_may_be_left_out():
    raw = message("rgb8", PICTURE, 4)
    raw.data = raw.data[:-4]
    np.testing.assert_array_equal(image_rgb(raw), PICTURE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoding": "bayer_rggb8"}, r"expected one of rgb8, .*mono8, got 'bayer_rggb8'"),
        ({"step": 14}, r"expected at least 15 bytes \(5 pixels of rgb8\), got 14"),
        ({"data": b"\0" * 40}, r"expected 90 bytes \(6 rows of 15\), got 40"),
        ({"height": 0}, r"expected at least 1 x 1, got 5 x 0"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(change, words):
    raw = message("rgb8", PICTURE)
    vars(raw).update(change)
    with pytest.raises(MessageError, match=words):
        image_rgb(raw)


def compressed(kind, picture=PICTURE, data=None):
    encoded = cv2.imencode(f".{kind}", picture[..., ::-1])[1].tobytes()
    return SimpleNamespace(format=kind, data=encoded if data is None else data)


def test_png_comes_back_exactly_and_jpeg_nearly():
    np.testing.assert_array_equal(compressed_image_rgb(compressed("png")), PICTURE)
    smooth = np.full((16, 16, 3), (200, 100, 50), dtype=np.uint8)
    assert np.abs(compressed_image_rgb(compressed("jpeg", smooth)).astype(int) - smooth).max() <= 3


@pytest.mark.parametrize("data", [b"", b"GIF89a....", b"\xff\xd8\xff\xe0 torn"])
def test_other_or_damaged_files_are_refused(data):
    with pytest.raises(MessageError, match="compressed image"):
        compressed_image_rgb(compressed("jpeg", data=data))
