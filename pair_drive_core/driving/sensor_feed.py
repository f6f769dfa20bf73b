"""From messages to what a planner may look at: the one way for live topics and for bags."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np

from pair_drive_core.driving.ego_odometry import EgoOdometry, TwistSource
from pair_drive_core.driving.ego_track import MotionSample
from pair_drive_core.driving.messages import (
    MessageError,
    TransformTree,
    camera_calibration,
    driving_command,
    linear_acceleration,
    mount_rotation,
    stamp_us,
)
from pair_drive_core.driving.messages.camera_info import fit_calibration
from pair_drive_core.driving.odometry_check import Frames, OdometryCheck
from pair_drive_core.driving.readings import PointArray, Reading
from pair_drive_core.driving.synchronizer import (
    LIDAR,
    SensorSet,
    Stamped,
    Synchronizer,
    SynchronizerConfig,
)
from pair_drive_core.driving.topics import INPUT_TOPICS, InputKind, InputTopic
from pair_drive_core.scene import AgentInput, CameraCalibration, CameraImage, EgoStatus, LidarSweep
from pair_drive_core.scene.sensors import FloatArray

_MOUNT_SIZE = 6
_DECODED_SWEEPS = 32
"""Decoded sweeps that are remembered."""
_DECODED_LATER = (InputKind.IMAGE, InputKind.COMPRESSED_IMAGE, InputKind.LIDAR)


@dataclass(frozen=True)
class SensorMounts:
    """Where the sensors sit: x, y, z in m and fixed-axis roll, pitch, yaw in rad, in the ego frame (`base_link`).

    Attributes:
        front_left: body frame (x forward, y left, z up) of CAM_L0.
        front: of CAM_F0.
        front_right: of CAM_R0.
        lidar: frame of the point clouds.
        odometry: frame that the odometry speaks of (`child_frame_id`).
    """

    front_left: tuple[float, ...] = (1.55, 0.42, 1.55, 0.0, 0.0, math.radians(55.0))
    front: tuple[float, ...] = (1.66, 0.0, 1.55, 0.0, 0.0, 0.0)
    front_right: tuple[float, ...] = (1.55, -0.42, 1.55, 0.0, 0.0, math.radians(-55.0))
    lidar: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    odometry: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def of_camera(self, name: str) -> tuple[float, ...]:
        """Mount of a camera by its NAVSIM name."""
        return {"CAM_L0": self.front_left, "CAM_F0": self.front, "CAM_R0": self.front_right}[name]

    def problems(self) -> list[str]:
        """What is wrong with the values, one line each."""
        return [
            f"mount of {name}: expected 6 finite numbers (x y z roll pitch yaw), got {list(values)}"
            for name, values in vars(self).items()
            if len(values) != _MOUNT_SIZE or not all(math.isfinite(value) for value in values)
        ]


class Extrinsics(str, Enum):
    """Where the sensors' places on the vehicle are taken from."""

    PARAMETERS = "parameters"
    TF = "tf"


@dataclass
class FeedReport:
    """Readings that could not be used since the start.

    Attributes:
        unusable: by topic.
        last_error: the newest reason by topic; removed when the topic gives a usable reading again.
    """

    unusable: Counter[str] = field(default_factory=Counter)
    last_error: dict[str, str] = field(default_factory=dict)


class SensorFeed:
    """Takes messages of the planner's input topics and gives synchronised inputs.

    Images and clouds are kept as they came and decoded when they belong to a complete set, or ahead of that.

    Args:
        config: tolerances.
        mounts: where the sensors sit.
        extrinsics: TF takes their places from transforms instead of from `mounts`.
        base_frame: name of the ego frame in the transforms.
        twist: where the ego's velocity is taken from.
        rectified: cameras whose pictures are rectified.
        refuse_contradictions: as in `OdometryCheck`.

    Attributes:
        least_picture_rows: rows that compressed pictures keep where the planner needs no more, so that they may be
            decoded at a fraction of their size; 0 decodes them whole.
        ahead: given each picture and cloud that may be decoded while the rest of its set is on its way; None decodes
            when a set is looked at.
    """

    def __init__(
        self,
        config: SynchronizerConfig,
        mounts: SensorMounts,
        extrinsics: Extrinsics = Extrinsics.PARAMETERS,
        base_frame: str = "base_link",
        twist: TwistSource = TwistSource.ODOMETRY,
        rectified: frozenset[str] = frozenset(),
        refuse_contradictions: bool = True,
    ) -> None:
        problems = mounts.problems()
        if problems:
            raise ValueError("; ".join(problems))
        self.synchronizer: Synchronizer[Reading] = Synchronizer(config)
        self.report = FeedReport()
        self.least_picture_rows = 0
        self.ahead: Callable[[Reading], None] | None = None
        self.odometry_check = OdometryCheck(refuse_contradictions)
        self.odometry_frame = ""
        self.odometry_child_frame = ""
        self.last_motion: MotionSample | None = None
        self._mounts = mounts
        self._extrinsics = extrinsics
        self._base_frame = base_frame
        self._odometry = EgoOdometry(twist)
        self._rectified = rectified
        self._transforms = TransformTree()
        self._frames: dict[str, str] = {}
        self._calibrations: dict[str, CameraCalibration] = {}
        self._sweeps: dict[int, PointArray] = {}

    @property
    def cameras_without_calibration(self) -> tuple[str, ...]:
        """Cameras whose camera_info has not come yet."""
        return tuple(name for name in self.synchronizer.config.cameras if name not in self._calibrations)

    @property
    def frames_without_transform(self) -> tuple[str, ...]:
        """Frames of sensors that are not connected to the ego frame yet; none unless transforms are used."""
        if self._extrinsics is Extrinsics.PARAMETERS:
            return ()
        frames = sorted(set(self._frames.values()))
        return tuple(frame for frame in frames if self._transforms.lookup(self._base_frame, frame) is None)

    def reset(self) -> None:
        """Forget all readings (calibrations stay)."""
        self.synchronizer.reset()
        self._sweeps.clear()

    def receive(self, topic: str, message: Any) -> None:  # noqa: ANN401 - rclpy's and rosbags' messages share no type
        """Take a message; one that cannot be used is counted and its reason kept.

        Args:
            topic: a key of `INPUT_TOPICS`.
            message: of the topic's type.
        """
        entry = INPUT_TOPICS[topic]
        try:
            self._store(entry, message)
        except MessageError as error:
            self._refuse(entry, error)
            return
        if entry.kind not in _DECODED_LATER:
            self.report.last_error.pop(topic, None)

    def refuse(self, topic: str, reason: str) -> None:
        """Count a message that could not be used, and keep the reason."""
        self.report.unusable[topic] += 1
        self.report.last_error[topic] = reason

    def take(self) -> list[SensorSet[Reading]]:
        """Sets that have become complete and can be decoded, oldest first; none before all sensors are calibrated."""
        return [] if self.waiting_for else self.synchronizer.take()

    @property
    def waiting_for(self) -> list[str]:
        """What is still needed to know where the sensors look; sets are kept until then."""
        lacking = (
            ("camera_info of", self.cameras_without_calibration),
            (f"transform to {self._base_frame} from", self.frames_without_transform),
        )
        return [f"no {what} {', '.join(names)}" for what, names in lacking if names]

    def decode(self, readings: SensorSet[Reading]) -> AgentInput | None:
        """What the planner may look at; None if a reading cannot be used (its reason is kept)."""
        cameras: dict[str, CameraImage] = {}
        for name, frame in readings.cameras.items():
            entry = frame.payload.entry
            try:
                rgb = frame.payload.picture()
                calibration = fit_calibration(self._calibration(name), rgb.shape[1], rgb.shape[0])
            except MessageError as error:
                self._refuse(entry, error)
                return None
            self.report.last_error.pop(entry.name, None)
            cameras[name] = CameraImage(calibration, rgb, frame.time_us)
        now, lidar = readings.status[-1], None
        if readings.lidar is not None and readings.lidar_motion is not None:
            lidar = self._sweep(readings.lidar, readings.lidar_motion, now)
            if lidar is None:
                return None
        past = (self._sweep(sweep, motion, now) for sweep, motion in readings.earlier_lidar)
        return AgentInput(readings.status, cameras, lidar, tuple(sweep for sweep in past if sweep is not None))

    def _sweep(self, frame: Stamped[Reading], motion: MotionSample, now: EgoStatus) -> LidarSweep | None:
        """A sweep in the ego frame at t0; None if it cannot be used (its reason is kept)."""
        entry = frame.payload.entry
        try:
            in_ego = self._decoded(frame.time_us, frame.payload)
        except MessageError as error:
            self._refuse(entry, error)
            return None
        self.report.last_error.pop(entry.name, None)
        return LidarSweep(moved_points(in_ego, motion, now), frame.time_us)

    def _decoded(self, time_us: int, reading: Reading) -> PointArray:
        """Points in the ego frame at the sweep's own stamp; an earlier sweep has often been moved there before.

        Raises:
            MessageError: if the cloud is malformed or its frame is not connected to the ego frame.
        """
        if time_us not in self._sweeps:
            self._sweeps[time_us] = self._points_in_ego(reading.points(), reading.frame_id)
            while len(self._sweeps) > _DECODED_SWEEPS:
                del self._sweeps[next(iter(self._sweeps))]
        return self._sweeps[time_us]

    def _store(self, entry: InputTopic, message: Any) -> None:  # noqa: ANN401 - as receive
        """Hand a message to the synchroniser."""
        synchronizer = self.synchronizer
        if entry.kind is InputKind.CAMERA_INFO:
            mount = self._mounts.of_camera(entry.camera)
            self._calibrations[entry.camera] = camera_calibration(
                message, entry.camera, mount, rectified=entry.camera in self._rectified
            )
            self._frames[entry.camera] = str(message.header.frame_id)
        elif entry.kind is InputKind.TRANSFORMS:
            # Transforms that nobody asks for may be whatever they like.
            if self._extrinsics is Extrinsics.TF:
                self._transforms.add(message)
        elif entry.kind is InputKind.ODOMETRY:
            self.odometry_child_frame = str(message.child_frame_id).lstrip("/")
            self.last_motion = self._odometry.motion(message, self._ego_from_odometry())
            frame = str(message.header.frame_id)
            if self.odometry_check.check(self.last_motion, Frames(frame, str(message.child_frame_id))):
                self.reset()
            synchronizer.add_motion(self.last_motion)
            self.odometry_frame = frame
        elif entry.kind is InputKind.ACCELERATION:
            synchronizer.add_acceleration(stamp_us(message.header.stamp), linear_acceleration(message))
        elif entry.kind is InputKind.COMMAND:
            synchronizer.add_command(stamp_us(message.header.stamp), driving_command(message))
        else:
            stream = entry.camera or LIDAR
            if stream == LIDAR:
                self._frames[LIDAR] = str(message.header.frame_id)
            reading = Reading(entry, message, self.least_picture_rows)
            synchronizer.add_frame(stream, stamp_us(message.header.stamp), reading)
            if self.ahead is not None:
                self.ahead(reading)

    def _calibration(self, camera: str) -> CameraCalibration:
        """Calibration of a camera, with its place from transforms where those are used."""
        calibration = self._calibrations[camera]
        pose = self._ego_from(self._frames[camera])
        if pose is None:
            return calibration
        return replace(calibration, ego_r_camera=pose[:3, :3], ego_t_camera=pose[:3, 3])

    def _points_in_ego(self, points: PointArray, frame: str) -> PointArray:
        """Points of the LiDAR in the ego frame."""
        pose = self._ego_from(frame)
        if pose is None:
            return mounted_points(points, self._mounts.lidar)
        return _placed(points, pose[:3, :3], pose[:3, 3])

    def _ego_from(self, frame: str) -> FloatArray | None:
        """Transform from a sensor's frame into the ego frame; None where parameters say where it sits.

        Raises:
            MessageError: if the frame is not connected to the ego frame.
        """
        if self._extrinsics is Extrinsics.PARAMETERS:
            return None
        pose = self._transforms.lookup(self._base_frame, frame)
        if pose is None:
            raise MessageError(f"no transform from {frame!r} to {self._base_frame!r}")
        return pose

    def _ego_from_odometry(self) -> FloatArray | None:
        """Transform from the frame that the odometry speaks of into the ego frame; None where they are the same.

        Raises:
            MessageError: if the frame is not connected to the ego frame.
        """
        frame = self.odometry_child_frame
        if self._extrinsics is Extrinsics.TF:
            return None if frame in ("", self._base_frame.lstrip("/")) else self._ego_from(frame)
        mount = self._mounts.odometry
        if not any(mount):
            return None
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = mount_rotation(*mount[3:]), mount[:3]
        return pose

    def _refuse(self, entry: InputTopic, error: MessageError) -> None:
        self.refuse(entry.name, str(error))


def mounted_points(points: PointArray, mount: tuple[float, ...]) -> PointArray:
    """Points of a sensor in the ego frame.

    Args:
        points: (P, 4) float32, x, y, z in m in the sensor's frame, intensity.
        mount: x, y, z, roll, pitch, yaw of the sensor in the ego frame.
    """
    if not any(mount):
        return points
    return _placed(points, mount_rotation(*mount[3:]), np.array(mount[:3]))


def _placed(points: PointArray, rotation: FloatArray, position: FloatArray) -> PointArray:
    """(P, 4) points of a frame that sits there, in the frame around it."""
    turn = np.eye(4, dtype=np.float32)
    turn[:3, :3] = rotation.T
    # Whole rows are turned at once, whole columns shifted: blocks of three columns take several times as long.
    placed = points @ turn
    for axis in range(3):
        placed[:, axis] += np.float32(position[axis])
    return placed


def moved_points(points: PointArray, then: MotionSample, now: EgoStatus) -> PointArray:
    """Points seen from the ego at another moment, as if the world stood still.

    Args:
        points: (P, 4) float32 in the ego frame at `then`; m.
        then: ego motion at the sweep's stamp.
        now: ego status at t0.
    """
    if then.time_us == now.time_us:
        return points
    return LidarSweep(points, then.time_us).moved(then.pose, now.pose).points
