"""Memory while 10,000 scenes are scored, and while a reward is asked for 10,000: it must not grow with their number.

    python test/benchmark/bench_memory.py CACHE [--scenes 10000] [--kept 200]

CACHE is a scene cache with references (`pair-drive cache build --references v2`); its scenes come again under other
names.
"""

from __future__ import annotations

import argparse
import resource
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import torch

from pair_drive_core.datasets.cache.scene_cache import SceneCache
from pair_drive_core.evaluation.benchmark import Scorer
from pair_drive_core.evaluation.contestants import Baselines
from pair_drive_core.evaluation.scene_sources import CacheSource
from pair_drive_core.evaluation.score_settings import ScoreSettings
from pair_drive_core.scoring import Metric
from pair_drive_core.training.pdm_reward import PdmReward

AT_ONCE = 64


def resident_mib():
    """What the process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


class Renamed:
    """The scenes of a cache under any number of names."""

    def __init__(self, cache):
        self.cache = cache

    def scene(self, token):
        """Scene `number` of the cache, which begins anew after the last."""
        return replace(self.cache[int(token) % len(self.cache)], token=token)


def repeated(source):
    """Benchmark scenes without end, log by log."""
    for lap in count():
        for entry in source.scenes(None):
            scene = replace(entry.scene, token=f"{lap}-{entry.scene.token}")
            yield replace(entry, scene=scene, log_name=f"{lap}-{entry.log_name}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cache", type=Path)
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--kept", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    steps = [options.scenes * tenth // 10 for tenth in range(1, 11)]
    scorer = Scorer(ScoreSettings(Metric.V2), [Baselines()])
    scenes, shown = islice(repeated(CacheSource(options.cache, metric=Metric.V2)), options.scenes), iter(steps)
    due = next(shown)
    while batch := list(islice(scenes, AT_ONCE)):
        scorer.add(batch)
        if scorer.scenes >= due:
            print(f"score: {scorer.scenes:6d} scenes, {resident_mib():7.1f} MiB", flush=True)
            due = next(shown, options.scenes + AT_ONCE)
    del scorer
    reward = PdmReward(Renamed(SceneCache(options.cache, Metric.V2)), Metric.V2, kept=options.kept)
    plans = torch.zeros(AT_ONCE, 16, 8, 3)
    plans[..., 0] = torch.arange(1, 9) * torch.linspace(0.5, 6.0, 16)[:, None]
    shown, done = iter(steps), 0
    due = next(shown)
    while done < options.scenes:
        reward([str(done + i) for i in range(AT_ONCE)], plans)
        done += AT_ONCE
        if done >= due:
            print(f"reward: {done:6d} scenes, {reward.prepared} kept, {resident_mib():7.1f} MiB", flush=True)
            due = next(shown, options.scenes + AT_ONCE)


if __name__ == "__main__":
    main()
