from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from pair_drive_core.datasets.pictures import PictureError, decode_picture
from pair_drive_core.driving.messages import MessageError, compressed_image_rgb, image_rgb

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)


def message(encoding, pixels, padding=0, data_type=bytes):
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    rows = np.zeros((height, width * channels + padding), dtype=np.uint8)
    rows[:, : width * channels] = pixels.reshape(height, -1)
    return SimpleNamespace(
        encoding=encoding,
        height=height,
        width=width,
        step=rows.shape[1],
        is_bigendian=0,
        data=data_type(rows.tobytes()),
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
        ({"encoding": "16UC1"}, r"expected one of rgb8, .*nv21, got '16UC1'"),
        ({"encoding": "yuyv"}, r"expected multiples of 2 x 1 for yuyv, got 5 x 6"),
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


EVEN = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
FLAT = np.full((8, 12, 3), (200, 100, 50), dtype=np.uint8)


def mosaic_of(rgb, pattern):
    """What a sensor with a colour filter sees of a picture; pattern: colours of the first two rows."""
    plane = np.zeros(rgb.shape[:2], rgb.dtype)
    for place, colour in enumerate(pattern):
        plane[place // 2 :: 2, place % 2 :: 2] = rgb[place // 2 :: 2, place % 2 :: 2, "rgb".index(colour)]
    return plane


def packed_yuv(rgb, order):
    """4:2:2 with the letters of `order` in memory, by BT.601 with video range, as OpenCV's own conversions have it."""
    y, u, v = (
        16 + rgb @ [0.257, 0.504, 0.098],
        128 + rgb @ [-0.148, -0.291, 0.439],
        128 + rgb @ [0.439, -0.368, -0.071],
    )
    planes = {"y": y[:, 0::2], "Y": y[:, 1::2], "u": u[:, 0::2], "v": v[:, 0::2]}
    return np.stack([planes[letter] for letter in order], axis=-1).round().astype(np.uint8).reshape(len(rgb), -1, 2)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_mosaics_are_demosaiced_by_their_own_pattern(pattern):
    raw = message(f"bayer_{pattern}8", mosaic_of(FLAT, pattern))
    np.testing.assert_array_equal(image_rgb(raw), FLAT)
    deep = mosaic_of(FLAT, pattern).astype("<u2") * 257
    raw16 = message(f"bayer_{pattern}16", deep.view(np.uint8).reshape(8, 12, 2))
    np.testing.assert_array_equal(image_rgb(with_width(raw16, 12)), FLAT)


def with_width(raw, width):
    raw.width = width
    return raw


@pytest.mark.parametrize(
    ("encoding", "order"), [("yuv422", "uyvY"), ("uyvy", "uyvY"), ("yuv422_yuy2", "yuYv"), ("yuyv", "yuYv")]
)
def test_both_orders_of_yuv422_are_read(encoding, order):
    raw = message(encoding, packed_yuv(FLAT.astype(float), order), padding=6)
    assert np.abs(image_rgb(raw).astype(int) - FLAT).max() <= 3


@pytest.mark.parametrize(("encoding", "order"), [("nv12", "uv"), ("nv21", "vu")])
def test_chroma_in_a_plane_below_the_picture_is_read(encoding, order):
    y, u, v = (packed_yuv(FLAT.astype(float), "yuYv").reshape(8, 6, 4)[..., i] for i in (0, 1, 3))
    luma = np.repeat(y, 2, axis=1)
    chroma = np.stack([{"u": u, "v": v}[letter][::2] for letter in order], axis=-1).reshape(4, 12)
    raw = message(encoding, np.vstack((luma, chroma)))
    raw.height = 8
    assert np.abs(image_rgb(raw).astype(int) - FLAT).max() <= 3
    raw.data = raw.data[: 8 * 12]
    with pytest.raises(MessageError, match=r"expected 144 bytes \(12 rows of 12\), got 96"):
        image_rgb(raw)


@pytest.mark.parametrize("order", ["<u2", ">u2"])
@pytest.mark.parametrize("encoding", ["rgb16", "bgr16", "mono16"])
def test_sixteen_bits_keep_their_white(encoding, order):
    eight = {"rgb16": EVEN, "bgr16": EVEN[..., ::-1], "mono16": EVEN[..., :1]}[encoding]
    deep = (eight.astype(np.uint16) * 257).astype(order)
    raw = message(encoding, deep.view(np.uint8).reshape(6, 8, -1), padding=4)
    raw.is_bigendian = int(order == ">u2")
    expected = np.repeat(EVEN[..., :1], 3, axis=2) if encoding == "mono16" else EVEN
    np.testing.assert_array_equal(image_rgb(raw), expected)


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("8UC1", EVEN[..., 0]),
        ("8UC3", EVEN[..., ::-1]),
        ("8UC4", np.dstack((EVEN[..., ::-1], EVEN[..., :1]))),
    ],
)
def test_encodings_without_colours_have_opencvs_order(encoding, pixels):
    expected = np.repeat(EVEN[..., :1], 3, axis=2) if encoding == "8UC1" else EVEN
    np.testing.assert_array_equal(image_rgb(message(encoding, pixels)), expected)


def test_a_step_of_zero_means_rows_without_padding():
    raw = message("rgb8", PICTURE)
    raw.step = 0
    np.testing.assert_array_equal(image_rgb(raw), PICTURE)


@pytest.mark.parametrize(
    ("form", "in_file"),
    [
        ("jpeg", "rgb"),
        ("png", "rgb"),
        ("rgb8; png compressed bgr8", "rgb"),
        ("bgr8; png compressed bgr8", "rgb"),
        ("png compressed bgr8", "rgb"),
        ("rgb8; png compressed rgb8", "bgr"),
        ("rgb8;png compressed rgb8", "bgr"),
        ("png compressed rgb8", "bgr"),
        ("rgba8; png compressed rgba8", "bgr"),
    ],
)
def test_the_format_says_in_which_order_colours_were_compressed(form, in_file):
    """An encoder that is handed red green blue where it expects blue green red writes a file with both swapped."""
    picture = EVEN if in_file == "rgb" else EVEN[..., ::-1]
    np.testing.assert_array_equal(
        compressed_image_rgb(SimpleNamespace(format=form, data=compressed("png", picture).data)), EVEN
    )


def test_a_mosaic_in_a_jpeg_is_demosaiced():
    grey = cv2.imencode(".jpg", mosaic_of(FLAT, "rggb"), [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    rgb = compressed_image_rgb(SimpleNamespace(format="bayer_rggb8; jpeg compressed ", data=grey))
    assert np.abs(rgb.astype(int) - FLAT).max() <= 12
    odd = cv2.imencode(".png", mosaic_of(FLAT, "rggb")[:7])[1].tobytes()
    with pytest.raises(MessageError, match="a mosaic of 12 x 7 pixels is cut"):
        compressed_image_rgb(SimpleNamespace(format="bayer_rggb8; png compressed ", data=odd))


def test_deep_pngs_keep_their_white_and_depth_pictures_are_refused():
    deep = cv2.imencode(".png", EVEN[..., 0].astype(np.uint16) * 257)[1].tobytes()
    rgb = compressed_image_rgb(SimpleNamespace(format="mono16; png compressed ", data=deep))
    np.testing.assert_array_equal(rgb, np.repeat(EVEN[..., :1], 3, axis=2))
    with pytest.raises(MessageError, match="expected a picture for the eye, got encoding '16UC1'"):
        compressed_image_rgb(SimpleNamespace(format="16UC1; png compressed ", data=deep))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_what_a_file_says_of_its_orientation_is_not_followed(orientation):
    smooth = cv2.resize(EVEN, (64, 48), interpolation=cv2.INTER_LINEAR)
    plain = compressed("jpg", smooth).data
    entry = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0, 0, 0]) + bytes(4)
    segment = b"\xff\xe1" + (len(entry) + 8).to_bytes(2, "big") + b"Exif\0\0" + entry
    turned = SimpleNamespace(format="jpeg", data=plain[:2] + segment + plain[2:])
    np.testing.assert_array_equal(
        compressed_image_rgb(turned), compressed_image_rgb(SimpleNamespace(format="jpeg", data=plain))
    )


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_a_picture_that_was_cut_off_is_refused(kind, kept):
    large = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = compressed(kind, large).data
    with pytest.raises(MessageError, match="damaged or cut off"):
        compressed_image_rgb(SimpleNamespace(format=kind, data=whole[: int(kept * len(whole))]))


def test_the_size_in_the_header_is_checked_before_memory_is_taken():
    png = bytearray(compressed("png").data)
    png[16:24] = (60000).to_bytes(4, "big") * 2
    with pytest.raises(MessageError, match=r"at most 16777216 pixels, its header states 60000 x 60000"):
        compressed_image_rgb(SimpleNamespace(format="png", data=bytes(png)))
    jpeg = compressed("jpg", EVEN).data
    start = jpeg.index(b"\xff\xc0")
    large = jpeg[: start + 5] + (65500).to_bytes(2, "big") * 2 + jpeg[start + 9 :]
    with pytest.raises(MessageError, match="its header states 65500 x 65500"):
        compressed_image_rgb(SimpleNamespace(format="jpeg", data=large))


@pytest.mark.parametrize("stated", [2**28, 2**31 - 1, 2**32 - 1])
def test_a_chunk_that_states_more_than_there_is_never_reaches_the_decoder(monkeypatch, stated):
    """The decoder takes the memory first: a picture of 787 bytes took 256 MiB."""
    png = bytearray(cv2.imencode(".png", EVEN)[1].tobytes())
    at = png.find(b"IDAT") - 4
    png[at : at + 4] = stated.to_bytes(4, "big")
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(MessageError, match="damaged or cut off"):
        compressed_image_rgb(SimpleNamespace(format="", data=bytes(png)))
    with pytest.raises(PictureError, match="damaged or cut off"):
        decode_picture(bytes(png))
