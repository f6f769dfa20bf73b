"""Writes second-stage scenes of a data set's own logs: the ego set aside, everything else as it was recorded.

NAVSIM's are made by rendering the world from other poses; these show the mechanism without the data, in the same files:
the devkit caches and scores them, and so does `pair-drive score`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.datasets.navsim.dataset import NavsimFolders
from pair_drive_core.datasets.navsim.log import NavsimFrame, NavsimLog
from pair_drive_core.datasets.navsim.log_file import dump_portable
from pair_drive_core.datasets.navsim.scene_filter import SceneFilter, Split
from pair_drive_core.datasets.quaternions import quaternion_to_yaw
from pair_drive_core.scene import ALL_CAMERAS, DrivingCommand, SceneError
from pair_drive_core.scoring.aggregation import TwoStageGroup

SECOND_STAGE_FOLDER = "synthetic_scene_pickles"
_HISTORY, _FUTURE, _AHEAD = 4, 8, 8
"""Frames up to t0, frames after it, and frames between a first-stage scene and those that follow it (4 s)."""
_TOKEN_DIGITS = 17
"""By the length of a token the official code tells synthetic scenes from recorded ones."""


@dataclass(frozen=True)
class Displacement:
    """Where a second-stage scene puts the ego.

    Attributes:
        ahead_m: along its heading at t0.
        left_m: across.
    """

    ahead_m: float
    left_m: float


DISPLACEMENTS = (Displacement(0.0, 0.3), Displacement(-0.5, -0.3), Displacement(0.6, 0.1))


def write_second_stage(
    logs: Sequence[NavsimLog],
    split: Split,
    data_root: Path,
    displacements: Sequence[Displacement] = DISPLACEMENTS,
    stride: int = 4,
) -> Split:
    """Write the files of the second stage and the split that names both stages.

    Args:
        logs: of the first stage.
        split: the one-stage benchmark that they are of.
        data_root: the data set's folder; scenes go to `synthetic_scene_pickles` in it.
        displacements: one second-stage scene each, after every first-stage scene.
        stride: frames between two groups of a log.

    Returns:
        The two-stage benchmark, to be written by `write_split`.

    Raises:
        SceneError: if no log is long enough: a group takes 21 frames.
    """
    groups: list[TwoStageGroup] = []
    folder = data_root / SECOND_STAGE_FOLDER
    for log in logs:
        frames = log.frames
        for now in range(_HISTORY, len(frames) - _AHEAD - _FUTURE, stride):
            pairs = []
            for shift in displacements:
                # The scene before starts half a second earlier from the same displacement.
                made = [_follower(frames, at + _AHEAD, at, shift) for at in (now, now - 1)]
                for token, content in made:
                    write_bytes(folder / f"{token}.pkl", dump_portable(content))
                pairs.append((made[0][0], made[1][0]))
            groups.append(TwoStageGroup(frames[now].token, frames[now - 1].token, tuple(pairs)))
    if not groups:
        needed = _HISTORY + 1 + _AHEAD + _FUTURE
        longest = max((len(log.frames) for log in logs), default=0)
        raise SceneError(f"second stage: expected a log of at least {needed} frames, the longest has {longest}")
    followers = tuple(token for group in groups for pair in group.second for token in pair)
    first = tuple(dict.fromkeys(token for group in groups for token in (group.now, group.previous)))
    scene_filter = SceneFilter(
        num_history_frames=_HISTORY,
        num_future_frames=_FUTURE,
        frame_interval=1,
        log_names=tuple(log.name for log in logs),
        tokens=first,
        include_synthetic_scenes=True,
        synthetic_scene_tokens=followers,
        reactive_synthetic_initial_tokens=followers,
        non_reactive_synthetic_initial_tokens=(),
    )
    return Split(f"{split.name}_two_stage", split.data_split, scene_filter, tuple(groups))


def read_logs(folders: NavsimFolders, split: Split) -> list[NavsimLog]:
    """All logs of a benchmark."""
    return [folders.read_log(path) for path in folders.log_paths(split.scene_filter)]


def _follower(frames: Sequence[NavsimFrame], now: int, first: int, shift: Displacement) -> tuple[str, dict[str, Any]]:
    """Token and content of the scene at frame `now`, which follows the first-stage scene at frame `first`."""
    window = frames[now - _HISTORY + 1 : now + _FUTURE + 1]
    t0 = frames[now]
    yaw = quaternion_to_yaw(t0.ego_rotation)
    cos, sin = np.cos(yaw), np.sin(yaw)
    moved = np.array([shift.ahead_m * cos - shift.left_m * sin, shift.ahead_m * sin + shift.left_m * cos, 0.0])
    name = f"{t0.log_name} {t0.token} {shift.ahead_m} {shift.left_m}"
    token = hashlib.sha256(name.encode()).hexdigest()[:_TOKEN_DIGITS]
    metadata = {
        "log_name": t0.log_name,
        "scene_token": token,
        "map_name": t0.map_location,
        "initial_token": token,
        "num_history_frames": _HISTORY,
        "num_future_frames": _FUTURE,
        "corresponding_original_scene": t0.token,
        "corresponding_original_initial_token": frames[first].token,
    }
    content = [
        _frame(_displaced(frame, moved), token if frame is t0 else f"{token}{frame.frame_idx}") for frame in window
    ]
    return token, {
        "scene_metadata": metadata,
        "frames": content,
        "extended_traffic_light_data": None,
        "extended_detections_tracks": None,
    }


def _displaced(frame: NavsimFrame, moved: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> NavsimFrame:
    """The frame with the ego elsewhere; the others stay where they are in the world."""
    yaw = quaternion_to_yaw(frame.ego_rotation)
    cos, sin = np.cos(yaw), np.sin(yaw)
    if frame.annotations is None:
        raise SceneError(f"frame {frame.token} has no annotations")
    boxes = frame.annotations.boxes.copy()
    boxes[:, 0] -= moved[0] * cos + moved[1] * sin
    boxes[:, 1] -= moved[1] * cos - moved[0] * sin
    return replace(
        frame,
        ego_translation=frame.ego_translation + moved,
        annotations=replace(frame.annotations, boxes=boxes),
    )


def _frame(frame: NavsimFrame, token: str) -> dict[str, Any]:
    assert frame.annotations is not None
    command = np.zeros(len(DrivingCommand), dtype=np.int64)
    command[int(frame.driving_command)] = 1
    return {
        "token": token,
        "timestamp": int(frame.timestamp_us),
        "roadblock_ids": list(frame.roadblock_ids),
        "traffic_lights": [(int(connector), bool(red)) for connector, red in frame.traffic_lights],
        "annotations": {
            "boxes": frame.annotations.boxes,
            "names": np.array(frame.annotations.names, dtype="<U16"),
            "velocity_3d": frame.annotations.velocities,
            "instance_tokens": list(frame.annotations.instance_tokens),
            "track_tokens": list(frame.annotations.track_tokens),
        },
        "ego_status": {
            "ego_pose": np.array([*frame.ego_translation[:2], quaternion_to_yaw(frame.ego_rotation)]),
            "ego_velocity": frame.ego_velocity.astype(np.float32),
            "ego_acceleration": frame.ego_acceleration.astype(np.float32),
            "driving_command": command,
            "in_global_frame": True,
        },
        "lidar_path": None,
        "camera_dict": {name.lower(): {} for name in ALL_CAMERAS},
    }
