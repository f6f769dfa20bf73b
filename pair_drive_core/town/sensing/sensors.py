"""A vehicle's cameras and LiDAR in a living town."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pair_drive_core.scene import FRONT_CAMERAS, CameraCalibration, CameraImage, LidarSweep
from pair_drive_core.town.sensing.camera_renderer import CameraRenderer
from pair_drive_core.town.sensing.cameras import HEIGHT_PX, WIDTH_PX, navsim_calibration
from pair_drive_core.town.sensing.ground import ByteImage, GroundTexture
from pair_drive_core.town.sensing.lidar import LidarConfig, cast_lidar
from pair_drive_core.town.sensing.weather import Daylight
from pair_drive_core.town.sensing.world import TownView, World
from pair_drive_core.town.traffic.simulator import STEP_S, TownSimulator


class TownSensors:
    """Renders what any demonstrator of a simulator sees at any step.

    Attributes:
        simulator: the town's life.
        ground: the town's ground; share it between simulators of one town, it takes 0.4 s to paint.
        daylight: light and air.
        lidar_config: the LiDAR.
    """

    def __init__(
        self,
        simulator: TownSimulator,
        ground: GroundTexture | None = None,
        daylight: Daylight | None = None,
        lidar_config: LidarConfig | None = None,
    ) -> None:
        self.simulator = simulator
        self.ground = ground or GroundTexture(simulator.town.network)
        self.daylight = daylight or Daylight()
        self.lidar_config = lidar_config or LidarConfig()
        self._view = TownView(simulator)
        self._renderer = CameraRenderer(self.ground)

    def world(self, step: int, vehicle: int = TownSimulator.ego) -> World:
        """Boxes around the ego, ego frame; build it once a step and give it to the other methods."""
        return self._view.at(self.simulator.moments[step], vehicle)

    def cameras(
        self,
        step: int,
        vehicle: int = TownSimulator.ego,
        names: Sequence[str] = FRONT_CAMERAS,
        width_px: int = WIDTH_PX,
        world: World | None = None,
    ) -> dict[str, CameraImage]:
        """Pictures of NAVSIM's cameras, 16:9, at any width.

        Args:
            step: index into the simulator's moments.
            vehicle: the ego.
            names: which cameras.
            width_px: width of each picture.
            world: `self.world(step, vehicle)` where it is at hand.
        """
        world = world or self.world(step, vehicle)
        height_px = round(width_px * HEIGHT_PX / WIDTH_PX)
        images = {}
        rng = self._rng(step, vehicle, 5)
        for name in names:
            calibration: CameraCalibration = navsim_calibration(name).scaled(width_px, height_px)
            pose, light = self._pose(step, vehicle), self._light(step, vehicle)
            rgb = self._renderer.render(calibration, world, pose, light, rng)
            images[name] = CameraImage(calibration, rgb, self._time_us(step))
        return images

    def stitched(
        self,
        step: int,
        vehicle: int,
        width_px: int,
        height_px: int,
        supersample: int = 2,
        world: World | None = None,
    ) -> ByteImage:
        """The three front cameras, cropped, joined and sized as the model wants them: (height, width, 3) uint8."""
        world = world or self.world(step, vehicle)
        light = self._light(step, vehicle)
        pose = self._pose(step, vehicle)
        rng = self._rng(step, vehicle, 4)
        return self._renderer.render_stitched(width_px, height_px, world, pose, light, supersample, rng)

    def lidar(self, step: int, vehicle: int = TownSimulator.ego, world: World | None = None) -> LidarSweep:
        """One sweep; its noise depends on town, seed, step and vehicle alone."""
        world = world or self.world(step, vehicle)
        rng = self._rng(step, vehicle, 3)
        return cast_lidar(world, rng, self.lidar_config, self._time_us(step))

    def earlier_lidar(self, step: int, vehicle: int, ages_s: Sequence[float]) -> tuple[LidarSweep, ...]:
        """Sweeps of some seconds ago, moved into the ego frame of a step, oldest first; those that are remembered."""
        now = self._pose(step, vehicle)
        steps = [step - round(age / STEP_S) for age in sorted(ages_s, reverse=True)]
        known = [k for k in steps if k >= self.simulator.moments.first]
        return tuple(self.lidar(k, vehicle).moved(self._pose(k, vehicle), now) for k in known)

    def _pose(self, step: int, vehicle: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        pose: np.ndarray[tuple[int], np.dtype[np.float64]] = self.simulator.moments[step].pose[vehicle]
        return pose

    def _light(self, step: int, vehicle: int) -> Daylight:
        """The daylight with the sun turned into the ego frame."""
        heading = float(self.simulator.moments[step].pose[vehicle, 2])
        return replace(self.daylight, sun_azimuth=self.daylight.sun_azimuth - heading)

    def _rng(self, step: int, vehicle: int, purpose: int) -> np.random.Generator:
        """Noise that depends on town, seed, time, vehicle and purpose alone."""
        simulator = self.simulator
        frame = round(simulator.moments[step].time_s * 10.0)
        return np.random.default_rng([simulator.town.layout_seed, simulator.seed, frame, vehicle, purpose])

    def _time_us(self, step: int) -> int:
        return round(self.simulator.moments[step].time_s * 1e6)
