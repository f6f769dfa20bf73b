"""Files that were made to do harm: they are refused by name, in little memory and time."""

import json
import sqlite3
import struct
import tracemalloc
import zlib
from contextlib import contextmanager
from dataclasses import replace

import cv2
import numpy as np
import pytest
import shapely

from pair_drive_core.datasets.cache.codec import decode_scene, encode_scene
from pair_drive_core.datasets.cache.scene_cache import PackedScene, read_shard, write_shard
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.maps.geopackage import Feature, GeoPackage, Layer, write_geopackage
from pair_drive_core.datasets.maps.nuplan_maps import NuplanMapLibrary
from pair_drive_core.datasets.maps.well_known_binary import check_wkb
from pair_drive_core.datasets.navsim.blobs import MergedPointCloud, decode_pcd, encode_jpeg, encode_pcd, read_jpeg
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders
from pair_drive_core.datasets.navsim.export import ExportLog, FolderBlobs, export_log
from pair_drive_core.datasets.navsim.log import NavsimLog
from pair_drive_core.datasets.navsim.log_file import write_log
from pair_drive_core.datasets.navsim.scene_filter import read_scene_filter, read_split
from pair_drive_core.datasets.navsim.scenes import build_scene
from pair_drive_core.datasets.pictures import PictureError, decode_picture, picture_size
from pair_drive_core.scene import SceneError


@contextmanager
def at_most(size_bytes):
    """Python's own memory stays under a limit; what is allocated in C++ is watched by the fuzz tests."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size_bytes
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def packed(town_log, town_index):
    return encode_scene(build_scene(town_log.frames[3:15], town_index))


# Packed scenes


def test_a_scene_that_inflates_without_end_is_refused():
    bomb = zlib.compress(bytes(2**28), level=9)
    with at_most(2**26), pytest.raises(SceneError, match=r"expected at most .* bytes in a packed scene of this size"):
        decode_scene(bomb)


def test_a_scene_whose_end_is_missing_is_refused(packed):
    with pytest.raises(SceneError, match="damaged bytes"):
        decode_scene(packed[:-5])


@pytest.mark.parametrize(
    "change",
    [
        lambda d: [],
        lambda d: None,
        lambda d: {**d, "scene": []},
        lambda d: {**d, "scene": None},
        lambda d: {**d, "scene": {**d["scene"], "token": 5}},
        lambda d: {**d, "scene": {**d["scene"], "time_us": "now"}},
        lambda d: {**d, "scene": {**d["scene"], "ego": 3}},
        lambda d: {**d, "scene": {**d["scene"], "ego": None}},
        lambda d: {**d, "scene": {**d["scene"], "objects": {**d["scene"]["objects"], "tokens": "abc"}}},
        lambda d: {**d, "scene": {**d["scene"], "objects": {**d["scene"]["objects"], "states": {"tensor": []}}}},
        lambda d: {**d, "scene": {**d["scene"], "objects": {**d["scene"]["objects"], "states": None}}},
    ],
)
def test_a_document_that_is_no_scene_is_refused(packed, change):
    content = zlib.decompress(packed)
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    document = change(json.loads(header["__metadata__"]["scene"]))
    header["__metadata__"]["scene"] = json.dumps(document)
    text = json.dumps(header).encode()
    with pytest.raises(SceneError):
        decode_scene(zlib.compress(struct.pack("<Q", len(text)) + text + content[8 + size :]))


# Scene cache


def test_an_index_may_not_name_another_file(tmp_path, packed):
    outside = tmp_path / "outside.scenes"
    write_shard(tmp_path / "cache", "log", "source", [PackedScene("a", "b", packed)], [])
    outside.write_bytes(packed)
    path = tmp_path / "cache" / "log.json"
    index = json.loads(path.read_text())
    for name in ("../outside", str(tmp_path / "outside"), 7):
        path.write_text(json.dumps({**index, "name": name}))
        with pytest.raises(DatasetError, match="expected the index of 'log'"):
            read_shard(tmp_path / "cache", "log")


@pytest.mark.parametrize("field", ["token", "offset", "length", "crc32"])
@pytest.mark.parametrize("value", [None, [], -1, 10**30, 0.5])
def test_records_of_a_wrong_kind_are_refused(tmp_path, field, value):
    write_shard(tmp_path, "log", "source", [PackedScene("a", "b", b"x")], [])
    path = tmp_path / "log.json"
    index = json.loads(path.read_text())
    index["records"][0][field] = value
    path.write_text(json.dumps(index))
    with pytest.raises(DatasetError, match=f"torn cache index .{field}"):
        read_shard(tmp_path, "log")


def test_an_index_nested_without_end_is_refused(tmp_path):
    (tmp_path / "log.json").write_text("[" * 100_000)
    with pytest.raises(DatasetError, match="torn cache index"):
        read_shard(tmp_path, "log")


# Pictures


def png(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + bytes(12)


def resized(jpeg, width, height):
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


CLOUD = MergedPointCloud(
    np.ones((5, 3), np.float32), np.ones(5, np.float32), np.zeros(5, np.uint8), np.zeros(5, np.uint8)
)
JPEG = encode_jpeg(np.zeros((8, 16, 3), np.uint8))


def test_the_size_is_read_from_the_header():
    assert picture_size(JPEG) == (16, 8)
    assert picture_size(cv2.imencode(".png", np.zeros((3, 5, 3), np.uint8))[1].tobytes()) == (5, 3)


@pytest.mark.parametrize(
    "content",
    [
        png(60_000, 60_000),
        png(0, 0),
        resized(JPEG, 65_000, 65_000),
        resized(JPEG, 8192, 4096),
        JPEG[:20],
        JPEG[: len(JPEG) // 2][:160],
        b"\xff\xd8\xff" + b"\xff" * 100,
        b"",
        b"BM" + bytes(200),
    ],
)
def test_pictures_that_are_too_large_or_none_are_refused(tmp_path, content):
    with at_most(2**20), pytest.raises(PictureError):
        decode_picture(content)
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"picture\.jpg: expected a JPEG picture"):
        read_jpeg(path)


# Point clouds


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("POINTS", "-1"),
        ("POINTS", "-9223372036854775808"),
        ("POINTS", "1000000000000"),
        ("POINTS", "9" * 5000),
        ("POINTS", "two"),
        ("POINTS", ""),
        ("WIDTH", "-2"),
        ("WIDTH", "1"),
        ("HEIGHT", "0"),
        ("HEIGHT", "-1"),
        ("SIZE", "4 4 4 1 1 -1"),
        ("SIZE", "4 4 4 1 1 1000000000"),
        ("SIZE", "4 4 4"),
        ("TYPE", "F F F O U U"),
        ("COUNT", "1 1 1 1 1 1000000"),
        ("FIELDS", "x y z intensity ring ring"),
        ("FIELDS", "x y z"),
    ],
)
def test_a_cloud_whose_header_lies_is_refused(key, value):
    lines = encode_pcd(CLOUD).split(b"\n", 11)
    lines = [f"{key} {value}".encode() if line.startswith(key.encode()) else line for line in lines]
    with at_most(2**22), pytest.raises(DatasetError, match=r"cloud\.pcd"):
        decode_pcd(b"\n".join(lines), "cloud.pcd")


def test_a_header_without_end_is_refused():
    with at_most(2**22), pytest.raises(DatasetError, match="PCD header"):
        decode_pcd(b"A 1 2 3\n" * 10**5, "cloud.pcd")


# Paths that lead elsewhere


@pytest.mark.parametrize("path", ["/etc/hostname", "../../secret", "log/../../x", "", "a\0b", "a\\b"])
def test_a_log_may_not_name_files_outside_of_its_folder(tmp_path, town_log, town_index, path):
    frame = town_log.frames[5]
    cameras = {name: replace(camera, data_path=path) for name, camera in frame.cameras.items()}
    hostile = replace(frame, cameras=cameras, lidar_path=path)
    folders = NavsimFolders.of(tmp_path, "test")
    log = NavsimLog(town_log.name, tuple(hostile if f is frame else f for f in town_log.frames))
    write_log(log, folders.logs / f"{log.name}.pkl")
    window = next(w for w in NavsimDataset(folders, map_index=lambda _: town_index) if w.now.token == frame.token)
    dataset = NavsimDataset(folders, map_index=lambda _: town_index)
    with pytest.raises(DatasetError, match="expected a path inside"):
        dataset.agent_input(window)
    with pytest.raises(DatasetError, match="expected a path inside"):
        FolderBlobs(hostile, folders.blobs).lidar_pcd()

    class Blobs:
        def camera_jpeg(self, name):
            return JPEG

        def lidar_pcd(self):
            return b""

    with pytest.raises(DatasetError, match="expected a path inside"):
        export_log(ExportLog(log, lambda _: Blobs()), NavsimFolders.of(tmp_path / "copy", "test"))


@pytest.mark.parametrize("registry", ['{"a": {"version": "../../x"}}', '{"../b": {"version": "1"}}', "[" * 10**5, "[]"])
def test_the_registry_of_maps_may_not_lead_elsewhere(tmp_path, registry):
    (tmp_path / "nuplan-maps-v1.0.json").write_text(registry)
    for location in ("a", "../b"):
        with pytest.raises(DatasetError):
            NuplanMapLibrary(tmp_path).path(location)


# YAML


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    "text",
    [
        LAUGHS + "tokens: *j\n",
        "a: &a {x: 1}\nb: {<<: [*a, *a]}\n",
        "tokens: " + "[" * 3000,
        "tokens: [[x]]\n",
        "tokens: [null]\n",
        "num_history_frames: [[[[4]]]]\n",
        "max_scenes: " + "9" * 5000 + "\n",
        "1: 2\n",
        "[]\n",
        "date: 2020-99-99\n",
        "!!python/object/apply:os.system ['true']\n",
        "\0\n",
    ],
)
def test_a_split_that_is_no_plain_text_is_refused(tmp_path, text):
    path = tmp_path / "filter.yaml"
    path.write_text(text)
    with at_most(2**24), pytest.raises(DatasetError, match=r"filter\.yaml"):
        read_scene_filter(path)


def test_a_split_may_not_name_a_filter_elsewhere(tmp_path):
    path = tmp_path / "split.yaml"
    path.write_text("data_split: test\ndefaults: [{scene_filter: ../../other}]\n")
    with pytest.raises(DatasetError, match="expected a plain name"):
        read_split(path)


# Maps


@pytest.fixture
def package(tmp_path):
    path = tmp_path / "map.gpkg"
    square = shapely.box(0, 0, 1, 1)
    write_geopackage(
        path, [Layer("lanes", "POLYGON", {"kind": "INTEGER"}, [Feature(1, square, {"kind": 3})])], "epsg:32619"
    )
    return path


COUNTER = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)"
SYSTEM = "UPDATE gpkg_spatial_ref_sys SET {} WHERE srs_id = 32619;"


@pytest.mark.parametrize(
    "script",
    [
        f"DROP TABLE lanes; CREATE VIEW lanes AS {COUNTER} SELECT n AS fid, NULL AS geom, 1 AS kind FROM c;",
        "DROP TABLE gpkg_contents; CREATE VIEW gpkg_contents AS "
        f"{COUNTER} SELECT 'x' AS table_name, n AS data_type FROM c;",
        "ALTER TABLE lanes ADD COLUMN big GENERATED ALWAYS AS (zeroblob(1000000000)) VIRTUAL;",
        "UPDATE lanes SET geom = 'text';",
        "UPDATE lanes SET geom = x'4750';",
        "UPDATE lanes SET geom = zeroblob(200);",
        "DROP TABLE gpkg_geometry_columns;",
        SYSTEM.format("organization = '+proj=utm +nadgrids=/etc/passwd'"),
        SYSTEM.format("organization_coordsys_id = 99999"),
    ],
)
def test_a_map_that_is_a_program_or_no_map_is_refused(package, script):
    with sqlite3.connect(package) as connection:
        connection.executescript(script)
    connection.close()
    with at_most(2**26), pytest.raises(DatasetError, match=r"map\.gpkg"):
        GeoPackage(package).read("lanes", ("kind",), "epsg:32618")


def test_defaults_repeated_in_every_row_are_refused(tmp_path):
    path = tmp_path / "map.gpkg"
    rows = [Feature(i, None, {}) for i in range(3000)]
    write_geopackage(path, [Layer("meta", None, {}, rows)], "epsg:32619")
    with sqlite3.connect(path) as connection:
        connection.execute(f"ALTER TABLE meta ADD COLUMN text TEXT DEFAULT '{'x' * 100_000}'")
    connection.close()
    with at_most(2**26), pytest.raises(DatasetError, match="more than a file of this size can"):
        GeoPackage(path).read("meta", ("text",))


def collections(depth):
    return b"".join(b"\x01" + struct.pack("<II", 7, 1) for _ in range(depth)) + shapely.to_wkb(shapely.Point(0, 0))


@pytest.mark.parametrize(
    "wkb",
    [
        collections(100_000),
        collections(1),
        b"\x01" + struct.pack("<II", 2, 2**31),
        b"\x01" + struct.pack("<III", 3, 1, 2**32 - 1),
        b"\x01" + struct.pack("<II", 3, 2**32 - 1),
        b"\x01" + struct.pack("<II", 6, 1) + shapely.to_wkb(shapely.Point(0, 0)),
        b"\x01",
        b"",
    ],
)
def test_geometry_that_lies_about_itself_is_refused(wkb):
    with at_most(2**20), pytest.raises((ValueError, struct.error)):
        check_wkb(wkb)


@pytest.mark.parametrize(
    "text",
    [
        "POINT (1 2)",
        "LINESTRING Z (0 0 1, 1 1 1)",
        "POLYGON ((0 0, 4 0, 4 4, 0 0), (1 1, 2 1, 2 2, 1 1))",
        "MULTIPOLYGON (((0 0, 4 0, 4 4, 0 0)), ((9 9, 10 9, 10 10, 9 9)))",
        "MULTIPOINT ((0 0), (1 1))",
        "MULTILINESTRING Z ((0 0 1, 1 1 1))",
        "LINESTRING EMPTY",
    ],
)
@pytest.mark.parametrize("flavor", ["iso", "extended"])
@pytest.mark.parametrize("order", [0, 1])
def test_geometry_of_maps_passes(text, flavor, order):
    check_wkb(shapely.to_wkb(shapely.from_wkt(text), byte_order=order, flavor=flavor))
