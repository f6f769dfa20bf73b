"""Builds a scene cache: every log is one job, finished ones are kept, torn ones are made again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pair_drive_core.datasets.cache.jobs import CacheJob, CacheSettings, LogJob, SecondStageJob, run_job
from pair_drive_core.datasets.cache.scene_cache import (
    MANIFEST,
    Shard,
    SkippedScene,
    read_shard,
    shard_problem,
    write_manifest,
)
from pair_drive_core.datasets.errors import DatasetError, UnknownTokenError
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, missing_tokens, require_all_tokens
from pair_drive_core.datasets.parallel import Backend, results_of

_BATCH = 100

Progress = Callable[[int, int, int], None]


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


def build_scene_cache(
    settings: CacheSettings,
    root: Path,
    workers: int = 1,
    backend: Backend = Backend.PROCESSES,
    progress: Progress | None = None,
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
        UnknownTokenError: if the filter names scenes that do not exist, unless bad ones are skipped.
    """
    run = _Run(root, workers, backend, progress)
    run.do(_log_jobs(settings, root))
    missing = _missing(settings, run.shards)
    if settings.scene_filter.include_synthetic_scenes:
        run.do(_second_stage_jobs(settings, root, run.shards))
        missing += _missing_second_stage(settings, run.shards)
    run.finish()
    return run.report(missing)


def _log_jobs(settings: CacheSettings, root: Path) -> list[CacheJob]:
    """One job a log; where the filter stops at a number of scenes, only those that are needed, the last one cut."""
    if settings.scene_filter.max_scenes is None:
        return [LogJob(settings, root, path) for path in settings.folders.log_paths(settings.scene_filter)]
    dataset = NavsimDataset(settings.folders, settings.scene_filter)
    # A torn log has no scenes; its own job will say so.
    torn: list[Path] = []
    found = [windows for windows in dataset.by_log(lambda error: torn.append(error.path)) if windows]
    jobs = [LogJob(settings, root, windows[0].log_path, len(windows)) for windows in found]
    return [*jobs, *(LogJob(settings, root, path) for path in torn)]


class _Run:
    """Keeps count over the stages of one build."""

    def __init__(self, root: Path, workers: int, backend: Backend, progress: Progress | None) -> None:
        self.shards: list[Shard] = []
        self._names: list[str] = []
        self._root, self._workers, self._backend, self._progress = root, workers, backend, progress
        self._started = time.perf_counter()
        self._kept = self._rebuilt = self._built = self._built_scenes = self._total = 0

    def do(self, jobs: Sequence[CacheJob]) -> None:
        """Do the jobs whose shards are not there yet."""
        self._total += len(jobs)
        self._names += [job.name for job in jobs]
        open_jobs = []
        for job in jobs:
            whole, existed = self._whole_shard(job)
            if whole is None:
                open_jobs.append(job)
                self._rebuilt += int(existed)
            else:
                self._kept += 1
                self.shards.append(whole)
        if open_jobs and (self._root / MANIFEST).is_file():
            write_manifest(self._root, self._names, complete=False)
        self._show()
        for shard in results_of(run_job, open_jobs, self._workers, self._backend):
            # A new cache has no manifest before its first log, and none is as good as an incomplete one to readers.
            write_manifest(self._root, self._names, complete=False)
            self.shards.append(shard)
            self._built += 1
            self._built_scenes += len(shard.records)
            self._show()

    def finish(self) -> None:
        """Say that the cache is whole."""
        write_manifest(self._root, self._names, complete=True)

    def report(self, missing: Sequence[SkippedScene]) -> CacheReport:
        """The account of the build."""
        shards = sorted(self.shards, key=lambda shard: shard.name)
        skipped = (*(entry for shard in shards for entry in shard.skipped), *missing)
        seconds = time.perf_counter() - self._started
        return CacheReport(self._scenes(), self._built, self._kept, self._rebuilt, skipped, seconds, self._built_scenes)

    def _scenes(self) -> int:
        return sum(len(shard.records) for shard in self.shards)

    def _show(self) -> None:
        if self._progress is not None:
            self._progress(len(self.shards), self._total, self._scenes())

    def _whole_shard(self, job: CacheJob) -> tuple[Shard | None, bool]:
        """The shard that is there, if it is whole and up to date; and whether there was one at all."""
        try:
            shard = read_shard(self._root, job.name)
        except FileNotFoundError:
            return None, False
        except DatasetError:
            return None, True
        skips = bool(shard.skipped) and not job.settings.skip_bad
        fresh = not skips and shard.source == job.source() and shard_problem(self._root, shard) is None
        return (shard if fresh else None), True


def _second_stage_jobs(settings: CacheSettings, root: Path, first_stage: Sequence[Shard]) -> list[CacheJob]:
    folder = settings.synthetic_scenes
    if folder is None or not folder.is_dir():
        raise FileNotFoundError(f"{folder}: the benchmark has a second stage; give the folder of its scenes")
    paths = sorted(folder.glob("*.pkl"))
    ends = frozenset(record.end_token for shard in first_stage for record in shard.records)
    starts = range(0, len(paths), _BATCH)
    return [SecondStageJob(settings, root, n, tuple(paths[i : i + _BATCH]), ends) for n, i in enumerate(starts)]


def _missing(settings: CacheSettings, shards: Sequence[Shard]) -> list[SkippedScene]:
    found = _accounted(shards)
    try:
        require_all_tokens(settings.folders, settings.scene_filter, found)
    except UnknownTokenError as error:
        if not settings.skip_bad:
            raise
        return [SkippedScene(token, str(error)) for token in missing_tokens(settings.scene_filter, found)]
    return []


def _missing_second_stage(settings: CacheSettings, shards: Sequence[Shard]) -> list[SkippedScene]:
    found = _accounted(shards)
    missing = [token for token in settings.scene_filter.synthetic_scene_tokens or () if token not in found]
    if missing and not settings.skip_bad:
        raise UnknownTokenError(
            settings.synthetic_scenes or "", f"{len(missing)} second-stage scenes are missing, first {missing[:3]}"
        )
    return [SkippedScene(token, "no such second-stage scene") for token in missing]


def _accounted(shards: Sequence[Shard]) -> set[str]:
    """Names of scenes that are in the cache or listed as skipped."""
    kept = {record.token for shard in shards for record in shard.records}
    return kept | {entry.token for shard in shards for entry in shard.skipped if entry.token is not None}
