"""Scenes in quantity: town after town, moments spread over each town's life and its demonstrators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pair_drive_core.scene import DrivingCommand, EgoStatus, Scene
from pair_drive_core.town.data.scenes import KEY_FRAME_STEPS, SceneCutter
from pair_drive_core.town.data.splits import TownSplit, town_of
from pair_drive_core.town.sensing.lidar import lidar_raster
from pair_drive_core.town.sensing.sensors import TownSensors
from pair_drive_core.town.sensing.weather import draw_daylight
from pair_drive_core.town.streets.curves import FloatArray
from pair_drive_core.town.traffic.simulator import Town, TownConfig, TownSimulator


@dataclass(frozen=True)
class SensorSize:
    """Size of the network inputs that are rendered with each scene.

    Attributes:
        width_px: of the three joined front pictures.
        height_px: likewise.
        lidar_px: side of the LiDAR raster.
        lidar_reach_m: half the side of the area that the raster covers.
    """

    width_px: int = 256
    height_px: int = 64
    lidar_px: int = 64
    lidar_reach_m: float = 32.0


@dataclass(frozen=True)
class TownScene:
    """A scene and what the vehicle sensed.

    Attributes:
        scene: ground truth.
        command: where the route goes.
        status: (8,) float32: one-hot command, velocity, acceleration.
        camera: (height, width, 3) uint8; None where no sensors were asked for.
        lidar: (side, side) float32 in [0, 1]; None likewise.
    """

    scene: Scene
    command: DrivingCommand
    status: npt.NDArray[np.float32]
    camera: npt.NDArray[np.uint8] | None
    lidar: npt.NDArray[np.float32] | None


def scenes_of_town(
    split: TownSplit,
    number: int,
    count: int,
    config: TownConfig | None = None,
    sensors: SensorSize | None = None,
) -> Iterator[TownScene]:
    """Scenes of the n-th town of a split, always the same.

    Args:
        split: which towns.
        number: which of them.
        count: scenes to take.
        config: what towns hold.
        sensors: size of the network inputs; None for ground truth only.

    Yields:
        Scenes in random order, no two of one vehicle less than half a second apart.
    """
    cutter, moments, rng = _moments_of_town(split, number, count, config)
    simulator = cutter.simulator
    rendering = TownSensors(simulator, daylight=draw_daylight(rng)) if sensors is not None else None
    for index in rng.permutation(len(moments))[:count]:
        step, vehicle = moments[int(index)]
        yield _sense(cutter, rendering, sensors, step, vehicle)


def scene_pairs_of_town(
    split: TownSplit, number: int, count: int, config: TownConfig | None = None
) -> Iterator[tuple[TownScene, Scene | None]]:
    """The scenes of `scenes_of_town`, without sensors, each with the one of half a second before.

    Args:
        split: which towns.
        number: which of them.
        count: scenes to take.
        config: what towns hold.

    Yields:
        The scene, and the earlier one; None where the town's life does not reach back that far.
    """
    cutter, moments, rng = _moments_of_town(split, number, count, config)
    for index in rng.permutation(len(moments))[:count]:
        step, vehicle = moments[int(index)]
        before = step - KEY_FRAME_STEPS
        earlier = cutter.scene_at(before, vehicle) if before in cutter.steps else None
        yield _sense(cutter, None, None, step, vehicle), earlier


def _moments_of_town(
    split: TownSplit, number: int, count: int, config: TownConfig | None
) -> tuple[SceneCutter, list[tuple[int, int]], np.random.Generator]:
    """A town after its life, the (step, vehicle) that scenes can be taken from, and the source of randomness."""
    layout, seed = town_of(split, number)
    rng = np.random.default_rng([layout, seed, 8])
    simulator = TownSimulator(Town.build(layout, config), seed)
    demonstrators = int(simulator.fleet.demonstrator.sum())
    steps_each = -(-count // demonstrators)
    simulator.run(6.6 + max(2.0 * steps_each, 12.0))
    cutter = SceneCutter(simulator)
    steps = cutter.steps[::KEY_FRAME_STEPS]
    return cutter, [(step, vehicle) for step in steps for vehicle in range(demonstrators)], rng


def _sense(
    cutter: SceneCutter, rendering: TownSensors | None, size: SensorSize | None, step: int, vehicle: int
) -> TownScene:
    scene = cutter.scene_at(step, vehicle)
    status = cutter.status_at(step, vehicle)[-1]
    if rendering is None or size is None:
        return TownScene(scene, status.command, status_row(status), None, None)
    world = rendering.world(step, vehicle)
    camera = rendering.stitched(step, vehicle, size.width_px, size.height_px, world=world)
    points = rendering.lidar(step, vehicle, world).points
    lidar = lidar_raster(points, size.lidar_px, size.lidar_reach_m)
    return TownScene(scene, status.command, status_row(status), camera, lidar)


def status_row(status: EgoStatus) -> npt.NDArray[np.float32]:
    """(8,): one-hot command, velocity, acceleration (METHOD section 6)."""
    one_hot: FloatArray = np.zeros(4)
    one_hot[int(status.command)] = 1.0
    return np.concatenate((one_hot, status.velocity, status.acceleration)).astype(np.float32)
