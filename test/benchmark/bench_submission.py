"""How long a submission takes to score: from logs and maps, from a scene cache, and by the official scripts.

    python test/benchmark/bench_submission.py DATA [--official 'COMMAND {split}'] [--few 4 --many 44]

DATA is a NAVSIM data set with the split `towntest` (`pair-drive navsim export`). Every figure is of whole processes,
start included, wall and CPU time; a second run of fewer scenes tells the start and the cost of a scene apart. The
official COMMAND caches and scores the split that it is given by name, which lies in DATA/train_test_split.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders
from pair_drive_core.datasets.navsim.scene_filter import read_split, write_split

PAIR_DRIVE = (str(Path(sys.executable).parent / "pair-drive"),)


def timed(command):
    """Wall and CPU seconds of a command and its children."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def marginal(run, few, many):
    """(wall, CPU) at the start and a scene, of runs over few and many scenes."""
    less, more = run(few), run(many)
    a_scene = [(b - a) / (many - few) for a, b in zip(less, more, strict=True)]
    return [a - few * each for a, each in zip(less, a_scene, strict=True)], a_scene


def show(name, start, a_scene, scenes, official):
    """A row of the table; official is its own (wall, CPU) of all scenes."""
    whole = [s + scenes * each for s, each in zip(start, a_scene, strict=True)]
    ratios = " ".join(f"{o / w:6.0f} x" for o, w in zip(official[:2], whole, strict=True)) if official else ""
    bare = " ".join(f"{o / each:6.0f} x" for o, each in zip(official[2:], a_scene, strict=True)) if official else ""
    text = " ".join(f"{s:8.1f} {1e3 * each:9.2f} {w:9.1f}" for s, each, w in zip(start, a_scene, whole, strict=True))
    print(f"{name:34s} {text}  {ratios}  {bare}", flush=True)
    return whole


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--official", help="command that caches and scores {split}")
    parser.add_argument("--few", type=int, default=4)
    parser.add_argument("--many", type=int, default=44)
    parser.add_argument("--metric", default="v2")
    options = parser.parse_args()
    folder = options.data / "train_test_split"
    whole = read_split(folder / "towntest.yaml")
    dataset = NavsimDataset(NavsimFolders.of(options.data, whole.data_split), whole.scene_filter)
    tokens = tuple(window.token for window in dataset)
    with tempfile.TemporaryDirectory() as made:
        scratch = Path(made)

        def part(count):
            name = f"first{count}"
            named = replace(whole.scene_filter, tokens=tokens[:count])
            write_split(replace(whole, name=name, scene_filter=named), folder)
            return name

        def source(count):
            return ("--data", str(options.data), "--split", str(folder / f"{part(count)}.yaml"))

        def ours(*arguments):
            return timed((*PAIR_DRIVE, *map(str, arguments)))

        plans = scratch / "plans.pkl"
        ours("evaluate", "--submission", plans, *source(len(tokens)))
        print(f"{len(tokens)} scenes, metric {options.metric}, load {os.getloadavg()[0]:.1f}")
        print(f"{'':34s} wall: start s, a scene ms, all s; CPU: likewise; ratio all wall, CPU; ratio a scene wall, CPU")
        official = None
        if options.official:

            def theirs(count):
                return timed(shlex.split(options.official.format(split=part(count))))

            start, a_scene = marginal(theirs, options.few, options.many)
            official = [*show("official: caching and scoring", start, a_scene, len(tokens), None), *a_scene]
        judge = ("score", plans, "--metric", options.metric)
        half = len(tokens) // 10
        rows = [("ours, from logs and maps", lambda count: ours(*judge, *source(count)))]
        for references in ((), ("--references", options.metric)):
            cache = scratch / ("bare" if not references else "planned")
            took = ours("cache", "build", *source(len(tokens)), "--out", cache, "--workers", "1", *references)
            print(f"{cache.name} cache built in {took[0]:.1f} s wall, {took[1]:.1f} s CPU")
            text = "ours, from a cache" + (" with references" if references else "")
            rows.append((text, lambda count, cache=cache: ours(*judge, "--cache", cache, *source(count)[2:])))
        for name, run in rows:
            show(name, *marginal(run, half, len(tokens)), len(tokens), official)
        print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
