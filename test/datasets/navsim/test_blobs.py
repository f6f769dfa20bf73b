"""Pictures and point clouds: round trips and broken files."""

import numpy as np
import pytest

from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.navsim.blobs import (
    MergedPointCloud,
    decode_pcd,
    encode_jpeg,
    encode_pcd,
    read_jpeg,
    read_pcd,
)


@pytest.fixture
def cloud():
    random = np.random.default_rng(0)
    return MergedPointCloud(
        random.normal(0, 30, (100, 3)).astype(np.float32),
        random.integers(0, 256, 100).astype(np.float32),
        random.integers(0, 64, 100).astype(np.uint8),
        random.integers(0, 5, 100).astype(np.uint8),
    )


def test_a_cloud_comes_back_and_is_written_again_identically(cloud):
    content = encode_pcd(cloud)
    back = decode_pcd(content, "a.pcd")
    for name in ("xyz", "intensity", "ring", "lidar_id"):
        np.testing.assert_array_equal(getattr(back, name), getattr(cloud, name))
    assert encode_pcd(back) == content


def test_the_header_names_the_six_fields_of_the_data_set(cloud):
    lines = encode_pcd(cloud).split(b"DATA binary\n")[0].decode().splitlines()
    assert lines[0].startswith("#")
    assert lines[2] == "FIELDS x y z intensity ring lidar_info"
    assert "POINTS 100" in lines


def test_other_field_types_and_orders_are_read(cloud):
    table = np.zeros(
        2, [("ring", "<u2"), ("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("lidar_info", "<u4")]
    )
    table["x"], table["ring"], table["intensity"], table["lidar_info"] = [1, 2], [3, 4], [5, 6], [7, 8]
    header = (
        b"# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS ring x y z intensity lidar_info\n"
        b"SIZE 2 4 4 4 4 4\nTYPE U F F F F U\nCOUNT 1 1 1 1 1 1\nWIDTH 2\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 2\n"
        b"DATA binary\n"
    )
    back = decode_pcd(header + table.tobytes() + b"\x00\x00", "a.pcd")
    assert back.xyz[:, 0].tolist() == [1, 2]
    assert back.ring.tolist() == [3, 4]
    assert back.intensity.tolist() == [5, 6]
    assert back.lidar_id.tolist() == [7, 8]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda c: c[:-10], "expected 100 points"),
        (lambda c: c.replace(b"DATA binary", b"DATA ascii "), "binary"),
        (lambda c: c.replace(b"intensity", b"intensitx"), "intensity"),
        (lambda c: c.replace(b"POINTS 100", b"POINTS xyz"), "malformed"),
        (lambda c: b"\x00" * 5000, "header"),
        (lambda c: b"", "header"),
    ],
)
def test_a_broken_cloud_is_named(tmp_path, cloud, damage, problem):
    path = tmp_path / "a.pcd"
    path.write_bytes(damage(encode_pcd(cloud)))
    with pytest.raises(DatasetError, match=problem) as error:
        read_pcd(path)
    assert str(path) in str(error.value)


def test_a_picture_keeps_its_colours(tmp_path):
    rgb = np.zeros((36, 64, 3), np.uint8)
    rgb[:, :32], rgb[:, 32:] = (200, 40, 10), (10, 40, 200)
    path = tmp_path / "a.jpg"
    path.write_bytes(encode_jpeg(rgb))
    assert np.abs(read_jpeg(path).astype(int) - rgb).mean() < 3


def test_a_picture_can_be_scaled_on_the_way(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(encode_jpeg(np.zeros((36, 64, 3), np.uint8), size=(128, 72)))
    assert read_jpeg(path).shape == (72, 128, 3)


def test_missing_and_broken_pictures_are_named(tmp_path):
    path = tmp_path / "a.jpg"
    with pytest.raises(FileNotFoundError, match=r"a\.jpg"):
        read_jpeg(path)
    path.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"a\.jpg.*JPEG"):
        read_jpeg(path)
    with pytest.raises(FileNotFoundError, match=r"a\.pcd"):
        read_pcd(tmp_path / "a.pcd")
