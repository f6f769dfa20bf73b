import time
from types import SimpleNamespace

import numpy as np
import pytest

from pair_drive_core.driving.messages import MessageError, cloud_points

F32, F64, U16 = 7, 8, 4
POINTS = np.array([[1, 2, 3, 0.5], [-4, 5, -6, 1.0], [7, -8, 9, 0.0]], dtype=np.float32)


def cloud(names, types=None, order="<", padding=0, row_padding=0, height=1, points=POINTS):
    """A cloud whose points carry the named fields, each filled from the column of its name."""
    types = types or [F32] * len(names)
    kinds = {F32: "f4", F64: "f8", U16: "u2"}
    offsets = np.cumsum([0, *(int(kinds[t][1]) for t in types)])
    step = int(offsets[-1]) + padding
    layout = np.dtype(
        {
            "names": names,
            "formats": [order + kinds[t] for t in types],
            "offsets": offsets[:-1].tolist(),
            "itemsize": step,
        }
    )
    packed = np.zeros(len(points), dtype=layout)
    for name in names:
        packed[name] = points[:, "xyzi".index(name[0])] if name[0] in "xyzi" else 99
    width = len(points) // height
    rows = [packed[i * width : (i + 1) * width].tobytes() + b"\xee" * row_padding for i in range(height)]
    return SimpleNamespace(
        height=height,
        width=width,
        fields=[
            SimpleNamespace(name=name, offset=int(offset), datatype=kind, count=1)
            for name, offset, kind in zip(names, offsets[:-1], types, strict=True)
        ],
        is_bigendian=order == ">",
        point_step=step,
        row_step=width * step + row_padding,
        data=b"".join(rows),
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "names", [["x", "y", "z", "intensity"], ["intensity", "z", "ring", "y", "x"], ["x", "y", "time", "z", "intensity"]]
)
def test_fields_may_come_in_any_order_and_endianness(names, order):
    np.testing.assert_array_equal(cloud_points(cloud(names, order=order, padding=3)), POINTS)


def test_organised_clouds_with_padded_rows_are_read_row_by_row():
    np.testing.assert_array_equal(cloud_points(cloud(["x", "y", "z", "intensity"], height=3, row_padding=5)), POINTS)


def test_a_cloud_of_one_point_a_row_takes_no_longer_than_any_other():
    points = np.random.default_rng(0).normal(size=(60_000, 4)).astype(np.float32)
    points[:, 3] = 0.5
    wide = cloud(["x", "y", "z", "intensity"], points=points)
    tall = SimpleNamespace(**{**vars(wide), "height": 60_000, "width": 1, "row_step": 16})
    start = time.perf_counter()
    expected = cloud_points(wide)
    between = time.perf_counter()
    np.testing.assert_array_equal(cloud_points(tall), expected)
    assert time.perf_counter() - between < 20 * (between - start) + 0.1, "row by row it took 100 times as long"


def test_without_intensity_it_is_zero():
    points = cloud_points(cloud(["x", "y", "z"]))
    np.testing.assert_array_equal(points[:, :3], POINTS[:, :3])
    assert not points[:, 3].any()


def test_integer_intensities_are_scaled_by_their_type():
    raw = POINTS.copy()
    raw[:, 3] = [0, 65535, 32767.5]
    points = cloud_points(cloud(["x", "y", "z", "intensity"], [F32, F32, F32, U16], points=raw))
    np.testing.assert_allclose(points[:, 3], [0.0, 1.0, 0.5], atol=1e-4)


def test_intensities_beyond_what_there_is_are_the_most_or_the_least():
    raw = POINTS.copy()
    raw[:, 3] = [-2.0, 1.5, 255.0]
    assert cloud_points(cloud(["x", "y", "z", "intensity"], points=raw))[:, 3].tolist() == [0.0, 1.0, 1.0]


def test_points_that_are_not_finite_are_filtered():
    raw = np.vstack((POINTS, [[np.nan, 0, 0, 0], [0, np.inf, 0, 0], [0, 0, -np.inf, 0]]))
    np.testing.assert_array_equal(cloud_points(cloud(["x", "y", "z", "intensity"], points=raw)), POINTS)


def test_a_point_without_intensity_keeps_its_place():
    raw = np.vstack((POINTS, [[1, 2, 3, np.nan], [4, 5, 6, np.inf]])).astype(np.float32)
    points = cloud_points(cloud(["x", "y", "z", "intensity"], points=raw))
    np.testing.assert_array_equal(points[:, :3], raw[:, :3])
    assert points[3:, 3].tolist() == [0.0, 1.0]


@pytest.mark.parametrize("order", ["<", ">"])
def test_coordinates_may_have_double_precision(order):
    points = cloud_points(cloud(["x", "y", "z", "intensity"], [F64, F64, F64, F32], order=order))
    assert points.dtype == np.float32
    np.testing.assert_array_equal(points, POINTS)


def test_double_coordinates_beyond_single_precision_are_filtered():
    broken = cloud(["x", "y", "z"], [F64] * 3, points=POINTS.astype(np.float64) * [[1e300], [1], [1]])
    np.testing.assert_array_equal(cloud_points(broken)[:, :3], POINTS[1:, :3])


@pytest.mark.parametrize("height", [1, 3])
def test_a_row_step_of_zero_means_rows_without_padding(height):
    raw = cloud(["x", "y", "z", "intensity"], height=height)
    raw.row_step = 0
    np.testing.assert_array_equal(cloud_points(raw), POINTS)


def test_an_empty_cloud_is_no_points():
    assert cloud_points(cloud(["x", "y", "z"], points=POINTS[:0])).shape == (0, 4)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (cloud(["x", "y", "intensity"]), r"field 'z': expected as float32 or float64, available fields: x, y, i"),
        (cloud(["x", "y", "z"], [U16, F32, F32]), r"field 'x': expected float32 \(7\) or .* \(8\), got 4 \(u2\)"),
    ],
)
def test_missing_or_mistyped_fields_are_refused_by_name(broken, words):
    with pytest.raises(MessageError, match=words):
        cloud_points(broken)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": b"\0" * 30}, r"expected 48 bytes \(1 rows\), got 30"),
        ({"row_step": 10}, r"row_step: expected at least 48 bytes for 3 points, got 10"),
        ({"point_step": 8}, r"field 'z': ends at byte 12 of a point of 8 bytes"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, words):
    broken = cloud(["x", "y", "z", "intensity"])
    vars(broken).update(change)
    with pytest.raises(MessageError, match=words):
        cloud_points(broken)
