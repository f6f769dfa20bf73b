"""The pieces of work of building a scene cache: the scenes of one log, or a batch of second-stage scenes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from pair_drive_core.datasets.cache.codec import FORMAT as SCENE_FORMAT
from pair_drive_core.datasets.cache.codec import encode_scene
from pair_drive_core.datasets.cache.scene_cache import CACHE_FORMAT, PackedScene, Shard, SkippedScene, write_shard
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.file_names import path_inside
from pair_drive_core.datasets.maps.map_index import MapIndex
from pair_drive_core.datasets.maps.nuplan_maps import NuplanMapLibrary, read_map
from pair_drive_core.datasets.navsim.blobs import read_pcd, require_whole_jpeg
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders, SceneWindow
from pair_drive_core.datasets.navsim.scene_filter import SceneFilter
from pair_drive_core.datasets.navsim.synthetic_scenes import SyntheticScene, read_synthetic_scene
from pair_drive_core.planning import pdm_reference
from pair_drive_core.scene import FRONT_CAMERAS, Scene, SceneError
from pair_drive_core.scoring.metric import Metric

SECOND_STAGE = "second_stage"
"""Names of the shards of second-stage scenes begin with this."""


@dataclass(frozen=True)
class CacheSettings:
    """How to build.

    Attributes:
        folders: logs, sensor blobs and maps.
        scene_filter: which scenes.
        skip_bad: leave out what cannot be read and list it, instead of stopping.
        check_blobs: also require whole sensor files of frame t0 that the planner reads (first stage).
        synthetic_scenes: folder of the second-stage scenes, for benchmarks that have them.
        compression: zlib's level, 0 (largest files, fastest to load) to 9.
        references: metric whose PDM-Closed plans are stored along, so that nobody has to make them again; None stores
            none.
    """

    folders: NavsimFolders
    scene_filter: SceneFilter
    skip_bad: bool = False
    check_blobs: bool = False
    synthetic_scenes: Path | None = None
    compression: int = 0
    references: Metric | None = None

    def fingerprint(self, files: list[Path], *more: object) -> str:
        """Changes whenever the scenes made from some files could change."""
        made_from = {
            "formats": [CACHE_FORMAT, SCENE_FORMAT],
            "filter": asdict(self.scene_filter),
            "check_blobs": self.check_blobs,
            "compression": self.compression,
            "files": [_stamp(path) for path in files],
            "maps": [_stamp(path) for path in sorted(self.folders.maps.glob("*/*/map.gpkg"))],
            "more": more,
            **({} if self.references is None else {"references": self.references.value}),
        }
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class LogJob:
    """The scenes of one log.

    Attributes:
        settings: how to build.
        root: cache folder.
        path: the log's file.
        limit: take at most so many scenes; None takes all.
    """

    settings: CacheSettings
    root: Path
    path: Path
    limit: int | None = None

    @property
    def name(self) -> str:
        """Name of the shard."""
        return self.path.stem

    def source(self) -> str:
        """Fingerprint of what the shard is made from."""
        flaws = self.settings.folders.flaw_path(self.path.stem)
        files = [self.path, flaws] if flaws.is_file() else [self.path]
        return self.settings.fingerprint(files, *(() if self.limit is None else (self.limit,)))

    def run(self) -> Shard:
        """Read the log and write its shard.

        Raises:
            FileNotFoundError: naming a file that is not there.
            DatasetError: naming a file at fault.
        """
        folders = self.settings.folders
        dataset = NavsimDataset(folders, self.settings.scene_filter, partial(map_index_of, folders.maps))
        skipped: list[SkippedScene] = []
        try:
            windows = dataset.windows(self.path)[: self.limit]
        except DatasetError as error:
            if not self.settings.skip_bad:
                raise
            windows, skipped = [], [SkippedScene(None, str(error))]
        scenes = []
        for window in windows:
            data = _packed(partial(self._scene, dataset, window), window.token, self, skipped)
            if data is not None:
                scenes.append(PackedScene(window.token, window.frames[-1].token, data, window.oddities))
        return write_shard(self.root, self.name, self.source(), scenes, skipped, self.settings.references)

    def _scene(self, dataset: NavsimDataset, window: SceneWindow) -> Scene:
        if self.settings.check_blobs:
            _require_blobs(window, self.settings.folders.blobs)
        return _referenced(dataset.scene(window), self.settings.references, window.log_path)


@dataclass(frozen=True)
class SecondStageJob:
    """A batch of second-stage scenes.

    Attributes:
        settings: how to build.
        root: cache folder.
        number: of the batch.
        paths: files of the scenes.
        ends: last frames of the first-stage scenes; scenes that the filter does not name must follow one.
    """

    settings: CacheSettings
    root: Path
    number: int
    paths: tuple[Path, ...]
    ends: frozenset[str]

    @property
    def name(self) -> str:
        """Name of the shard."""
        return f"{SECOND_STAGE}_{self.number:04d}"

    def source(self) -> str:
        """Fingerprint of what the shard is made from."""
        return self.settings.fingerprint(list(self.paths), sorted(self.ends))

    def run(self) -> Shard:
        """Read the scenes and write their shard.

        Raises:
            DatasetError: naming a file at fault.
        """
        scenes, skipped = [], list[SkippedScene]()
        for path in self.paths:
            try:
                synthetic = read_synthetic_scene(path)
            except DatasetError as error:
                if not self.settings.skip_bad:
                    raise
                skipped.append(SkippedScene(path.stem, str(error)))
                continue
            if not self._wants(synthetic):
                continue
            index = map_index_of(self.settings.folders.maps, synthetic.map_location)
            data = _packed(partial(self._scene, synthetic, index), synthetic.token, self, skipped)
            if data is not None:
                scenes.append(PackedScene(synthetic.token, synthetic.original_token, data))
        return write_shard(self.root, self.name, self.source(), scenes, skipped, self.settings.references)

    def _scene(self, synthetic: SyntheticScene, index: MapIndex) -> Scene:
        return _referenced(synthetic.scene(index), self.settings.references, synthetic.path)

    def _wants(self, synthetic: SyntheticScene) -> bool:
        wanted = self.settings.scene_filter.synthetic_scene_tokens
        logs = self.settings.scene_filter.log_names
        chosen = synthetic.original_token in self.ends if wanted is None else synthetic.token in wanted
        return chosen and (logs is None or synthetic.log_name in logs)


def _referenced(scene: Scene, metric: Metric | None, path: Path) -> Scene:
    """The scene with PDM-Closed's plan, if that is wanted."""
    if metric is None:
        return scene
    try:
        return replace(scene, reference=pdm_reference(scene, metric))
    except SceneError as error:
        raise DatasetError(path, str(error)) from error


CacheJob = LogJob | SecondStageJob


def run_job(job: CacheJob) -> Shard:
    """Do a piece of work; importable by name, for other processes."""
    return job.run()


def map_index_of(maps: Path, location: str) -> MapIndex:
    """The map of a city; a process reads it once, and again when its file has changed."""
    path = NuplanMapLibrary(maps).path(location)
    return _read_map_index(path, location, tuple(_stamp(path)) if path.is_file() else ())


@lru_cache(maxsize=4)
def _read_map_index(path: Path, location: str, stamp: tuple[object, ...]) -> MapIndex:
    """As the file is with this stamp."""
    return MapIndex(read_map(path, location))


def _packed(make: Callable[[], Scene], token: str, job: CacheJob, skipped: list[SkippedScene]) -> bytes | None:
    try:
        return encode_scene(make().validate(), job.settings.compression)
    except (DatasetError, FileNotFoundError) as error:
        # A broken map concerns every scene: skipping would leave nothing and call it success.
        if not job.settings.skip_bad or is_of_map(error):
            raise
        skipped.append(SkippedScene(token, str(error)))
        return None


def is_of_map(error: Exception) -> bool:
    """Whether it is a map that cannot be read, which concerns every scene."""
    if isinstance(error, DatasetError):
        return error.path.suffix in (".gpkg", ".json")
    return ".gpkg: " in str(error) or "nuplan-maps" in str(error)


def _require_blobs(window: SceneWindow, folder: Path) -> None:
    now = window.now
    missing = [name for name in FRONT_CAMERAS if name not in now.cameras]
    if missing or now.lidar_path is None:
        raise DatasetError(window.log_path, f"scene {window.token}: frame names no {missing or 'LiDAR point cloud'}")
    for relative in (*(now.cameras[name].data_path for name in FRONT_CAMERAS), now.lidar_path):
        path = path_inside(folder, relative, window.log_path)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: sensor file of scene {window.token} is missing")
    read_pcd(folder / now.lidar_path)
    for name in FRONT_CAMERAS:
        require_whole_jpeg(folder / now.cameras[name].data_path)


def _stamp(path: Path) -> list[object]:
    stat = path.stat()
    return [path.name, path.parent.name, stat.st_size, stat.st_mtime_ns]
