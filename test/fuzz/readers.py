"""Every reader of strangers' bytes: valid files to start from, what may be done to them, what may come out."""

import contextlib
import importlib.util
import json
import lzma
import pickle
import sqlite3
import struct
import sys
import tempfile
import types
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import mutations
import numpy as np
import shapely
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from pair_drive_core.datasets.cache.codec import decode_scene, encode_scene
from pair_drive_core.datasets.cache.scene_cache import PackedScene, Shard, read_shard, write_shard
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.maps.geopackage import Feature, GeoPackage, Layer, write_geopackage
from pair_drive_core.datasets.navsim.blobs import MergedPointCloud, decode_pcd, encode_jpeg, encode_pcd, read_jpeg
from pair_drive_core.datasets.navsim.log import Annotations, CameraRecord, NavsimFrame, NavsimLog
from pair_drive_core.datasets.navsim.log_file import dump_log, read_log
from pair_drive_core.datasets.navsim.metric_caches import FILE_NAME, CachedScene, read_metric_cache
from pair_drive_core.datasets.navsim.scene_filter import SceneFilter, Split, read_split, write_split
from pair_drive_core.datasets.navsim.synthetic_scenes import SyntheticScene, read_synthetic_scene
from pair_drive_core.driving.messages import MessageError, bag_messages, cloud_points, compressed_image_rgb, image_rgb
from pair_drive_core.driving.messages.stamps import to_header
from pair_drive_core.driving.planner_settings import PlannerSettings, read_parameter_file
from pair_drive_core.evaluation.bag_reader import BagError, open_bag
from pair_drive_core.models import Checkpoint, CheckpointError, ConfigurationError, load_checkpoint, save_checkpoint
from pair_drive_core.models.pair_model import PairModel
from pair_drive_core.models.presets import tiny_config
from pair_drive_core.scene import DrivingCommand, Scene, SceneError
from pair_drive_core.scoring import Metric

ROOT = Path(__file__).resolve().parents[2]
LOG = "fuzz-log"


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        name: of the kind of file.
        seeds: valid files.
        read: bytes and a folder to a value.
        errors: what it may raise.
        value: type of what it may give.
        changes: what is done to a file: (content, random, seeds) to content.
        bare: whether any bytes may be read, else only those that the changes give.
    """

    name: str
    seeds: tuple[bytes, ...]
    read: Callable[[bytes, Path], Any]
    errors: tuple[type[Exception], ...]
    value: type
    changes: tuple[Callable[..., bytes], ...]
    bare: bool = True


def all_readers(folder):
    """The readers, by name."""
    made = (
        _logs(),
        _second_stage(),
        _metric_caches(),
        _clouds_of_files(),
        _maps(folder),
        _scenes(),
        _cache_index(folder),
        _checkpoints(folder),
        _jpegs(),
        _cloud_messages(),
        _image_messages(),
        _compressed_messages(),
        _parameters(),
        _splits(folder),
        _recordings(folder, StoragePlugin.MCAP),
        _recordings(folder, StoragePlugin.SQLITE3),
    )
    return {reader.name: reader for reader in made}


def _through_a_file(name, read):
    """Reads bytes by way of a file."""

    def read_bytes(content, folder):
        path = folder / name
        path.write_bytes(content)
        return read(path)

    return read_bytes


def _log():
    rng = np.random.default_rng(0)
    frames = []
    for k in range(4):
        boxes = np.column_stack((rng.uniform(-30, 30, (3, 3)), rng.uniform(1, 5, (3, 3)), rng.uniform(-3, 3, 3)))
        tokens = ("a", "b", "c")
        camera = CameraRecord(f"{LOG}/CAM_F0/{k}.jpg", np.eye(3), np.ones(3), np.eye(3), np.zeros(5))
        frames.append(
            NavsimFrame(
                token=f"{k:016d}",
                timestamp_us=10**15 + 500_000 * k,
                log_name=LOG,
                scene_token="s",
                map_location="us-ma-boston",
                roadblock_ids=("1", "2"),
                ego_translation=np.array([1.0 * k, 0.0, 0.0]),
                ego_rotation=np.array([1.0, 0.0, 0.0, 0.0]),
                ego_velocity=np.ones(2),
                ego_acceleration=np.zeros(2),
                traffic_lights=((17, True), (18, False)),
                driving_command=DrivingCommand.STRAIGHT,
                cameras={"CAM_F0": camera},
                lidar_path=f"{LOG}/MergedPointCloud/{k}.pcd",
                annotations=Annotations(boxes, ("vehicle",) * 3, np.zeros((3, 3)), tokens, tokens),
            )
        )
    return NavsimLog(LOG, tuple(frames))


def _logs():
    written = dump_log(_log())
    raw = pickle.loads(written)  # noqa: S301 - written just now
    seeds = (written, *(pickle.dumps(raw, protocol) for protocol in (1, 2, 4, 5)))
    read = _through_a_file(f"{LOG}.pkl", read_log)
    return Reader("log", seeds, read, (DatasetError,), NavsimLog, (mutations.changed_opcodes, mutations.damaged))


def _thing(module, name, **attributes):
    kind = type(name, (), {"__module__": module})
    for part in range(1, module.count(".") + 2):
        path = ".".join(module.split(".")[:part])
        sys.modules.setdefault(path, types.ModuleType(path))
    known = sys.modules[module]
    kind = vars(known).setdefault(name, kind)
    thing = kind()
    thing.__dict__.update(attributes)
    return thing


def _number(module, name, value):
    _thing(module, f"{name}_")
    known = sys.modules[module]
    kind = vars(known).setdefault(name, Enum(name, {f"V{i}": i for i in range(8)}, module=module))
    return kind(value)


def _second_stage():
    actors, maps = "nuplan.common.actor_state", "nuplan.common.maps.maps_datatypes"
    state = f"{actors}.state_representation"
    box = _thing(
        f"{actors}.oriented_box",
        "OrientedBox",
        _center=_thing(state, "StateSE2", x=np.float64(1.0), y=2.0, heading=0.1),
        _length=4.0,
        _width=2.0,
        _height=1.5,
    )
    agent = _thing(
        f"{actors}.agent",
        "Agent",
        _metadata=_thing(f"{actors}.scene_object", "SceneObjectMetadata", track_token="t"),
        _tracked_object_type=_number(f"{actors}.tracked_objects_types", "TrackedObjectType", 0),
        _box=box,
        _velocity=_thing(state, "StateVector2D", _x=1.0, _y=0.0, _array=np.ones(2)),
    )
    light = _thing(
        maps, "TrafficLightStatusData", status=_number(maps, "TrafficLightStatusType", 2), lane_connector_id=3
    )
    frame = {
        "token": "f",
        "timestamp": 10**15,
        "roadblock_ids": ["1"],
        "traffic_lights": [(3, True)],
        "annotations": {
            "boxes": np.ones((1, 7)),
            "names": np.array(["vehicle"]),
            "velocity_3d": np.zeros((1, 3)),
            "instance_tokens": ["i"],
            "track_tokens": ["t"],
        },
        "ego_status": {
            "ego_pose": np.array([1.0, 2.0, 0.1]),
            "ego_velocity": np.ones(2, np.float32),
            "ego_acceleration": np.zeros(2, np.float32),
            "driving_command": np.array([0, 1, 0, 0]),
            "in_global_frame": True,
        },
        "lidar_path": None,
        "camera_dict": {"cam_f0": {}},
    }
    tracks = _thing(
        "nuplan.planning.simulation.observation.observation_type",
        "DetectionsTracks",
        tracked_objects=_thing(f"{actors}.tracked_objects", "TrackedObjects", tracked_objects=[agent]),
    )
    content = {
        "scene_metadata": {
            "log_name": LOG,
            "scene_token": "s",
            "map_name": "us-ma-boston",
            "initial_token": "f",
            "num_history_frames": 4,
            "corresponding_original_scene": "o",
        },
        "frames": [frame] * 2,
        "extended_traffic_light_data": [_thing(maps, "TrafficLightStatuses", traffic_lights=[light])] * 2,
        "extended_detections_tracks": [tracks] * 2,
    }
    seeds = tuple(pickle.dumps(content, protocol) for protocol in (2, 4, 5))
    read = _through_a_file("scene.pkl", read_synthetic_scene)
    changes = (mutations.changed_opcodes, mutations.damaged)
    return Reader("second-stage scene", seeds, read, (DatasetError,), SyntheticScene, changes)


def _metric_caches():
    """The pickle within the lzma file is changed; what unpacks to too much is a test of its own."""
    frozen = next(iter(sorted((ROOT / "test" / "golden" / "devkit" / "metric_cache_v1").rglob(FILE_NAME))))

    def read(content, folder):
        path = folder / frozen.parent.name / FILE_NAME
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(lzma.compress(content, preset=0))
        return read_metric_cache(path, Metric.V1)

    changes = (mutations.changed_opcodes, mutations.damaged)
    return Reader("metric cache", (lzma.decompress(frozen.read_bytes()),), read, (DatasetError,), CachedScene, changes)


def _clouds_of_files():
    rng = np.random.default_rng(0)
    bytes_of = [rng.integers(0, 5, 20).astype(np.uint8) for _ in range(3)]
    cloud = MergedPointCloud(rng.normal(0, 30, (20, 3)).astype(np.float32), bytes_of[0] * 1.0, *bytes_of[1:])
    changes = (_changed_head, mutations.damaged)
    return Reader(
        "pcd", (encode_pcd(cloud),), lambda c, _: decode_pcd(c, "a.pcd"), (DatasetError,), MergedPointCloud, changes
    )


def _changed_head(content, rng, others):
    head, mark, body = content.partition(b"DATA binary\n")
    return mutations.changed_text(head, rng, others) + mark + body


_SQL = (
    "DROP TABLE lanes",
    "ALTER TABLE lanes ADD COLUMN kind2 TEXT DEFAULT 'x'",
    "DELETE FROM gpkg_spatial_ref_sys",
    "DELETE FROM gpkg_geometry_columns",
    "UPDATE lanes SET geom = randomblob(100)",
    "UPDATE lanes SET geom = NULL",
    "UPDATE lanes SET geom = substr(geom, 1, 60)",
    "UPDATE lanes SET geom = x'47500001e6100000' || randomblob(60)",
    "UPDATE lanes SET kind = 'text'",
    "UPDATE gpkg_geometry_columns SET column_name = 'nothing'",
    "UPDATE gpkg_geometry_columns SET srs_id = 4326",
    "UPDATE gpkg_spatial_ref_sys SET organization = 'none'",
    "DROP TABLE lanes; CREATE VIEW lanes AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) "
    "SELECT n AS fid, NULL AS geom, n AS kind FROM c",
    "CREATE VIRTUAL TABLE words USING fts5(a); UPDATE gpkg_contents SET table_name = 'words'",
    "ALTER TABLE lanes ADD COLUMN big GENERATED ALWAYS AS (zeroblob(1000000000)) VIRTUAL",
)


def _maps(folder):
    path = folder / "map.gpkg"
    lanes = [Feature(i, shapely.box(i, 0, i + 1, 1), {"kind": i}) for i in range(3)]
    lines = [Feature(9, shapely.LineString([(0, 0), (1, 1), (2, 0)]), {})]
    layers = [Layer("lanes", "POLYGON", {"kind": "INTEGER"}, lanes), Layer("lines", "LINESTRING", {}, lines)]
    write_geopackage(path, layers, "epsg:32619")

    def read(path):
        package = GeoPackage(path)
        return package.read("lanes", ("kind",), "epsg:32618") + package.read("lines", (), "epsg:32619")

    def rewritten(content, rng, others):
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(content)
            file.flush()
            connection = sqlite3.connect(file.name)
            try:
                for script in rng.sample(_SQL, rng.choice((1, 1, 2))):
                    connection.executescript(script)
                connection.commit()
            except sqlite3.Error:
                pass  # two changes that do not go together
            finally:
                connection.close()
            return Path(file.name).read_bytes()

    changes = (rewritten, mutations.damaged, mutations.damaged)
    return Reader("map", (path.read_bytes(),), _through_a_file("map.gpkg", read), (DatasetError,), list, changes)


def _made_scenes():
    spec = importlib.util.spec_from_file_location("made", ROOT / "test" / "scoring" / "conftest.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return [made.random_scene(seed, polygons=5, agents=3) for seed in range(2)]


def _scenes():
    def inside(content, rng, others):
        data = zlib.decompress(content)
        changed = (
            mutations.changed_tensors(data, rng, ["scene"])
            if rng.random() < 0.7
            else mutations.damaged(data, rng, [data])
        )
        return zlib.compress(changed + bytes(rng.choice((0, 0, 0, 10**7))), 1)

    seeds = tuple(encode_scene(scene) for scene in _made_scenes())
    changes = (inside, inside, mutations.damaged)
    return Reader("packed scene", seeds, lambda c, _: decode_scene(c), (SceneError,), Scene, changes)


def _changed_document(content, rng, others):
    return json.dumps(mutations.changed_json(json.loads(content), rng)).encode()


def _cache_index(folder):
    write_shard(folder, LOG, "source", [PackedScene("a", "b", b"xyz"), PackedScene("c", "d", b"uvw")], [])
    seeds = ((folder / f"{LOG}.json").read_bytes(),)
    read = _through_a_file(f"{LOG}.json", lambda path: read_shard(path.parent, LOG))
    return Reader("cache index", seeds, read, (DatasetError,), Shard, (_changed_document, mutations.damaged))


def _checkpoints(folder):
    path = folder / "model.safetensors"
    save_checkpoint(path, PairModel(tiny_config()), {"seed": 1})
    changes = (partial(_changed_checkpoint), mutations.damaged)
    read = _through_a_file("model.safetensors", load_checkpoint)
    return Reader("checkpoint", (path.read_bytes(),), read, (CheckpointError,), Checkpoint, changes)


def _changed_checkpoint(content, rng, others):
    return mutations.changed_tensors(content, rng, ["config", "config", "config", "training"])


def _picture(height=24, width=32):
    return (np.indices((height, width)).sum(0)[..., None] * [3, 5, 7] % 256).astype(np.uint8)


def _changed_size(content, rng, others):
    data = bytearray(content)
    at = data.find(b"\xff\xc0") + 5 if data.startswith(b"\xff\xd8") else 16
    form = ">HH" if data.startswith(b"\xff\xd8") else ">II"
    sizes = [rng.choice((0, 1, 8, 4096, 4097, 40_000, 65_535)) for _ in range(2)]
    data[at : at + struct.calcsize(form)] = struct.pack(form, *sizes)
    return bytes(data) if rng.random() < 0.7 else mutations.damaged(bytes(data), rng, others)


def _jpegs():
    seeds = (encode_jpeg(_picture()), encode_jpeg(_picture(), 20))
    changes = (_changed_size, mutations.damaged, mutations.damaged)
    return Reader("jpeg", seeds, _through_a_file("a.jpg", read_jpeg), (DatasetError,), np.ndarray, changes)


def _message_bytes(fields, data):
    """A message as bytes: its fields as JSON, a line feed, its data."""
    return json.dumps(fields).encode() + b"\n" + data


def _message_of(content):
    head, _, data = content.partition(b"\n")
    return json.loads(head), data


_SIZES = (0, 1, 2, 3, 7, 16, 32, 255, 4096, 65_536, 2**24, 2**31 - 1, 2**32 - 1)


_WORDS = ("", "x", "y", "intensity", "rgb8", "bgr8", "mono8", "mono16", "nv12", "bayer_rggb8")


def _changed_fields(content, rng, others):
    """The numbers that a message type allows (unsigned, 8 or 32 bits) and texts; or other data."""
    fields, data = _message_of(content)
    for _ in range(rng.choice((1, 1, 2, 3))):
        place = fields
        if "fields" in fields and fields["fields"] and rng.random() < 0.5:
            place = rng.choice(fields["fields"])
            if rng.random() < 0.1:
                fields["fields"].append(dict(place))
        key = rng.choice([key for key in place if key != "fields"])
        value = place[key]
        if isinstance(value, bool):
            place[key] = not value
        elif isinstance(value, str):
            place[key] = rng.choice(_WORDS)
        elif key == "datatype":
            place[key] = rng.randrange(256)
        else:
            place[key] = rng.choice(_SIZES) if rng.random() < 0.7 else max(value + rng.choice((-1, 1)), 0)
    if rng.random() < 0.3:
        data = mutations.damaged(data, rng, [data])
    return _message_bytes(fields, data)


def _as_message(fields, data):
    points = [SimpleNamespace(**field) for field in fields.get("fields", ())]
    return SimpleNamespace(**{**fields, **({"fields": points} if "fields" in fields else {})}, data=data)


def _message_reader(name, seeds, read, changes):
    return Reader(
        name,
        seeds,
        lambda content, _: read(_as_message(*_message_of(content))),
        (MessageError,),
        np.ndarray,
        changes,
        bare=False,
    )


def _cloud_messages():
    points = np.random.default_rng(0).normal(0, 9, (12, 4)).astype("<f4")
    names = ("x", "y", "z", "intensity")
    fields = [{"name": name, "offset": 4 * i, "datatype": 7, "count": 1} for i, name in enumerate(names)]
    layout = {"height": 3, "width": 4, "point_step": 16, "row_step": 64, "is_bigendian": False, "is_dense": True}
    seeds = (
        _message_bytes({**layout, "fields": fields}, points.tobytes()),
        _message_bytes({**layout, "height": 12, "width": 1, "row_step": 16, "fields": fields[:3]}, points.tobytes()),
    )
    return _message_reader("cloud message", seeds, cloud_points, (_changed_fields,))


def _image_messages():
    picture = _picture(8, 12)
    rgb = {"height": 8, "width": 12, "encoding": "rgb8", "step": 36, "is_bigendian": 0}
    grey = {"height": 8, "width": 12, "encoding": "mono8", "step": 12, "is_bigendian": 0}
    seeds = (_message_bytes(rgb, picture.tobytes()), _message_bytes(grey, picture[..., 0].tobytes()))
    return _message_reader("image message", seeds, image_rgb, (_changed_fields,))


def _compressed_messages():
    encoded = [cv2.imencode(kind, _picture())[1].tobytes() for kind in (".jpg", ".png")]
    seeds = tuple(_message_bytes({"format": "rgb8; jpeg compressed bgr8"}, data) for data in encoded)

    def data_changed(content, rng, others):
        fields, data = _message_of(content)
        change = rng.choice((_changed_size, mutations.damaged))
        return _message_bytes(fields, change(data, rng, [_message_of(other)[1] for other in others]))

    return _message_reader("compressed image message", seeds, compressed_image_rgb, (data_changed, _changed_fields))


def _parameters():
    seeds = tuple((ROOT / "config" / name).read_bytes() for name in ("planner.yaml",))
    read = _through_a_file("parameters.yaml", read_parameter_file)
    changes = (mutations.changed_text, mutations.damaged)
    return Reader("parameter file", seeds, read, (ConfigurationError,), PlannerSettings, changes)


def _splits(folder):
    scenes = SceneFilter(tokens=("a" * 16, "b" * 16), log_names=(LOG,), frame_interval=1)
    write_split(Split("split", "test", scenes), folder / "splits")
    parts = [(folder / "splits" / name).read_bytes() for name in ("split.yaml", "scene_filter/split.yaml")]

    def read(content, folder):
        one, _, two = content.partition(b"\0")
        (folder / "scene_filter").mkdir(exist_ok=True)
        (folder / "split.yaml").write_bytes(one)
        (folder / "scene_filter" / "split.yaml").write_bytes(two)
        return read_split(folder / "split.yaml")

    changes = (mutations.changed_text, mutations.damaged)
    errors = (DatasetError, FileNotFoundError)  # it may name another file, which is not there
    return Reader("split file", (b"\0".join(parts),), read, errors, Split, changes)


def _recording(folder, storage, compression=None):
    """A recording of a few messages, as the bytes of its one file."""
    path = folder / f"{storage.name}{compression}".replace(".", "_").lower()
    store = get_typestore(Stores.ROS2_JAZZY)
    make = bag_messages(store)
    writer = Writer(path, version=9, storage_plugin=storage)
    if compression is not None:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        kind = "std_msgs/msg/Header"
        for name in ("/one", "/two"):
            topic = writer.add_connection(name, kind, typestore=store)
            for step in range(6):
                message = to_header(make, 100_000 * step, name)
                writer.write(topic, 10**8 * step, store.serialize_cdr(message, kind))
    (file,) = [file for file in path.iterdir() if file.name != "metadata.yaml"]
    return file.read_bytes()


def _recordings(folder, storage):
    kinds = (None, CompressionMode.MESSAGE, *([CompressionMode.STORAGE] if storage is StoragePlugin.MCAP else []))
    seeds = tuple(_recording(folder, storage, kind) for kind in kinds)

    def read(path):
        with open_bag(path) as bag:
            whole = 0
            for stored in bag.stored(set(bag.topics)):
                with contextlib.suppress(MessageError):
                    bag.decode(stored)
                    whole += 1
            return whole

    suffix = {StoragePlugin.MCAP: "mcap", StoragePlugin.SQLITE3: "db3"}[storage]
    name = f"recording {suffix}"
    return Reader(name, seeds, _through_a_file(f"bag.{suffix}", read), (BagError,), int, (mutations.damaged,))
