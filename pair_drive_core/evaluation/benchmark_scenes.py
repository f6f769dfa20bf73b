"""Where a benchmark's scenes come from: a NAVSIM data set, a scene cache, towns made on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pair_drive_core.datasets.cache.scene_cache import SceneCache
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, SceneWindow
from pair_drive_core.scene import AgentInput, Scene, SceneError
from pair_drive_core.town import SceneCutter, Town, TownSensors, TownSimulator
from pair_drive_core.town.data.navsim_log import log_name
from pair_drive_core.town.data.splits import TownSplit, town_of

_TOWN_SECONDS = 16.0
_TOWN_VEHICLES = 4
_TOWN_STRIDE = 5
_TOWN_CAMERA_PX = 480


@dataclass(frozen=True)
class BenchmarkScene:
    """A scene and how to sense it.

    Attributes:
        scene: ground truth.
        log_name: the drive that it belongs to; consecutive frames of one drive give extended comfort.
        sense: makes what a planner may look at; None where the source has no sensors.
        second_stage: whether it is a synthetic scene that follows a first-stage scene.
        oddities: what is odd about it and the official code lets pass.
    """

    scene: Scene
    log_name: str
    sense: Callable[[], AgentInput] | None
    second_stage: bool = False
    oddities: tuple[str, ...] = ()


@dataclass(frozen=True)
class SkippedBenchmarkScene:
    """A scene that could not be read and was left out on request.

    Attributes:
        token: its name.
        problem: the error, which names the file.
    """

    token: str
    problem: str


def navsim_scenes(
    dataset: NavsimDataset, skipped: list[SkippedBenchmarkScene] | None = None
) -> Iterator[BenchmarkScene]:
    """Scenes of a NAVSIM data set, log by log.

    Args:
        dataset: the data set.
        skipped: takes the scenes that cannot be read; None stops at the first.

    Raises:
        FileNotFoundError: naming a file that is not there.
        DatasetError: naming the first file at fault.
    """
    for window in dataset:
        made = _read(dataset, window, skipped)
        if made is not None:
            yield made


def _read(
    dataset: NavsimDataset, window: SceneWindow, skipped: list[SkippedBenchmarkScene] | None
) -> BenchmarkScene | None:
    try:
        scene = dataset.scene(window)
    except DatasetError as error:
        if skipped is None or error.path != window.log_path:
            raise
        skipped.append(SkippedBenchmarkScene(window.token, str(error)))
        return None
    return BenchmarkScene(scene, window.now.log_name, lambda: dataset.agent_input(window))


def cached_scenes(cache: SceneCache) -> Iterator[BenchmarkScene]:
    """Scenes of a cache; it holds no sensors, so only planners with ground truth can be judged.

    Raises:
        DatasetError: naming a torn file.
    """
    for shard in cache.shards:
        for record in shard.records:
            yield BenchmarkScene(cache.scene(record.token), shard.name, None)


def town_scenes(split: TownSplit, count: int) -> Iterator[BenchmarkScene]:
    """The first scenes of a split of towns, drive by drive, two a second, always the same.

    Args:
        split: which towns.
        count: how many scenes.

    Raises:
        SceneError: if none are asked for.
    """
    if count < 1:
        raise SceneError(f"scenes: expected at least one, got {count}")
    left, number = count, 0
    while left > 0:
        layout, seed = town_of(split, number)
        simulator = TownSimulator(Town.build(layout), seed)
        simulator.run(_TOWN_SECONDS)
        cutter, sensors = SceneCutter(simulator), TownSensors(simulator)
        moments = [(v, step) for v in range(_TOWN_VEHICLES) for step in cutter.steps[::_TOWN_STRIDE]]
        for vehicle, step in moments[:left]:
            yield _cut(cutter, sensors, vehicle, step)
        left -= len(moments)
        number += 1


def _cut(cutter: SceneCutter, sensors: TownSensors, vehicle: int, step: int) -> BenchmarkScene:
    simulator = cutter.simulator
    drive = log_name(simulator.town.layout_seed, simulator.seed, vehicle)
    return BenchmarkScene(
        cutter.scene_at(step, vehicle),
        drive,
        lambda: cutter.agent_input(sensors, step, vehicle, width_px=_TOWN_CAMERA_PX),
    )
