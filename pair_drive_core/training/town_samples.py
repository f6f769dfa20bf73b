"""Moments of town life as training samples: what the sensors see, what the human did, and the scene that scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from pair_drive_core.models.bounds import AT_LEAST_ONE, AT_LEAST_ZERO, SHARE, Bound
from pair_drive_core.models.features import FeatureConfig, Features, assemble_features, build_features
from pair_drive_core.models.ground_image import GroundView
from pair_drive_core.scene import Scene
from pair_drive_core.town import SceneCutter, Town, TownSensors, TownSimulator, draw_daylight, stitch_calibrations
from pair_drive_core.town.data.displacement import displaced, draw_displacement
from pair_drive_core.town.data.splits import TownSplit, town_of
from pair_drive_core.training.bev_targets import paint_bev
from pair_drive_core.training.progress import Progress, silent
from pair_drive_core.training.samples import DrivingSamples

_STANDING_M = 0.5
"""A human who moves less than this in 4 s stands."""
_MOVING_MPS = 2.0
"""Slower vehicles are not displaced."""


@dataclass(frozen=True)
class TownDataConfig:
    """Which moments of which towns.

    Attributes:
        split: whose towns; splits share no street plan.
        first_town: number of the first town within the split.
        scenes: moments in all.
        scenes_a_town: moments taken of each town.
        simulated_s: life of each town.
        standing_share: share of the moments with a standing human that is kept.
        full_picture_share: share of the moments whose cameras are rendered whole, cropped and resized, as in a vehicle;
            the others are rendered straight to the network's size, which is faster.
        full_picture_width_px: width of each whole picture.
        displaced_share: share of the moments of a moving ego in which it is displaced and its human returns.
        displaced_m: how far at most.
        displaced_slope: drift at most, metres to the side a metre on.
    """

    split: TownSplit = TownSplit.TRAIN
    first_town: int = 0
    scenes: int = 4000
    scenes_a_town: int = 40
    simulated_s: float = 30.0
    standing_share: float = 0.35
    full_picture_share: float = 0.25
    full_picture_width_px: int = 480
    displaced_share: float = 0.0
    displaced_m: float = 1.2
    displaced_slope: float = 0.08

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "first_town": AT_LEAST_ZERO,
        "scenes": Bound(2),
        "scenes_a_town": AT_LEAST_ONE,
        "simulated_s": Bound(7.0, 3600.0),
        "standing_share": SHARE,
        "full_picture_share": SHARE,
        "full_picture_width_px": Bound(16, 4096),
        "displaced_share": SHARE,
        "displaced_m": AT_LEAST_ZERO,
        "displaced_slope": Bound(0.0, 1.0),
    }


@dataclass(frozen=True)
class TownSamples:
    """Samples and, in the same order, the scenes that they were taken from."""

    samples: DrivingSamples
    scenes: tuple[Scene, ...]

    def __len__(self) -> int:
        """Number of moments."""
        return len(self.scenes)


def collect_town_samples(
    config: TownDataConfig, features: FeatureConfig, seed: int, progress: Progress = silent, stage: str = "town"
) -> TownSamples:
    """Let towns live and take moments of their demonstrators.

    Args:
        config: which moments.
        features: sizes of the network inputs.
        seed: of traffic, daylight and choice of moments.
        progress: is told of every scene.
        stage: what the progress calls it.
    """
    parts: list[Features] = []
    scenes: list[Scene] = []
    town = config.first_town
    while len(scenes) < config.scenes:
        for part, scene in _town_moments(town, config, features, seed):
            parts.append(part)
            scenes.append(scene)
            progress(stage, len(scenes), config.scenes, {"town": town - config.first_town + 1})
            if len(scenes) == config.scenes:
                break
        town += 1
    human = torch.stack([scene.human.poses for scene in scenes if scene.human is not None])
    size, reach = features.lidar_size_px, features.lidar_range_m
    bev = torch.from_numpy(np.stack([paint_bev(scene, size, reach) for scene in scenes]))
    return TownSamples(DrivingSamples.from_features(parts, human, bev), tuple(scenes))


def _town_moments(
    number: int, config: TownDataConfig, features: FeatureConfig, seed: int
) -> Iterator[tuple[Features, Scene]]:
    """Moments of one town, spread over its life and its demonstrators."""
    layout, life = town_of(config.split, number)
    rng = np.random.default_rng([layout, life, seed, 7])
    simulator = TownSimulator(Town.build(layout), life)
    simulator.run(config.simulated_s)
    cutter = SceneCutter(simulator)
    sensors = TownSensors(simulator, daylight=draw_daylight(rng))
    vehicles = int(simulator.fleet.demonstrator.sum())
    moments = [(step, vehicle) for step in cutter.steps for vehicle in range(vehicles)]
    taken = 0
    for index in rng.permutation(len(moments)):
        step, vehicle = moments[index]
        scene = cutter.scene_at(step, vehicle)
        if scene.human is None or (_stands(scene) and rng.random() > config.standing_share):
            continue
        whole = rng.random() < config.full_picture_share
        width_px = config.full_picture_width_px if whole else None
        aside = rng.random() < config.displaced_share and float(scene.ego.velocity.norm()) > _MOVING_MPS
        displacement = draw_displacement(config.displaced_m, config.displaced_slope, rng)
        with displaced(simulator, step, vehicle, displacement) if aside else nullcontext():
            shown = cutter.scene_at(step, vehicle) if aside else scene
            sensed = _sense(sensors, cutter, step, vehicle, features, width_px)
        yield sensed, shown
        taken += 1
        if taken == config.scenes_a_town:
            return


def _stands(scene: Scene) -> bool:
    return scene.human is not None and float(scene.human.poses[-1, :2].norm()) < _STANDING_M


def _sense(
    sensors: TownSensors, cutter: SceneCutter, step: int, vehicle: int, config: FeatureConfig, width_px: int | None
) -> Features:
    """Network inputs of one moment, from whole pictures of a width or rendered straight to size."""
    if width_px is not None:
        return build_features(cutter.agent_input(sensors, step, vehicle, width_px=width_px), config)
    world = sensors.world(step, vehicle)
    image = sensors.stitched(step, vehicle, config.image_width_px, config.image_height_px, world=world)
    status = cutter.status_at(step, vehicle)[-1]
    views = town_views(config.image_width_px, config.image_height_px)
    return assemble_features(image, views, sensors.lidar(step, vehicle, world), status, config)


def town_views(width_px: int, height_px: int) -> list[GroundView]:
    """Where the town's cameras are in a picture that it renders stitched already."""
    calibrations = stitch_calibrations(width_px, height_px)
    edges = np.cumsum([0, *(calibration.width_px for calibration in calibrations)])
    return [
        GroundView.of(calibration, (0.0, 0.0), (1.0, 1.0), (float(edges[i]), float(edges[i + 1])))
        for i, calibration in enumerate(calibrations)
    ]
