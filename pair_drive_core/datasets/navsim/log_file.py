"""Log files of NAVSIM: a pickled list of frame dictionaries, read and written."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.navsim.log import (
    NO_COMMAND,
    Annotations,
    CameraRecord,
    FloatArray,
    NavsimFrame,
    NavsimLog,
)
from pair_drive_core.datasets.navsim.restricted_unpickler import load_restricted
from pair_drive_core.datasets.quaternions import quaternion_to_matrix
from pair_drive_core.scene import DrivingCommand, SceneError

PICKLE_PROTOCOL = 4
"""The newest that every Python since 3.4 reads."""

FRAME_KEYS = (
    "token",
    "frame_idx",
    "timestamp",
    "log_name",
    "log_token",
    "scene_name",
    "scene_token",
    "map_location",
    "roadblock_ids",
    "vehicle_name",
    "can_bus",
    "lidar_path",
    "lidar2ego_translation",
    "lidar2ego_rotation",
    "ego2global_translation",
    "ego2global_rotation",
    "ego_dynamic_state",
    "traffic_lights",
    "driving_command",
    "cams",
    "sample_prev",
    "sample_next",
    "ego2global",
    "lidar2ego",
    "lidar2global",
    "anns",
)
"""Keys of a written frame, in the order of the data set's own files."""

_MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)


def read_log(path: Path) -> NavsimLog:
    """Read a log.

    Args:
        path: `navsim_logs/<split>/<log>.pkl`.

    Raises:
        FileNotFoundError: naming the file.
        UntrustedPickleError: if the pickle holds anything but numpy arrays and builtins.
        DatasetError: naming file, frame and field, if the log breaks the format.
    """
    content = load_restricted(path)
    if not isinstance(content, list) or not all(isinstance(frame, dict) for frame in content):
        raise DatasetError(path, f"expected a list of frame dictionaries, got {type(content).__name__}")
    frames = tuple(_read_frame(path, number, raw) for number, raw in enumerate(content))
    try:
        return NavsimLog(path.stem, frames).validate()
    except SceneError as error:
        raise DatasetError(path, str(error)) from error


def _read_frame(path: Path, number: int, raw: Mapping[str, Any]) -> NavsimFrame:
    try:
        return _frame_from_dict(raw)
    except KeyError as error:
        raise DatasetError(path, f"frame {number} has no key {error}; it has {sorted(map(str, raw))}") from error
    except _MALFORMED as error:
        raise DatasetError(path, f"frame {number} is malformed ({error})") from error


def write_log(log: NavsimLog, path: Path) -> None:
    """Write a log so that numpy of any version reads it.

    Raises:
        SceneError: if the log is not valid.
    """
    log.validate()
    write_bytes(path, dump_log(log))


def dump_log(log: NavsimLog) -> bytes:
    """The bytes of a log's file; equal logs give equal bytes."""
    texts: dict[str, str] = {}
    tokens = [frame.token for frame in log.frames]
    content = []
    for number, frame in enumerate(log.frames):
        before = tokens[number - 1] if number > 0 else None
        after = tokens[number + 1] if number + 1 < len(tokens) else None
        content.append(_canonical(_frame_to_dict(frame, before, after), texts))
    stream = io.BytesIO()
    _PortablePickler(stream, PICKLE_PROTOCOL).dump(content)
    return stream.getvalue()


def dump_portable(content: Any) -> bytes:  # noqa: ANN401  (a tree of builtins and arrays)
    """A pickle of builtins and arrays that every numpy reads; equal trees give equal bytes."""
    stream = io.BytesIO()
    _PortablePickler(stream, PICKLE_PROTOCOL).dump(_canonical(content, {}))
    return stream.getvalue()


class _PortablePickler(pickle.Pickler):
    """Writes arrays through numpy's public names only.

    numpy 2 would name `numpy._core`, which numpy before 1.26 (the official devkit pins 1.23) does not have.
    """

    def reducer_override(self, obj: Any) -> Any:  # noqa: ANN401  (the signature of pickle)
        """An array is an empty array with a state; its dtype is numpy's own object, not one that a file brought."""
        if isinstance(obj, np.ndarray):
            return np.ndarray, ((0,), "b"), (1, obj.shape, np.dtype(obj.dtype.str), False, obj.tobytes())
        return NotImplemented


def _canonical(value: Any, texts: dict[str, str]) -> Any:  # noqa: ANN401  (a tree of builtins)
    """A copy in which equal strings are one object and no other object occurs twice.

    Pickle refers back to objects by identity, so without this the bytes would depend on how the log was made.
    """
    if isinstance(value, dict):
        return {texts.setdefault(k, k): _canonical(v, texts) for k, v in value.items()}
    if isinstance(value, list):
        return [_canonical(v, texts) for v in value]
    if isinstance(value, tuple):
        return tuple(_canonical(v, texts) for v in value)
    if isinstance(value, str):
        return texts.setdefault(value, value)
    if isinstance(value, np.ndarray):
        return value.copy()
    return value


def _frame_to_dict(frame: NavsimFrame, token_before: str | None, token_after: str | None) -> dict[str, Any]:
    ego = _matrix(frame.ego_rotation, frame.ego_translation)
    lidar = _matrix(frame.lidar_rotation, frame.lidar_translation)
    values: dict[str, Any] = {
        "token": frame.token,
        "frame_idx": int(frame.frame_idx),
        "timestamp": int(frame.timestamp_us),
        "log_name": frame.log_name,
        "log_token": frame.log_token,
        "scene_name": frame.scene_name,
        "scene_token": frame.scene_token,
        "map_location": frame.map_location,
        "roadblock_ids": list(frame.roadblock_ids),
        "vehicle_name": frame.vehicle_name,
        "can_bus": _floats(frame.can_bus),
        "lidar_path": frame.lidar_path,
        "lidar2ego_translation": _floats(frame.lidar_translation),
        "lidar2ego_rotation": _floats(frame.lidar_rotation).tolist(),
        "ego2global_translation": _floats(frame.ego_translation),
        "ego2global_rotation": _floats(frame.ego_rotation),
        "ego_dynamic_state": [*_floats(frame.ego_velocity).tolist(), *_floats(frame.ego_acceleration).tolist()],
        "traffic_lights": [(int(connector), bool(red)) for connector, red in frame.traffic_lights],
        "driving_command": _one_hot(frame),
        "cams": {name: _camera_to_dict(camera) for name, camera in frame.cameras.items()},
        "sample_prev": token_before,
        "sample_next": token_after,
        "ego2global": ego,
        "lidar2ego": lidar,
        "lidar2global": ego @ lidar,
    }
    if frame.annotations is not None:
        values["anns"] = {
            "gt_boxes": _floats(frame.annotations.boxes),
            "gt_names": np.array(frame.annotations.names, dtype="<U16"),
            "gt_velocity_3d": _floats(frame.annotations.velocities),
            "instance_tokens": list(frame.annotations.instance_tokens),
            "track_tokens": list(frame.annotations.track_tokens),
        }
    return values


def _camera_to_dict(camera: CameraRecord) -> dict[str, Any]:
    return {
        "data_path": camera.data_path,
        "sensor2lidar_rotation": _floats(camera.lidar_r_camera),
        "sensor2lidar_translation": _floats(camera.lidar_t_camera),
        "cam_intrinsic": _floats(camera.intrinsics),
        "distortion": _floats(camera.distortion),
    }


def _frame_from_dict(raw: Mapping[str, Any]) -> NavsimFrame:
    motion = _floats(raw["ego_dynamic_state"])
    if motion.shape != (4,):
        raise ValueError(f"ego_dynamic_state: expected vx, vy, ax, ay, got shape {motion.shape}")
    lidar_path = raw.get("lidar_path")
    command = _command(raw["driving_command"])
    return NavsimFrame(
        token=plain_text(raw["token"]),
        timestamp_us=int(raw["timestamp"]),
        log_name=plain_text(raw["log_name"]),
        scene_token=plain_text(raw["scene_token"]),
        map_location=plain_text(raw["map_location"]),
        roadblock_ids=tuple(plain_text(fid) for fid in raw["roadblock_ids"]),
        ego_translation=_floats(raw["ego2global_translation"]),
        ego_rotation=_floats(raw["ego2global_rotation"]),
        ego_velocity=motion[:2].copy(),
        ego_acceleration=motion[2:].copy(),
        traffic_lights=tuple((int(connector), bool(red)) for connector, red in raw["traffic_lights"]),
        driving_command=DrivingCommand.UNKNOWN if command is None else command,
        cameras={plain_text(name): _camera_from_dict(camera) for name, camera in raw["cams"].items()},
        lidar_path=None if lidar_path is None else plain_text(lidar_path),
        annotations=_annotations_from_dict(raw["anns"]) if "anns" in raw else None,
        frame_idx=int(raw.get("frame_idx", 0)),
        log_token=plain_text(raw.get("log_token", "")),
        scene_name=plain_text(raw.get("scene_name", "")),
        vehicle_name=plain_text(raw.get("vehicle_name", "")),
        can_bus=_floats(raw.get("can_bus", np.zeros(18))),
        lidar_translation=_floats(raw.get("lidar2ego_translation", np.zeros(3))),
        lidar_rotation=_floats(raw.get("lidar2ego_rotation", [1.0, 0.0, 0.0, 0.0])),
        oddities=(NO_COMMAND,) if command is None else (),
    )


def _camera_from_dict(raw: Mapping[str, Any]) -> CameraRecord:
    return CameraRecord(
        plain_text(raw["data_path"]),
        _floats(raw["sensor2lidar_rotation"]),
        _floats(raw["sensor2lidar_translation"]),
        _floats(raw["cam_intrinsic"]),
        _floats(raw["distortion"]),
    )


def _annotations_from_dict(raw: Mapping[str, Any]) -> Annotations:
    return Annotations(
        _floats(raw["gt_boxes"]).reshape(-1, 7),
        tuple(plain_text(name) for name in raw["gt_names"]),
        _floats(raw["gt_velocity_3d"]).reshape(-1, 3),
        tuple(plain_text(token) for token in raw["instance_tokens"]),
        tuple(plain_text(token) for token in raw["track_tokens"]),
    )


def _one_hot(frame: NavsimFrame) -> npt.NDArray[np.int64]:
    row = np.zeros(len(DrivingCommand), dtype=np.int64)
    row[int(frame.driving_command)] = int(NO_COMMAND not in frame.oddities)
    return row


def _command(one_hot: Sequence[int]) -> DrivingCommand | None:
    """The command; None for zeros, which the official loader hands to the agent as they are."""
    values = _floats(one_hot)
    if values.shape == (len(DrivingCommand),) and not values.any():
        return None
    if values.shape != (len(DrivingCommand),) or int((values != 0).sum()) != 1:
        got = values.tolist() if values.size <= len(DrivingCommand) else f"shape {values.shape}"
        raise ValueError(f"driving_command: expected a one-hot vector of {len(DrivingCommand)}, got {got}")
    return DrivingCommand(int(values.argmax()))


def plain_text(value: object) -> str:
    """Text or a number of a file as text. Containers are refused: as text they may have no end.

    Raises:
        TypeError: naming what came.
    """
    if value is not None and not isinstance(value, (str, int, float, np.generic)):
        raise TypeError(f"expected text, got {type(value).__name__}")
    return str(value)


def _floats(values: Any) -> FloatArray:  # noqa: ANN401  (lists and arrays of files)
    return np.array(values, dtype=np.float64)


def _matrix(rotation: FloatArray, translation: FloatArray) -> FloatArray:
    matrix = np.eye(4)
    matrix[:3, :3] = quaternion_to_matrix(rotation)
    matrix[:3, 3] = translation
    return matrix
