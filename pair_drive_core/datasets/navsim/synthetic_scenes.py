"""Second-stage scenes of NAVSIM v2 (navhard): one pickle each, the ego somewhere else than it was in the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.maps.map_index import MapIndex
from pair_drive_core.datasets.navsim.log import FRAME_INTERVAL_US, Annotations, CameraRecord, FloatArray, NavsimFrame
from pair_drive_core.datasets.navsim.log_file import plain_text
from pair_drive_core.datasets.navsim.pickled_records import STAND_INS, PickledRecord
from pair_drive_core.datasets.navsim.restricted_unpickler import load_restricted
from pair_drive_core.datasets.navsim.scene_filter import SceneFilter
from pair_drive_core.datasets.navsim.scenes import build_agent_input, build_scene
from pair_drive_core.datasets.quaternions import yaw_to_quaternion
from pair_drive_core.scene import FRONT_CAMERAS, AgentInput, DrivingCommand, ObjectType, Scene, SceneError

_RED = 2
_MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)


@dataclass(frozen=True)
class SyntheticScene:
    """A second-stage scene.

    Attributes:
        path: its file.
        token: its name, 17 digits.
        log_name: the log that it was made from.
        map_location: the city.
        original_token: the frame of the log at the same moment; where the first-stage scene ends.
        frames: history, t0 and future; after the recorded ones the ego stands still and only traffic and lights go on.
        history_frames: how many of them end at t0.
    """

    path: Path
    token: str
    log_name: str
    map_location: str
    original_token: str
    frames: tuple[NavsimFrame, ...]
    history_frames: int

    def scene(self, index: MapIndex) -> Scene:
        """What plans are scored against; nobody demonstrated it, so it has no human.

        Args:
            index: the map of the scene's city.

        Raises:
            DatasetError: naming the file and what is wrong.
        """
        try:
            return build_scene(self.frames, index, self.history_frames, demonstrated=False)
        except SceneError as error:
            raise DatasetError(self.path, f"scene {self.token}: {error}") from error

    def agent_input(self, blobs: Path, cameras: Sequence[str] = FRONT_CAMERAS, with_lidar: bool = True) -> AgentInput:
        """What a planner may look at, at t0; without a point cloud where the scene has none, as in navhard.

        Args:
            blobs: folder of the second stage's sensor files.
            cameras: which pictures to read.
            with_lidar: whether to read the point cloud, if there is one.

        Raises:
            FileNotFoundError: naming a picture that is not there.
            DatasetError: naming the file at fault.
        """
        history = self.frames[: self.history_frames]
        try:
            lidar = with_lidar and history[-1].lidar_path is not None
            return build_agent_input(history, blobs, cameras, lidar)
        except SceneError as error:
            raise DatasetError(self.path, f"scene {self.token}: {error}") from error


def read_synthetic_scene(path: Path) -> SyntheticScene:
    """Read a second-stage scene.

    The nuPlan objects in it are read as plain data (`pickled_records`); any other class is refused.

    Args:
        path: `synthetic_scene_pickles/<token>.pkl`.

    Raises:
        FileNotFoundError: naming the file.
        UntrustedPickleError: if the pickle names a class that such files do not have.
        DatasetError: if the file is torn or breaks the format.
    """
    content = load_restricted(path, STAND_INS)
    if not isinstance(content, dict):
        raise DatasetError(path, f"expected the dictionary of a scene, got {type(content).__name__}")
    try:
        metadata = content["scene_metadata"]
        recorded = [_frame(raw, metadata) for raw in content["frames"]]
        lights = content["extended_traffic_light_data"] or ()
        tracks = content["extended_detections_tracks"] or ()
        extended = _extended(recorded[-1], lights, tracks)
        return SyntheticScene(
            path,
            plain_text(metadata["initial_token"]),
            plain_text(metadata["log_name"]),
            plain_text(metadata["map_name"]),
            plain_text(metadata["corresponding_original_scene"]),
            tuple(frame.validate() for frame in (*recorded, *extended)),
            int(metadata["num_history_frames"]),
        )
    except SceneError as error:
        raise DatasetError(path, str(error)) from error
    except _MALFORMED as error:
        raise DatasetError(path, f"malformed second-stage scene ({type(error).__name__}: {error})") from error


def second_stage(
    folder: Path, scene_filter: SceneFilter, first_stage: Iterable[Sequence[NavsimFrame]]
) -> list[SyntheticScene]:
    """The second-stage scenes of a benchmark.

    Args:
        folder: `synthetic_scene_pickles`.
        scene_filter: names them, or else takes those that follow a first-stage scene.
        first_stage: windows of the first-stage scenes.

    Raises:
        FileNotFoundError: if the folder is not there.
        DatasetError: naming a torn file, or scenes that the filter names and the folder does not hold.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of second-stage scenes")
    ends = {window[scene_filter.num_frames - 1].token for window in first_stage}
    wanted, logs = scene_filter.synthetic_scene_tokens, scene_filter.log_names
    scenes = []
    for path in sorted(folder.glob("*.pkl")):
        scene = read_synthetic_scene(path)
        chosen = scene.original_token in ends if wanted is None else scene.token in wanted
        if chosen and (logs is None or scene.log_name in logs):
            scenes.append(scene)
    missing = set(wanted or ()) - {scene.token for scene in scenes}
    if missing:
        raise DatasetError(folder, f"{len(missing)} scenes of the filter are missing, first {sorted(missing)[:3]}")
    return scenes


def _frame(raw: Mapping[str, Any], metadata: Mapping[str, Any]) -> NavsimFrame:
    status, boxes = raw["ego_status"], raw["annotations"]
    if not status["in_global_frame"]:
        raise ValueError(f"frame {raw['token']}: expected the ego pose in the global frame")
    x, y, heading = (float(v) for v in status["ego_pose"])
    return NavsimFrame(
        token=plain_text(raw["token"]),
        timestamp_us=int(raw["timestamp"]),
        log_name=plain_text(metadata["log_name"]),
        scene_token=plain_text(metadata["scene_token"]),
        map_location=plain_text(metadata["map_name"]),
        roadblock_ids=tuple(plain_text(fid) for fid in raw["roadblock_ids"]),
        ego_translation=np.array([x, y, 0.0]),
        ego_rotation=yaw_to_quaternion(heading),
        ego_velocity=np.array(status["ego_velocity"], dtype=np.float64),
        ego_acceleration=np.array(status["ego_acceleration"], dtype=np.float64),
        traffic_lights=tuple((int(connector), bool(red)) for connector, red in raw["traffic_lights"]),
        driving_command=DrivingCommand(int(np.argmax(np.array(status["driving_command"], dtype=np.float64)))),
        cameras={name.upper(): _camera(camera) for name, camera in raw["camera_dict"].items() if camera},
        lidar_path=None if raw["lidar_path"] is None else plain_text(raw["lidar_path"]),
        annotations=Annotations(
            np.array(boxes["boxes"], dtype=np.float64).reshape(-1, 7),
            tuple(plain_text(name) for name in boxes["names"]),
            np.array(boxes["velocity_3d"], dtype=np.float64).reshape(-1, 3),
            tuple(plain_text(token) for token in boxes["instance_tokens"]),
            tuple(plain_text(token) for token in boxes["track_tokens"]),
        ),
    )


def _camera(raw: Mapping[str, Any]) -> CameraRecord:
    arrays = (raw[key] for key in ("sensor2lidar_rotation", "sensor2lidar_translation", "cam_intrinsic", "distortion"))
    return CameraRecord(plain_text(raw["data_path"]), *(np.array(array, dtype=np.float64) for array in arrays))


def _extended(last: NavsimFrame, lights: Sequence[PickledRecord], tracks: Sequence[PickledRecord]) -> list[NavsimFrame]:
    """Frames after the recorded ones: the ego stays where it is, objects and lights go on."""
    frames = []
    pose = np.array([*last.ego_translation[:2], 2.0 * np.arctan2(last.ego_rotation[3], last.ego_rotation[0])])
    for k, track in enumerate(tracks):
        token = f"{last.token}+{k + 1}"
        at_once = lights[k]["traffic_lights"] if k < len(lights) else ()
        frames.append(
            NavsimFrame(
                token=token,
                timestamp_us=last.timestamp_us + FRAME_INTERVAL_US * (k + 1),
                log_name=last.log_name,
                scene_token=last.scene_token,
                map_location=last.map_location,
                roadblock_ids=last.roadblock_ids,
                ego_translation=last.ego_translation,
                ego_rotation=last.ego_rotation,
                ego_velocity=last.ego_velocity,
                ego_acceleration=last.ego_acceleration,
                traffic_lights=tuple(
                    (int(light["lane_connector_id"]), int(light["status"].args[0]) == _RED) for light in at_once
                ),
                driving_command=last.driving_command,
                cameras={},
                lidar_path=None,
                annotations=_annotations(track["tracked_objects"]["tracked_objects"], pose, token),
            )
        )
    return frames


def _annotations(objects: Sequence[PickledRecord], pose: FloatArray, token: str) -> Annotations:
    rows, sizes = [], []
    for entry in objects:
        box, velocity = entry["box"], entry["velocity"]
        center = box["center"]
        rows.append([center["x"], center["y"], center["heading"], velocity["x"], velocity["y"]])
        sizes.append([box["length"], box["width"], box["height"]])
    return Annotations.from_global(
        pose,
        [plain_text(entry["metadata"]["track_token"]) for entry in objects],
        [ObjectType(int(_kind(entry))) for entry in objects],
        np.array(sizes, dtype=np.float64).reshape(-1, 3),
        np.array(rows, dtype=np.float64).reshape(-1, 5),
        token,
    )


def _kind(entry: PickledRecord) -> int:
    """NuPlan numbers the classes as NAVSIM does."""
    return int(entry["tracked_object_type"].args[0])
