"""A drive through a town as frames of a NAVSIM log, with its sensor files rendered on demand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pair_drive_core.datasets.navsim.blobs import MAX_INTENSITY, MergedPointCloud, encode_jpeg, encode_pcd
from pair_drive_core.datasets.navsim.log import Annotations, CameraRecord, NavsimFrame, NavsimLog
from pair_drive_core.datasets.quaternions import yaw_to_quaternion
from pair_drive_core.scene import ALL_CAMERAS, ObjectType
from pair_drive_core.town.data.navsim_map import DEFAULT_LOCATION
from pair_drive_core.town.data.scenes import KEY_FRAME_STEPS, SceneCutter
from pair_drive_core.town.sensing.cameras import HEIGHT_PX, WIDTH_PX, navsim_calibration
from pair_drive_core.town.sensing.sensors import TownSensors
from pair_drive_core.town.traffic.simulator import FLAW_STEPS, STEP_S, TownSimulator


def log_name(layout_seed: int, seed: int, vehicle: int) -> str:
    """Name of the log of one vehicle's drive."""
    return f"town-{layout_seed:05d}-{seed:05d}-{vehicle:02d}"


def frame_at(
    cutter: SceneCutter, step: int, vehicle: int = TownSimulator.ego, location: str = DEFAULT_LOCATION
) -> NavsimFrame:
    """One frame.

    Args:
        cutter: the town's past.
        step: index into the simulator's moments.
        vehicle: the ego, a demonstrator.
        location: the city that the town is filed under.

    Raises:
        SceneError: if the vehicle is no demonstrator or is beyond the end of its route.
    """
    moment = cutter.simulator.moments[step]
    name, token = _name(cutter, vehicle), cutter.token_at(step, vehicle)
    pose = moment.pose[vehicle]
    states = cutter.object_states(moment)
    seen = cutter.seen_at(step, vehicle)
    annotations = Annotations.from_global(
        pose,
        [cutter.object_tokens[i] for i in seen],
        [ObjectType(int(cutter.object_types[i])) for i in seen],
        cutter.object_sizes[seen],
        states[seen],
        token,
    )
    return NavsimFrame(
        token=token,
        timestamp_us=round(moment.time_s * 1e6),
        log_name=name,
        scene_token=name,
        map_location=location,
        roadblock_ids=cutter.route_at(step, vehicle),
        ego_translation=np.array([pose[0], pose[1], 0.0]),
        ego_rotation=yaw_to_quaternion(float(pose[2])),
        ego_velocity=np.array([moment.speed_mps[vehicle], 0.0]),
        ego_acceleration=moment.acceleration[vehicle].copy(),
        traffic_lights=cutter.lights_at(step),
        driving_command=cutter.command_at(step, vehicle),
        cameras=_cameras(name, token),
        lidar_path=f"{name}/MergedPointCloud/{token}.pcd",
        annotations=annotations,
        frame_idx=step // KEY_FRAME_STEPS,
        log_token=name,
        scene_name=name,
        vehicle_name="town",
        flaws=_flaws(cutter, step, vehicle),
    )


def town_log(
    cutter: SceneCutter,
    vehicle: int = TownSimulator.ego,
    location: str = DEFAULT_LOCATION,
    first_step: int = 0,
    last_step: int | None = None,
) -> NavsimLog:
    """One vehicle's drive, a frame every 0.5 s.

    Args:
        cutter: the town's past.
        vehicle: the ego, a demonstrator.
        location: the city that the town is filed under.
        first_step: first moment.
        last_step: last moment; None takes the last there is.

    Raises:
        SceneError: if the vehicle is no demonstrator or leaves the end of its route.
    """
    stop = len(cutter.simulator.moments) if last_step is None else last_step + 1
    frames = tuple(frame_at(cutter, step, vehicle, location) for step in range(first_step, stop, KEY_FRAME_STEPS))
    return NavsimLog(_name(cutter, vehicle), frames)


@dataclass(frozen=True, eq=False)
class TownBlobs:
    """Renders the sensor files of one vehicle's frames.

    Attributes:
        sensors: of the simulator that the log came from.
        vehicle: the ego.
        width_px: width of the pictures; the data set's own have 1920.
    """

    sensors: TownSensors
    vehicle: int
    width_px: int = WIDTH_PX

    def __call__(self, frame: NavsimFrame) -> TownFrameBlobs:
        """The sensor files of a frame."""
        start_s = self.sensors.simulator.moments[0].time_s
        step = round((frame.timestamp_us / 1e6 - start_s) / STEP_S)
        return TownFrameBlobs(self.sensors, step, self.vehicle, self.width_px)


class TownFrameBlobs:
    """Renders the sensor files of one frame."""

    def __init__(self, sensors: TownSensors, step: int, vehicle: int, width_px: int) -> None:
        self._sensors = sensors
        self._step = step
        self._vehicle = vehicle
        self._width_px = width_px
        self._world = sensors.world(step, vehicle)

    def camera_jpeg(self, name: str) -> bytes:
        """The JPEG file of one camera, in the data set's size.

        Pictures rendered at another width are scaled: the calibration in the log is the one of the full size.
        """
        image = self._sensors.cameras(self._step, self._vehicle, (name,), self._width_px, self._world)[name]
        return encode_jpeg(image.rgb, size=(WIDTH_PX, HEIGHT_PX))

    def lidar_pcd(self) -> bytes:
        """The .pcd file."""
        points = self._sensors.lidar(self._step, self._vehicle, self._world).points
        single = np.zeros(len(points), dtype=np.uint8)
        return encode_pcd(MergedPointCloud(points[:, :3], points[:, 3] * MAX_INTENSITY, single, single))


def _name(cutter: SceneCutter, vehicle: int) -> str:
    return log_name(cutter.simulator.town.layout_seed, cutter.simulator.seed, vehicle)


def _flaws(cutter: SceneCutter, step: int, vehicle: int) -> tuple[str, ...]:
    """What the driver does wrong in the next 4 s; no scene starts where they are not all simulated."""
    simulator = cutter.simulator
    whole = step + FLAW_STEPS < len(simulator.moments)
    return simulator.flaws_at(step, vehicle) if whole else ()


def _cameras(name: str, token: str) -> dict[str, CameraRecord]:
    records = {}
    for camera in ALL_CAMERAS:
        calibration = navsim_calibration(camera)
        records[camera] = CameraRecord(
            f"{name}/{camera}/{token}.jpg",
            calibration.ego_r_camera,
            calibration.ego_t_camera,
            calibration.intrinsics,
            calibration.distortion,
        )
    return records
