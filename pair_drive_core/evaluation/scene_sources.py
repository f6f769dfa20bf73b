"""Sources of benchmark scenes that can be cut into parts, one a process: NAVSIM data sets, caches, towns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Protocol, TypeVar

from pair_drive_core.datasets.cache.jobs import SECOND_STAGE, is_of_map, map_index_of
from pair_drive_core.datasets.cache.scene_cache import MANIFEST, SceneCache
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.maps.scene_map import lanes_around
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders, SceneWindow, missing_tokens
from pair_drive_core.datasets.navsim.metric_caches import MetricCaches, is_second_stage_token
from pair_drive_core.datasets.navsim.scene_filter import Split
from pair_drive_core.datasets.navsim.synthetic_scenes import SyntheticScene, read_synthetic_scene
from pair_drive_core.evaluation.benchmark_scenes import BenchmarkScene, SkippedBenchmarkScene, town_scenes
from pair_drive_core.scene import FRONT_CAMERAS, AgentInput
from pair_drive_core.scoring import Metric
from pair_drive_core.scoring.aggregation import TwoStageGroup
from pair_drive_core.town.data.splits import TownSplit

Skip = Callable[[str, Exception], None]
"""Takes the name of a scene or log that cannot be read, and the error."""
PartT = TypeVar("PartT")


@dataclass(frozen=True)
class SensedScene:
    """What a planner may look at in one scene, without the ground truth.

    Attributes:
        token: the scene.
        second_stage: whether it follows a first-stage scene.
        sense: reads the sensors.
    """

    token: str
    second_stage: bool
    sense: Callable[[], AgentInput]


class SceneSource(Protocol):
    """Where scenes come from; travels to other processes."""

    def parts(self, count: int) -> Sequence[SceneSource]:
        """The source cut into at most about `count` parts; each log lies in one of them."""
        ...

    def scenes(self, skip: Skip | None) -> Iterator[BenchmarkScene]:
        """All scenes, log by log, the second stage last.

        Args:
            skip: takes what cannot be read; None raises the first error.
        """
        ...

    def missing(self, found: set[str]) -> list[str]:
        """Scenes that were asked for by name and are not among those that were found."""
        ...

    def expected(self) -> int | None:
        """How many scenes there should be; None where only reading tells."""
        ...


@dataclass(frozen=True)
class NavsimSource:
    """A NAVSIM data set.

    Attributes:
        folders: logs, sensors and maps.
        split: which scenes.
        synthetic_scenes: folder of the second-stage scenes; None takes the first stage only.
        synthetic_blobs: folder of their sensor files; None takes `folders.blobs`.
        logs: files of the logs; None takes all of the split.
        followers: files of second-stage scenes; None takes all of the split.
    """

    folders: NavsimFolders
    split: Split
    synthetic_scenes: Path | None = None
    synthetic_blobs: Path | None = None
    logs: tuple[Path, ...] | None = None
    followers: tuple[Path, ...] | None = None

    def parts(self, count: int) -> Sequence[NavsimSource]:
        """See `SceneSource`."""
        if self.split.scene_filter.max_scenes is not None:
            return [self]
        logs, followers = self._log_paths(), self._follower_paths()
        return [
            *(replace(self, logs=some, followers=()) for some in _chunks(logs, count)),
            *(replace(self, logs=(), followers=some) for some in _chunks(followers, count)),
        ]

    def scenes(self, skip: Skip | None) -> Iterator[BenchmarkScene]:
        """See `SceneSource`."""
        dataset = self._dataset()
        for window in self._windows(dataset, skip):
            made = _attempt(window.token, partial(dataset.scene, window), skip)
            if made is not None:
                sense = partial(dataset.agent_input, window)
                yield BenchmarkScene(made, window.now.log_name, sense, oddities=window.oddities)
        for follower in self._read_followers(skip):
            index = map_index_of(self.folders.maps, follower.map_location)
            made = _attempt(follower.token, partial(follower.scene, index), skip)
            if made is not None:
                yield BenchmarkScene(made, follower.log_name, self._sense(follower), second_stage=True)

    def inputs(self, skip: Skip | None, with_sensors: bool = True) -> Iterator[SensedScene]:
        """What planners may look at in all scenes; no annotations, maps or futures are needed.

        Args:
            skip: as in `scenes`.
            with_sensors: whether to read pictures and point clouds, beside the ego's states.
        """
        dataset = self._dataset()
        cameras = FRONT_CAMERAS if with_sensors else ()
        for window in self._windows(dataset, skip):
            # Logs of private test sets, and second-stage scenes, may have no point clouds.
            lidar = with_sensors and window.now.lidar_path is not None
            yield SensedScene(window.token, False, partial(dataset.agent_input, window, cameras, lidar))
        for follower in self._read_followers(skip):
            blobs = self.synthetic_blobs or self.folders.blobs
            yield SensedScene(follower.token, True, partial(follower.agent_input, blobs, cameras, with_sensors))

    def missing(self, found: set[str]) -> list[str]:
        """See `SceneSource`."""
        first = missing_tokens(self.split.scene_filter, found)
        wanted = self.split.scene_filter.tokens
        in_groups = tokens_of_groups(self.split.groups if self.synthetic_scenes is not None else ())
        return [*first, *(token for token in in_groups if token not in found and token not in (wanted or ()))]

    def expected(self) -> int | None:
        """See `SceneSource`."""
        wanted = self.split.scene_filter
        if wanted.tokens is None:
            return None
        first = len(wanted.tokens) if wanted.max_scenes is None else min(len(wanted.tokens), wanted.max_scenes)
        return first + len(self._follower_paths())

    def _dataset(self) -> NavsimDataset:
        return NavsimDataset(self.folders, self.split.scene_filter, partial(map_index_of, self.folders.maps))

    def _windows(self, dataset: NavsimDataset, skip: Skip | None) -> Iterator[SceneWindow]:
        torn = None if skip is None else lambda error: skip(error.path.stem, error)
        return chain.from_iterable(dataset.by_log(torn, self.logs))

    def _read_followers(self, skip: Skip | None) -> Iterator[SyntheticScene]:
        for path in self._follower_paths():
            made = _attempt(path.stem, partial(read_synthetic_scene, path), skip)
            if made is not None:
                yield made

    def _sense(self, follower: SyntheticScene) -> Callable[[], AgentInput]:
        return partial(follower.agent_input, self.synthetic_blobs or self.folders.blobs)

    def _log_paths(self) -> tuple[Path, ...]:
        return tuple(self.folders.log_paths(self.split.scene_filter)) if self.logs is None else self.logs

    def _follower_paths(self) -> tuple[Path, ...]:
        """Files are named after their scenes, as the official loader expects."""
        folder = self.synthetic_scenes
        if self.followers is not None or folder is None:
            return self.followers or ()
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of second-stage scenes")
        wanted = [token for group in self.split.groups for pair in group.second for token in pair]
        return tuple(path for path in (folder / f"{token}.pkl" for token in wanted) if path.is_file())


@dataclass(frozen=True)
class CacheSource:
    """A scene cache; it holds no sensors, so only planners with ground truth and given plans can be judged.

    Attributes:
        root: cache folder.
        split: which of its scenes, and how stages go together; None takes all, in one stage.
        shards: names of the shards; None takes all.
        metric: PDM-Closed's plans for it are taken from the cache where it holds them.
    """

    root: Path
    split: Split | None = None
    shards: tuple[str, ...] | None = None
    metric: Metric | None = None

    def parts(self, count: int) -> Sequence[CacheSource]:
        """See `SceneSource`."""
        names = tuple(shard.name for shard in self._cache().shards)
        return [replace(self, shards=some) for some in _chunks(names, count)]

    def scenes(self, skip: Skip | None) -> Iterator[BenchmarkScene]:
        """See `SceneSource`."""
        cache, wanted = self._cache(), self._wanted()
        for shard in sorted(cache.shards, key=lambda shard: shard.name.startswith(SECOND_STAGE)):
            if self.shards is not None and shard.name not in self.shards:
                continue
            for record in shard.records:
                if wanted is not None and record.token not in wanted:
                    continue
                made = _attempt(record.token, partial(cache.scene, record.token), skip)
                if made is not None:
                    follows = shard.name.startswith(SECOND_STAGE)
                    yield BenchmarkScene(made, shard.name, None, follows, record.oddities)

    def missing(self, found: set[str]) -> list[str]:
        """See `SceneSource`."""
        return sorted((self._wanted() or set()) - found)

    def expected(self) -> int | None:
        """See `SceneSource`."""
        wanted = self._wanted()
        return len(self._cache().tokens) if wanted is None else len(wanted)

    def _wanted(self) -> set[str] | None:
        if self.split is None or self.split.scene_filter.tokens is None:
            return None
        return {*self.split.scene_filter.tokens, *tokens_of_groups(self.split.groups)}

    def _cache(self) -> SceneCache:
        manifest = self.root / MANIFEST
        return _open_cache(self.root, self.metric, manifest.stat().st_mtime_ns if manifest.is_file() else 0)


@dataclass(frozen=True)
class MetricCacheSource:
    """The devkit's own metric caches; they hold no sensors.

    Attributes:
        root: their folder.
        metric: V1 reads caches of branch v1.1, V2 those of main.
        split: which of its scenes, and how stages go together; None takes all, in one stage.
        maps: map folder, from which scenes get the lanes that IDM traffic drives on; None gives none.
        second_stage: whether scenes of the second stage are taken.
        logs: names of the logs; None takes all of the split.
    """

    root: Path
    metric: Metric
    split: Split | None = None
    maps: Path | None = None
    second_stage: bool = True
    logs: tuple[str, ...] | None = None

    def parts(self, count: int) -> Sequence[MetricCacheSource]:
        """See `SceneSource`."""
        return [replace(self, logs=some) for some in _chunks(tuple(self._tokens()), count)]

    def scenes(self, skip: Skip | None) -> Iterator[BenchmarkScene]:
        """See `SceneSource`."""
        caches = _open_metric_caches(self.root, self.metric)
        found = [(token, log) for log, tokens in self._tokens().items() for token in tokens]
        for token, _ in sorted(found, key=lambda entry: is_second_stage_token(entry[0])):
            made = _attempt(token, partial(self._scene, caches, token), skip)
            if made is not None and (self.second_stage or not made.second_stage):
                yield made

    def missing(self, found: set[str]) -> list[str]:
        """See `SceneSource`."""
        if self.split is None:
            return []
        named = self.split.scene_filter.tokens or ()
        in_groups = tokens_of_groups(self.split.groups if self.second_stage else ())
        return sorted({*named, *in_groups} - found)

    def expected(self) -> int | None:
        """See `SceneSource`."""
        tokens = [token for some in self._tokens().values() for token in some]
        return len(tokens) if self.second_stage else sum(not is_second_stage_token(token) for token in tokens)

    def _scene(self, caches: MetricCaches, token: str) -> BenchmarkScene:
        cached = caches.cached(token)
        scene = cached.scene
        if self.maps is not None and cached.map_location is not None:
            index = map_index_of(self.maps, cached.map_location)
            scene = replace(scene, lanes=lanes_around(index, scene.ego.pose.numpy(), scene.route.lane_tokens))
        return BenchmarkScene(scene, cached.log_name, None, cached.second_stage)

    def _tokens(self) -> dict[str, tuple[str, ...]]:
        """Tokens of the wanted scenes, by log.

        Raises:
            DatasetError: if the folder holds none of them.
        """
        logs = _open_metric_caches(self.root, self.metric).logs
        kept = {log: tuple(t for t in tokens if self._wants(log, t)) for log, tokens in logs.items()}
        kept = {log: tokens for log, tokens in kept.items() if tokens}
        if not kept and self.split is not None:
            raise DatasetError(
                self.root,
                f"none of its {sum(map(len, logs.values()))} metric caches is of split {self.split.name} (logs "
                f"{list(logs)[:3]}); are they of another split?",
            )
        return kept

    def _wants(self, log: str, token: str) -> bool:
        if self.logs is not None and log not in self.logs:
            return False
        if self.split is None:
            return True
        wanted = self.split.scene_filter
        if wanted.log_names is not None and log not in wanted.log_names:
            return False
        named = None if wanted.tokens is None else {*wanted.tokens, *tokens_of_groups(self.split.groups)}
        return named is None or token in named


@dataclass(frozen=True)
class TownSource:
    """Towns made on the way.

    Attributes:
        split: which towns.
        count: how many scenes.
    """

    split: TownSplit
    count: int

    def parts(self, count: int) -> Sequence[TownSource]:
        """See `SceneSource`; one part, as scenes are counted from the first town on."""
        return [self]

    def scenes(self, skip: Skip | None) -> Iterator[BenchmarkScene]:
        """See `SceneSource`."""
        return town_scenes(self.split, self.count)

    def missing(self, found: set[str]) -> list[str]:
        """See `SceneSource`."""
        return []

    def expected(self) -> int | None:
        """See `SceneSource`."""
        return self.count


def tokens_of_groups(groups: Sequence[TwoStageGroup]) -> list[str]:
    """All scenes of two-stage groups."""
    return [t for g in groups for t in (g.now, g.previous, *(token for pair in g.second for token in pair))]


def skip_into(skipped: list[SkippedBenchmarkScene]) -> Skip:
    """A `Skip` that lists what it takes."""
    return lambda token, error: skipped.append(SkippedBenchmarkScene(token, str(error)))


def _attempt(name: str, make: Callable[[], PartT], skip: Skip | None) -> PartT | None:
    """What is made, or None if it cannot be read and such are skipped; a broken map is never skipped."""
    try:
        return make()
    except (DatasetError, FileNotFoundError) as error:
        if skip is None or is_of_map(error):
            raise
        skip(name, error)
        return None


def _chunks(items: tuple[PartT, ...], count: int) -> list[tuple[PartT, ...]]:
    size = max(1, -(-len(items) // max(count, 1)))
    return [items[i : i + size] for i in range(0, len(items), size)]


@lru_cache(maxsize=2)
def _open_metric_caches(root: Path, metric: Metric) -> MetricCaches:
    """Names of the caches below a folder; a process looks once."""
    return MetricCaches(root, metric)


@lru_cache(maxsize=2)
def _open_cache(root: Path, metric: Metric | None, stamp: int) -> SceneCache:
    """As the cache is with this stamp; a process opens it once."""
    return SceneCache(root, metric)
