"""Sensor readings and what an agent sees of a scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pair_drive_core.scene.command import DrivingCommand
from pair_drive_core.scene.lens import FloatArray as FloatArray
from pair_drive_core.scene.lens import Lens, project
from pair_drive_core.scene.validation import SceneError

FRONT_CAMERAS = ("CAM_L0", "CAM_F0", "CAM_R0")
"""NAVSIM's left-front, front and right-front cameras, the planner's input (METHOD: TransFuser)."""
ALL_CAMERAS = ("CAM_F0", "CAM_L0", "CAM_L1", "CAM_L2", "CAM_R0", "CAM_R1", "CAM_R2", "CAM_B0")
"""NAVSIM's eight cameras."""


@dataclass(frozen=True)
class CameraCalibration:
    """Calibration of a camera.

    Attributes:
        name: NAVSIM camera name.
        width_px: image width.
        height_px: image height.
        intrinsics: (3, 3), px.
        ego_r_camera: (3, 3), rotation from the optical frame (z forward, x right) to the ego frame (x forward, y left).
        ego_t_camera: (3,), position in the ego frame (origin: rear axle on the ground), m.
        distortion: coefficients of the lens model, in OpenCV's order; NAVSIM's are k1 k2 p1 p2 k3.
        lens: model of the lens.
    """

    name: str
    width_px: int
    height_px: int
    intrinsics: FloatArray
    ego_r_camera: FloatArray
    ego_t_camera: FloatArray
    distortion: FloatArray
    lens: Lens = Lens.BROWN

    def project(self, points: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Pixels of points in the ego frame.

        Args:
            points: (P, 3), m.

        Returns:
            (P, 2) px, and (P,) whether the point lies in front of the camera and within what its lens model holds for;
            it may still lie outside of the picture.
        """
        optical = (points - self.ego_t_camera) @ self.ego_r_camera
        return project(optical, self.intrinsics, self.lens, self.distortion)

    def scaled(self, width_px: int, height_px: int) -> CameraCalibration:
        """The same camera read out at another resolution."""
        scale = np.diag([width_px / self.width_px, height_px / self.height_px, 1.0])
        return replace(self, width_px=width_px, height_px=height_px, intrinsics=scale @ self.intrinsics)


@dataclass(frozen=True)
class CameraImage:
    """One picture.

    Attributes:
        calibration: of the camera at this resolution.
        rgb: (height, width, 3) uint8.
        time_us: start of exposure.
    """

    calibration: CameraCalibration
    rgb: npt.NDArray[np.uint8]
    time_us: int

    def validate(self) -> CameraImage:
        """Check that picture and calibration fit.

        Raises:
            SceneError: naming both sizes.
        """
        wanted = (self.calibration.height_px, self.calibration.width_px, 3)
        if self.rgb.shape != wanted or self.rgb.dtype != np.uint8:
            raise SceneError(
                f"CameraImage {self.calibration.name}: expected uint8 {wanted}, got {self.rgb.dtype} {self.rgb.shape}"
            )
        return self


@dataclass(frozen=True)
class LidarSweep:
    """One point cloud.

    Attributes:
        points: (P, 4) float32: x, y, z in m in the ego frame (origin: rear axle on the ground), intensity in [0, 1].
        time_us: end of the sweep.
    """

    points: npt.NDArray[np.float32]
    time_us: int

    def validate(self) -> LidarSweep:
        """Check shape and finiteness.

        Raises:
            SceneError: naming what came.
        """
        if self.points.ndim != 2 or self.points.shape[1] != 4 or self.points.dtype != np.float32:
            raise SceneError(f"LidarSweep.points: expected float32 (P, 4), got {self.points.dtype} {self.points.shape}")
        if not np.isfinite(self.points).all():
            raise SceneError("LidarSweep.points: expected finite numbers, got NaN or infinity")
        return self

    def moved(self, then: FloatArray, now: FloatArray) -> LidarSweep:
        """The points seen from another pose of the ego, as if the world stood still.

        Args:
            then: (3,) x, y, heading that the points are relative to; m, rad.
            now: (3,), the pose that they shall be relative to, in the same frame.
        """
        turn, back = float(then[2] - now[2]), -float(now[2])
        offset = _rotation(back) @ (np.asarray(then[:2]) - np.asarray(now[:2]))
        points = self.points.copy(order="C")
        # x and y of a point as one complex number: two operations in place instead of eight on strided columns.
        ground = points.view(np.complex64)[:, 0]
        ground *= np.complex64(np.exp(1j * turn))
        ground += np.complex64(complex(*offset))
        return LidarSweep(points, self.time_us)


def _rotation(angle: float) -> FloatArray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


@dataclass(frozen=True)
class EgoStatus:
    """What the vehicle knows of itself at one moment.

    Attributes:
        time_us: stamp.
        pose: (3,) x, y, heading in a local, continuous frame (`odom`); m, rad.
        velocity: (2,) ego frame, m/s.
        acceleration: (2,) ego frame, m/s^2.
        command: where the route goes next.
    """

    time_us: int
    pose: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
    command: DrivingCommand


@dataclass(frozen=True)
class AgentInput:
    """All that a planner in a vehicle may look at.

    Attributes:
        status: ego statuses, oldest first, the last at t0 (the sensor time that the plan is made for).
        cameras: by NAVSIM name, at t0.
        lidar: at t0; None where the vehicle has none.
        earlier_lidar: earlier sweeps, oldest first, their points moved into the ego frame at t0 as if the world stood
            still; as many as are known.
    """

    status: tuple[EgoStatus, ...]
    cameras: Mapping[str, CameraImage]
    lidar: LidarSweep | None
    earlier_lidar: tuple[LidarSweep, ...] = ()

    @property
    def now(self) -> EgoStatus:
        """The status at t0."""
        return self.status[-1]

    def validate(self) -> AgentInput:
        """Check every reading.

        Raises:
            SceneError: naming the reading at fault.
        """
        if not self.status:
            raise SceneError("AgentInput.status: expected at least the status at t0, got none")
        for image in self.cameras.values():
            image.validate()
        if self.lidar is not None:
            self.lidar.validate()
        for sweep in self.earlier_lidar:
            sweep.validate()
        return self
