"""Training data on disk: moments of town life as memory-mapped arrays, one folder a town.

A shard is whole when its index is there: everything else is written first, into a folder of another name, and the
folder is renamed. A making that was killed goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pair_drive_core.datasets.cache.codec import encode_scene
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.parallel import results_of
from pair_drive_core.models.configuration import config_to_mapping
from pair_drive_core.models.features import FeatureConfig, Features, assemble_features, build_features
from pair_drive_core.planning.pdm_closed import pdm_references
from pair_drive_core.scene import Scene
from pair_drive_core.scoring import Metric
from pair_drive_core.town import SceneCutter, Town, TownSensors, TownSimulator, draw_daylight
from pair_drive_core.town.data.displacement import Displacement, displaced, draw_displacement
from pair_drive_core.town.data.scenes import KEY_FRAME_STEPS
from pair_drive_core.training.town_samples import town_views
from pair_drive_core.training.world_painting import paint_world, progress_of

FORMAT = "pair_drive_shards/1"
_INDEX = "index.json"
_STANDING_M = 0.5
"""A human who moves less than this in 4 s stands."""
_MOVING_MPS = 2.0
"""Slower vehicles are not displaced."""
ARRAYS = ("camera", "lidar", "ground", "status", "human", "flags", "line", "best_progress", "scene_ends", "scenes")


@dataclass(frozen=True)
class MomentConfig:
    """Which moments are taken of each town, and how they are shown.

    Attributes:
        scenes_a_town: moments.
        simulated_s: life of each town.
        seed: of daylight and of the choice of moments.
        standing_share: share of the moments with a standing human that is kept.
        full_picture_share: share of the moments whose cameras are rendered whole, cropped and resized, as in a vehicle;
            the others are rendered straight to the network's size, which is faster.
        full_picture_width_px: width of each whole picture.
        displaced_share: share of the moments of a moving ego in which it is displaced and its human returns.
        displaced_m: how far to the side at most.
        displaced_slope: drift at most, metres to the side a metre on; 0.27 is 15 degrees.
    """

    scenes_a_town: int = 40
    simulated_s: float = 30.0
    seed: int = 0
    standing_share: float = 0.35
    full_picture_share: float = 0.1
    full_picture_width_px: int = 640
    displaced_share: float = 0.4
    displaced_m: float = 1.2
    displaced_slope: float = 0.27


@dataclass(frozen=True)
class ShardConfig:
    """Towns by number and what is made of them.

    Attributes:
        first_layout: number of the first street plan.
        towns: how many.
        life: seed of their traffic.
        moments: of each town.
        features: sizes of the network inputs.
    """

    first_layout: int = 0
    towns: int = 500
    life: int = 0
    moments: MomentConfig = field(default_factory=MomentConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)

    def recipe(self) -> str:
        """Hash of everything that decides what a town's shard holds."""
        plain = {"moments": config_to_mapping(self.moments), "features": config_to_mapping(self.features)}
        text = json.dumps({"format": FORMAT, "life": self.life, **plain}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class ShardJob:
    """One town of a making."""

    root: Path
    layout: int
    config: ShardConfig

    @property
    def folder(self) -> Path:
        """Where the shard lies when it is whole."""
        return self.root / f"town_{self.layout:05d}_{self.config.life:07d}"


@dataclass(frozen=True)
class Moment:
    """What is known of one moment.

    Attributes:
        features: network inputs.
        scene: for the metric.
        before: the same vehicle a key frame (0.5 s) earlier; None where nobody asked or life had just begun.
    """

    features: Features
    scene: Scene
    before: Moment | None = None


def moments_of_town(
    layout: int, life: int, config: MomentConfig, features: FeatureConfig, consecutive: bool = False
) -> Iterator[Moment]:
    """Moments of one town, spread over its life and its demonstrators; always the same.

    Args:
        layout: number of the town.
        life: seed of its traffic.
        config: which moments.
        features: sizes of the network inputs.
        consecutive: whether each comes with the moment before it, which is never displaced.
    """
    rng = np.random.default_rng([layout, life, config.seed, 7])
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
        displacement = _draw_displacement(config, rng)
        with displaced(simulator, step, vehicle, displacement) if aside else nullcontext():
            shown = cutter.scene_at(step, vehicle) if aside else scene
            sensed = _sense(sensors, cutter, step, vehicle, features, width_px)
        before: Moment | None = None
        if consecutive and step - KEY_FRAME_STEPS in cutter.steps:
            earlier = step - KEY_FRAME_STEPS
            seen = _sense(sensors, cutter, earlier, vehicle, features, width_px)
            before = Moment(seen, cutter.scene_at(earlier, vehicle))
        yield Moment(sensed, shown, before)
        taken += 1
        if taken == config.scenes_a_town:
            return


def _draw_displacement(config: MomentConfig, rng: np.random.Generator) -> Displacement:
    """Mostly small turns: the greatest ones leave the road soon."""
    slope = config.displaced_slope * (1.0 if rng.random() < 0.3 else 0.3)
    return draw_displacement(config.displaced_m, slope, rng)


def _stands(scene: Scene) -> bool:
    return scene.human is not None and float(scene.human.poses[-1, :2].norm()) < _STANDING_M


def _sense(
    sensors: TownSensors, cutter: SceneCutter, step: int, vehicle: int, config: FeatureConfig, width_px: int | None
) -> Features:
    """Network inputs of one moment, from whole pictures of a width or rendered straight to size."""
    ages = config.lidar_past_s
    if width_px is not None:
        readings = cutter.agent_input(sensors, step, vehicle, width_px=width_px, lidar_ages_s=ages)
        return build_features(readings, config)
    world = sensors.world(step, vehicle)
    image = sensors.stitched(step, vehicle, config.image_width_px, config.image_height_px, world=world)
    status = cutter.status_at(step, vehicle)[-1]
    views = town_views(config.image_width_px, config.image_height_px)
    earlier = sensors.earlier_lidar(step, vehicle, ages)
    return assemble_features(image, views, sensors.lidar(step, vehicle, world), status, config, earlier)


def make_shards(
    root: Path, config: ShardConfig, workers: int = 1, progress: Callable[[int, int], None] | None = None
) -> int:
    """Make the shards that are not there yet.

    Args:
        root: folder of the shards.
        config: which.
        workers: processes.
        progress: is told the towns that are there and the towns wanted.

    Returns:
        Shards made now.

    Raises:
        DatasetError: if the folder holds a shard of another recipe.
    """
    jobs = [ShardJob(root, config.first_layout + n, config) for n in range(config.towns)]
    wanted = [job for job in jobs if not _whole(job)]
    there = len(jobs) - len(wanted)
    for made, _ in enumerate(results_of(make_shard, wanted, workers), start=1):
        if progress is not None:
            progress(there + made, len(jobs))
    return len(wanted)


def _whole(job: ShardJob) -> bool:
    if not (job.folder / _INDEX).is_file():
        return False
    read_index(job.folder, job.config.recipe())
    return True


def make_shard(job: ShardJob) -> int:
    """Make one town's shard; answers how many moments it holds."""
    config = job.config
    made = list(moments_of_town(job.layout, config.life, config.moments, config.features))
    references = pdm_references([moment.scene for moment in made], Metric.V2)
    # The lane graph served the reference planner; nothing else asks for it.
    scenes = [
        replace(moment.scene, reference=reference, lanes=None, planner_lights=None)
        for moment, reference in zip(made, references, strict=True)
    ]
    packed = [encode_scene(scene) for scene in scenes]
    painted = [paint_world(scene, config.features) for scene in scenes]
    joined = Features.concatenate([moment.features for moment in made])
    arrays: dict[str, npt.NDArray[Any]] = {
        "camera": _bytes_of(joined.camera),
        "lidar": _bytes_of(joined.lidar),
        "ground": _bytes_of(joined.ground),
        "status": joined.status.numpy().astype(np.float32),
        "human": np.stack([s.human.poses.numpy() for s in scenes if s.human is not None]).astype(np.float32),
        "flags": np.stack([world.flags for world in painted]),
        "line": np.stack([world.line for world in painted]),
        "best_progress": np.array([progress_of(scene) for scene in scenes], dtype=np.float32),
        "scene_ends": np.cumsum([len(part) for part in packed], dtype=np.int64),
        "scenes": np.frombuffer(b"".join(packed), dtype=np.uint8),
    }
    _write(job.folder, arrays, {"format": FORMAT, "recipe": config.recipe(), "scenes": len(made)})
    return len(made)


def _bytes_of(picture: Any) -> npt.NDArray[np.uint8]:  # noqa: ANN401 - a tensor in [0, 1]
    return np.asarray((picture * 255.0).round().byte().numpy())


def _write(folder: Path, arrays: Mapping[str, npt.NDArray[Any]], index: Mapping[str, Any]) -> None:
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    for name, values in arrays.items():
        np.save(partial / f"{name}.npy", values)
    sizes = {name: (partial / f"{name}.npy").stat().st_size for name in arrays}
    (partial / _INDEX).write_text(json.dumps({**index, "bytes": sizes}, sort_keys=True))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def read_index(folder: Path, recipe: str | None = None) -> Mapping[str, Any]:
    """The index of a shard, compared with what lies beside it.

    Args:
        folder: of the shard.
        recipe: that it must have been made by; None for any.

    Raises:
        DatasetError: if the shard is torn, of another format or of another recipe.
    """
    path = folder / _INDEX
    try:
        index: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DatasetError(path, f"torn shard ({error}); delete its folder and make it again") from error
    if index.get("format") != FORMAT:
        raise DatasetError(path, f"expected format {FORMAT!r}, got {index.get('format')!r}")
    if recipe is not None and index.get("recipe") != recipe:
        raise DatasetError(path, f"expected a shard of recipe {recipe}, got {index.get('recipe')}; take another folder")
    for name in ARRAYS:
        file, wanted = folder / f"{name}.npy", index.get("bytes", {}).get(name)
        got = file.stat().st_size if file.is_file() else None
        if wanted is None or got != wanted:
            raise DatasetError(file, f"torn shard: expected {wanted} bytes, got {got}; delete its folder")
    return index
