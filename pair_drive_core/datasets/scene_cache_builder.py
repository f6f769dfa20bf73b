"""Builds a scene cache: every log is one job, finished logs are kept, torn ones are made again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from pair_drive_core.datasets.errors import DatasetError, UnknownTokenError
from pair_drive_core.datasets.navsim_dataset import NavsimDataset, NavsimFolders, SceneWindow, require_all_tokens
from pair_drive_core.datasets.parallel import Backend, results_of
from pair_drive_core.datasets.scene_cache import (
    CACHE_FORMAT,
    Shard,
    SkippedScene,
    read_shard,
    shard_problem,
    write_shard,
)
from pair_drive_core.datasets.scene_codec import FORMAT as SCENE_FORMAT
from pair_drive_core.datasets.scene_codec import encode_scene
from pair_drive_core.datasets.scene_filter import SceneFilter
from pair_drive_core.scene import FRONT_CAMERAS


@dataclass(frozen=True)
class CacheSettings:
    """How to build.

    Attributes:
        folders: logs, sensor blobs and maps.
        scene_filter: which scenes.
        skip_bad: leave out what cannot be read and list it, instead of stopping.
        check_blobs: also require the sensor files of frame t0 that the planner reads.
    """

    folders: NavsimFolders
    scene_filter: SceneFilter
    skip_bad: bool = False
    check_blobs: bool = False


@dataclass(frozen=True)
class CacheReport:
    """What was built.

    Attributes:
        scenes: number of scenes in the cache.
        built: logs that were read now.
        kept: logs that were there already, whole and up to date.
        rebuilt: logs that were there, but torn or out of date.
        skipped: what was left out; empty unless that was asked for.
        seconds: wall time.
        built_scenes: scenes that were made now.
    """

    scenes: int
    built: int
    kept: int
    rebuilt: int
    skipped: tuple[SkippedScene, ...]
    seconds: float
    built_scenes: int

    @property
    def scenes_per_s(self) -> float:
        """Scenes made per second."""
        return self.built_scenes / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class _Job:
    settings: CacheSettings
    root: Path
    log_path: Path
    source: str


def build_scene_cache(
    settings: CacheSettings,
    root: Path,
    workers: int = 1,
    backend: Backend = Backend.PROCESSES,
    progress: Callable[[int, int, int], None] | None = None,
) -> CacheReport:
    """Build or complete a cache.

    Args:
        settings: what to read.
        root: cache folder.
        workers: processes.
        backend: where jobs run.
        progress: called after each log with logs done, logs in all and scenes so far.

    Raises:
        FileNotFoundError: naming a folder, log or map that is not there.
        DatasetError: naming the first file at fault, unless bad ones are skipped; what was finished stays.
        UnknownTokenError: if the filter names scenes that no log holds, unless bad ones are skipped.
    """
    started = time.perf_counter()
    maps = _map_stamps(settings.folders.maps)
    jobs, kept, torn = [], [], 0
    paths = settings.folders.log_paths(settings.scene_filter)
    for path in paths:
        source = _fingerprint(settings, path, maps)
        whole, existed = _whole_shard(root, path.stem, source)
        if whole is not None:
            kept.append(whole)
        else:
            torn += int(existed)
            jobs.append(_Job(settings, root, path, source))
    shards = list(kept)
    scenes = sum(len(shard.records) for shard in kept)
    if progress is not None:
        progress(len(shards), len(paths), scenes)
    for shard in results_of(_build_log, jobs, workers, backend):
        shards.append(shard)
        scenes += len(shard.records)
        if progress is not None:
            progress(len(shards), len(paths), scenes)
    skipped = [entry for shard in sorted(shards, key=lambda shard: shard.name) for entry in shard.skipped]
    skipped += _missing_tokens(settings, shards)
    built_scenes = scenes - sum(len(shard.records) for shard in kept)
    seconds = time.perf_counter() - started
    return CacheReport(scenes, len(jobs), len(kept), torn, tuple(skipped), seconds, built_scenes)


def _whole_shard(root: Path, name: str, source: str) -> tuple[Shard | None, bool]:
    """The shard that is there, if it is whole and up to date; and whether there was one at all."""
    try:
        shard = read_shard(root, name)
    except FileNotFoundError:
        return None, False
    except DatasetError:
        return None, True
    fresh = shard.source == source and shard_problem(root, shard) is None
    return (shard if fresh else None), True


@lru_cache(maxsize=1)
def _dataset(folders: NavsimFolders, scene_filter: SceneFilter) -> NavsimDataset:
    """One data set a process: its maps are read once."""
    return NavsimDataset(folders, scene_filter)


def _build_log(job: _Job) -> Shard:
    """Read one log and write its shard."""
    dataset = _dataset(job.settings.folders, job.settings.scene_filter)
    skipped: list[SkippedScene] = []
    scenes: list[tuple[str, bytes]] = []
    try:
        windows = dataset.windows(job.log_path)
    except DatasetError as error:
        if not job.settings.skip_bad:
            raise
        windows, skipped = [], [SkippedScene(None, str(error))]
    for window in windows:
        packed = _packed_scene(dataset, window, job.settings, skipped)
        if packed is not None:
            scenes.append((window.token, packed))
    return write_shard(job.root, job.log_path.stem, job.source, scenes, skipped)


def _packed_scene(
    dataset: NavsimDataset, window: SceneWindow, settings: CacheSettings, skipped: list[SkippedScene]
) -> bytes | None:
    try:
        if settings.check_blobs:
            _require_blobs(window, settings.folders.blobs)
        return encode_scene(dataset.scene(window))
    except (DatasetError, FileNotFoundError) as error:
        if not settings.skip_bad or not _concerns_scene(error, window):
            raise
        skipped.append(SkippedScene(window.token, str(error)))
        return None


def _concerns_scene(error: DatasetError | FileNotFoundError, window: SceneWindow) -> bool:
    """Whether an error is about one scene; a broken map concerns all, and skipping would leave nothing."""
    return isinstance(error, FileNotFoundError) or error.path == window.log_path


def _require_blobs(window: SceneWindow, folder: Path) -> None:
    now = window.now
    missing = [name for name in FRONT_CAMERAS if name not in now.cameras]
    if missing or now.lidar_path is None:
        raise DatasetError(window.log_path, f"scene {window.token}: frame names no {missing or 'LiDAR point cloud'}")
    for relative in (*(now.cameras[name].data_path for name in FRONT_CAMERAS), now.lidar_path):
        if not (folder / relative).is_file():
            raise FileNotFoundError(f"{folder / relative}: sensor file of scene {window.token} is missing")


def _missing_tokens(settings: CacheSettings, shards: list[Shard]) -> list[SkippedScene]:
    found = [record.token for shard in shards for record in shard.records]
    found += [entry.token for shard in shards for entry in shard.skipped if entry.token is not None]
    try:
        require_all_tokens(settings.folders, settings.scene_filter, found)
    except UnknownTokenError as error:
        if not settings.skip_bad:
            raise
        missing = [token for token in settings.scene_filter.tokens or () if token not in set(found)]
        return [SkippedScene(token, str(error)) for token in missing]
    return []


def _fingerprint(settings: CacheSettings, log_path: Path, maps: list[list[object]]) -> str:
    """Changes whenever the cached scenes of a log could change."""
    stat = log_path.stat()
    made_from = {
        "formats": [CACHE_FORMAT, SCENE_FORMAT],
        "filter": asdict(settings.scene_filter),
        "check_blobs": settings.check_blobs,
        "skip_bad": settings.skip_bad,
        "log": [log_path.name, stat.st_size, stat.st_mtime_ns],
        "maps": maps,
    }
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


def _map_stamps(maps: Path) -> list[list[object]]:
    files = sorted(maps.glob("*/*/map.gpkg"))
    return [[str(p.relative_to(maps)), p.stat().st_size, p.stat().st_mtime_ns] for p in files]
