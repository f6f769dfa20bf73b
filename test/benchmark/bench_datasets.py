"""How fast scenes are made, cached and loaded: `python test/benchmark/bench_datasets.py [layouts] [workers]`.

Town drives without sensors are exported; their scenes are cached and loaded from the cache. The ratio is against
reading the scenes from logs and maps in the same run. CPU time is this process's alone: the fair figure on a busy
machine for the rows that run in one process.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import torch

from pair_drive_core.datasets.cache.builder import build_scene_cache
from pair_drive_core.datasets.cache.jobs import CacheSettings
from pair_drive_core.datasets.cache.scene_cache import SceneCache
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders
from pair_drive_core.datasets.navsim.scene_filter import SceneFilter
from pair_drive_core.town.data.navsim_export import TownExport, export_towns


class Stopwatch:
    """Wall and CPU time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self._wall, time.process_time() - self._cpu


def main(layouts: int, workers: int) -> None:
    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        export = TownExport(tuple(range(layouts)), vehicles=8, seconds=20.0, sensors=False)
        watch = Stopwatch()
        report = export_towns(export, data, workers)
        rows.append((f"export frames, {workers} processes", report.frames, *watch.read()))
        folders = NavsimFolders.of(data, export.data_split)
        scene_filter = SceneFilter(frame_interval=1)
        dataset = NavsimDataset(folders, scene_filter)
        watch = Stopwatch()
        count = sum(1 for window in dataset if dataset.scene(window))
        rows.append(("read scenes from logs", count, *watch.read()))
        baseline = rows[-1][2] / count
        settings = CacheSettings(folders, scene_filter)
        cache = Path(folder) / "cache"
        watch = Stopwatch()
        build_scene_cache(settings, cache, workers)
        rows.append((f"build the cache, {workers} processes", count, *watch.read()))
        watch = Stopwatch()
        build_scene_cache(settings, cache, workers)
        rows.append(("find the cache complete", count, *watch.read()))
        watch = Stopwatch()
        loaded = sum(1 for scene in SceneCache(cache) if scene.token)
        rows.append(("load scenes from the cache", loaded, *watch.read()))
    for name, number, wall, cpu in rows:
        rate = number / wall
        print(f"{name:36s} {number:6d} in {wall:7.2f} s (CPU {cpu:7.2f} s) {rate:9.1f}/s {rate * baseline:7.2f} x")


if __name__ == "__main__":
    arguments = [int(text) for text in sys.argv[1:]]
    main(arguments[0] if arguments else 4, arguments[1] if len(arguments) > 1 else os.cpu_count() or 1)
