"""The frames of a NAVSIM (OpenScene) log, typed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pair_drive_core.datasets.maps.map_tiles import MapTile
from pair_drive_core.datasets.quaternions import quaternion_to_yaw
from pair_drive_core.geometry import normalise_angle
from pair_drive_core.scene import ALL_CAMERAS, DrivingCommand, ObjectType, SceneError

FRAME_INTERVAL_US = 500_000
"""Time between two frames of a log."""
NO_COMMAND = "all-zero driving command"
"""Oddity of a frame whose command is no one-hot vector but zeros; read as `DrivingCommand.UNKNOWN`."""

FloatArray = npt.NDArray[np.float64]

OBJECT_NAMES = {kind.name.lower(): kind for kind in ObjectType}
"""NAVSIM's class names."""
_NUMBERS = {name: int(kind) for name, kind in OBJECT_NAMES.items()}


@dataclass(frozen=True, eq=False)
class CameraRecord:
    """Where a picture lies and how its camera was mounted.

    Attributes:
        data_path: JPEG file, relative to the split's sensor folder: `<log>/<CAM_*>/<token>.jpg`.
        lidar_r_camera: (3, 3), rotation from the optical frame to the LiDAR frame (`sensor2lidar_rotation`).
        lidar_t_camera: (3,), camera position in the LiDAR frame, m (`sensor2lidar_translation`).
        intrinsics: (3, 3), px.
        distortion: (5,), OpenCV's k1 k2 p1 p2 k3.
    """

    data_path: str
    lidar_r_camera: FloatArray
    lidar_t_camera: FloatArray
    intrinsics: FloatArray
    distortion: FloatArray

    def validate(self, name: str) -> CameraRecord:
        """Check shapes and finiteness.

        Raises:
            SceneError: naming camera and field.
        """
        for attribute, shape in (
            ("lidar_r_camera", (3, 3)),
            ("lidar_t_camera", (3,)),
            ("intrinsics", (3, 3)),
            ("distortion", (5,)),
        ):
            _require_array(f"camera {name}.{attribute}", getattr(self, attribute), shape)
        return self


@dataclass(frozen=True, eq=False)
class GlobalObjects:
    """Classes and states of the objects seen at one moment.

    Attributes:
        kinds: N values of `ObjectType`.
        states: (N, 5): x, y, heading, vx, vy; box centre, global; m, rad, m/s; static objects do not move.
    """

    kinds: tuple[int, ...]
    states: FloatArray


@dataclass(frozen=True, eq=False)
class Annotations:
    """The objects seen at one moment.

    Attributes:
        boxes: (N, 7): x, y, z, length, width, height, heading; box centre in the ego frame of that moment; m, rad.
        names: N class names, lower-case names of `ObjectType`.
        velocities: (N, 3), ego frame, m/s.
        instance_tokens: N names, one for every box.
        track_tokens: N names, the same for one object in all frames.
    """

    boxes: FloatArray
    names: tuple[str, ...]
    velocities: FloatArray
    instance_tokens: tuple[str, ...]
    track_tokens: tuple[str, ...]

    @staticmethod
    def empty() -> Annotations:
        """Nothing in sight."""
        return Annotations(np.zeros((0, 7)), (), np.zeros((0, 3)), (), ())

    @staticmethod
    def from_global(
        ego_pose: FloatArray,
        track_tokens: Sequence[str],
        kinds: Sequence[ObjectType],
        sizes: FloatArray,
        states: FloatArray,
        frame_token: str,
    ) -> Annotations:
        """Turn objects from the global frame into the ego frame.

        Args:
            ego_pose: (3,), rear axle x, y, heading; global; m, rad.
            track_tokens: N names.
            kinds: N classes.
            sizes: (N, 3), length, width, height, m; boxes stand on the ground.
            states: (N, 5): x, y, heading, vx, vy; box centre, global; m, rad, m/s.
            frame_token: name of the frame; makes instance tokens that differ between frames.
        """
        cos, sin = np.cos(ego_pose[2]), np.sin(ego_pose[2])
        offset, velocity = states[:, :2] - ego_pose[:2], states[:, 3:5]
        heading = states[:, 2] - ego_pose[2]
        boxes = np.column_stack(
            (
                offset[:, 0] * cos + offset[:, 1] * sin,
                offset[:, 1] * cos - offset[:, 0] * sin,
                sizes[:, 2] / 2.0,
                sizes,
                normalise_angle(heading),
            )
        )
        velocities = np.column_stack(
            (
                velocity[:, 0] * cos + velocity[:, 1] * sin,
                velocity[:, 1] * cos - velocity[:, 0] * sin,
                np.zeros(len(states)),
            )
        )
        names = tuple(ObjectType(kind).name.lower() for kind in kinds)
        instances = tuple(hashlib.sha256(f"{frame_token} {t}".encode()).hexdigest()[:16] for t in track_tokens)
        return Annotations(boxes, names, velocities, instances, tuple(track_tokens))

    def to_global(self, ego_pose: FloatArray) -> GlobalObjects:
        """Turn the objects from the ego frame into the global one.

        Args:
            ego_pose: (3,), rear axle x, y, heading; global; m, rad.
        """
        kinds = tuple(_NUMBERS[name] for name in self.names)
        boxes, velocity = self.boxes, self.velocities
        x, y, yaw = ego_pose
        cos, sin = np.cos(yaw), np.sin(yaw)
        moves = np.array(kinds, dtype=np.int64) <= int(ObjectType.BICYCLE)
        states = np.empty((len(kinds), 5))
        states[:, 0] = boxes[:, 0] * cos - boxes[:, 1] * sin + x
        states[:, 1] = boxes[:, 0] * sin + boxes[:, 1] * cos + y
        states[:, 2] = normalise_angle(boxes[:, 6] + yaw)
        states[:, 3] = np.where(moves, velocity[:, 0] * cos - velocity[:, 1] * sin, 0.0)
        states[:, 4] = np.where(moves, velocity[:, 0] * sin + velocity[:, 1] * cos, 0.0)
        return GlobalObjects(kinds, states)

    def validate(self) -> Annotations:
        """Check shapes, finiteness, class names and that no track occurs twice.

        Raises:
            SceneError: naming the field at fault.
        """
        count = len(self.names)
        _require_array("anns.gt_boxes", self.boxes, (count, 7))
        _require_array("anns.gt_velocity_3d", self.velocities, (count, 3))
        for name, size in (("instance_tokens", len(self.instance_tokens)), ("track_tokens", len(self.track_tokens))):
            if size != count:
                raise SceneError(f"anns.{name}: expected {count} entries, got {size}")
        unknown = sorted(set(self.names) - set(OBJECT_NAMES))
        if unknown:
            raise SceneError(f"anns.gt_names: expected names of {sorted(OBJECT_NAMES)}, got {unknown[:3]}")
        if len(set(self.track_tokens)) != count:
            twice = next(token for token in self.track_tokens if self.track_tokens.count(token) > 1)
            raise SceneError(f"anns.track_tokens: track {twice!r} occurs twice in one frame")
        return self


@dataclass(frozen=True, eq=False)
class NavsimFrame:
    """One frame of a log; frames are 0.5 s apart.

    Attributes:
        token: name of the frame, 16 hexadecimal digits (17 mark a synthetic scene to the official code).
        timestamp_us: us.
        log_name: name of the log, equal to its file's stem.
        scene_token: name of the recording scene.
        map_location: one of `MAP_LOCATIONS`.
        roadblock_ids: the route, ids of roadblocks and roadblock connectors in driving order.
        ego_translation: (3,), rear axle on the ground, global frame, m.
        ego_rotation: (4,), unit quaternion w x y z, ego to global.
        ego_velocity: (2,), ego frame, m/s.
        ego_acceleration: (2,), ego frame, m/s^2.
        traffic_lights: (lane connector id, is red) of every signalled connector around.
        driving_command: where the route goes next.
        cameras: by NAVSIM name; empty where a log has none.
        lidar_path: .pcd file, relative to the split's sensor folder: `<log>/MergedPointCloud/<token>.pcd`.
        annotations: objects; None in logs of the private test set.
        frame_idx: number within the recording scene.
        log_token: another name of the log.
        scene_name: another name of the scene.
        vehicle_name: name of the recording car.
        can_bus: (18,), pose and motion as nuScenes' CAN bus record has them.
        lidar_translation: (3,), LiDAR in the ego frame, m.
        lidar_rotation: (4,), unit quaternion w x y z, LiDAR to ego.
        flaws: what the driver does wrong within the next 4 s, for evaluation only; in a file of its own, see
            `flaw_labels`; empty where it is not known.
        oddities: what the file says against its own format and the official code lets pass; counted in reports.
    """

    token: str
    timestamp_us: int
    log_name: str
    scene_token: str
    map_location: str
    roadblock_ids: tuple[str, ...]
    ego_translation: FloatArray
    ego_rotation: FloatArray
    ego_velocity: FloatArray
    ego_acceleration: FloatArray
    traffic_lights: tuple[tuple[int, bool], ...]
    driving_command: DrivingCommand
    cameras: Mapping[str, CameraRecord]
    lidar_path: str | None
    annotations: Annotations | None
    frame_idx: int = 0
    log_token: str = ""
    scene_name: str = ""
    vehicle_name: str = ""
    can_bus: FloatArray = field(default_factory=lambda: np.zeros(18))
    lidar_translation: FloatArray = field(default_factory=lambda: np.zeros(3))
    lidar_rotation: FloatArray = field(default_factory=lambda: np.array([1.0, 0.0, 0.0, 0.0]))
    flaws: tuple[str, ...] = ()
    oddities: tuple[str, ...] = ()

    @cached_property
    def ego_pose(self) -> FloatArray:
        """(3,): rear axle x, y, heading; global; m, rad. A frame is looked at by a dozen scenes, so it is kept."""
        return np.array([*self.ego_translation[:2].tolist(), quaternion_to_yaw(self.ego_rotation)])

    @cached_property
    def global_objects(self) -> GlobalObjects:
        """The objects in the global frame; kept like `ego_pose`.

        Raises:
            SceneError: if the frame has no annotations.
        """
        if self.annotations is None:
            raise SceneError(f"frame {self.token} has no annotations")
        return self.annotations.to_global(self.ego_pose)

    def placed(self, tile: MapTile) -> NavsimFrame:
        """The frame where its map lies once `MapTile.place_map` has moved it."""
        return replace(
            self,
            map_location=tile.location,
            roadblock_ids=tuple(str(int(fid) + tile.first_fid) for fid in self.roadblock_ids),
            ego_translation=self.ego_translation + np.array([tile.east_m, 0.0, 0.0]),
            traffic_lights=tuple((connector + tile.first_fid, red) for connector, red in self.traffic_lights),
        )

    def validate(self) -> NavsimFrame:
        """Check every part.

        Raises:
            SceneError: naming the frame and the field at fault.
        """
        try:
            for name, shape in (
                ("ego_translation", (3,)),
                ("ego_rotation", (4,)),
                ("ego_velocity", (2,)),
                ("ego_acceleration", (2,)),
                ("lidar_translation", (3,)),
                ("lidar_rotation", (4,)),
            ):
                _require_array(name, getattr(self, name), shape)
            norm = float(np.linalg.norm(self.ego_rotation))
            if abs(norm - 1.0) > 1e-3:
                raise SceneError(f"ego_rotation: expected a unit quaternion, got norm {norm:.4f}")
            unknown = sorted(set(self.cameras) - set(ALL_CAMERAS))
            if unknown:
                raise SceneError(f"cameras: expected names of {sorted(ALL_CAMERAS)}, got {unknown}")
            for name, camera in self.cameras.items():
                camera.validate(name)
            if self.annotations is not None:
                self.annotations.validate()
        except SceneError as error:
            raise SceneError(f"frame {self.token}: {error}") from error
        return self


@dataclass(frozen=True, eq=False)
class NavsimLog:
    """One log: frames in time order, 0.5 s apart.

    Attributes:
        name: file stem.
        frames: oldest first.
    """

    name: str
    frames: tuple[NavsimFrame, ...]

    def validate(self) -> NavsimLog:
        """Check every frame, the order of time and that tokens differ.

        Raises:
            SceneError: naming the frame at fault.
        """
        for frame in self.frames:
            frame.validate()
            if frame.log_name != self.name:
                raise SceneError(f"frame {frame.token}: expected log_name {self.name!r}, got {frame.log_name!r}")
        times = [frame.timestamp_us for frame in self.frames]
        for before, after in pairwise(self.frames):
            if after.timestamp_us <= before.timestamp_us:
                raise SceneError(f"frame {after.token}: expected time to grow, got {times[:3]}...")
        if len({frame.token for frame in self.frames}) != len(self.frames):
            raise SceneError(f"log {self.name}: two frames share one token")
        return self


def _require_array(name: str, array: FloatArray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise SceneError(f"{name}: expected shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise SceneError(f"{name}: expected finite numbers, got NaN or infinity")
