"""How the kernel scales with threads: `python test/benchmark/bench_threads.py [--scenes 64] [--plans 64]`.

Scenes are the golden vectors, which differ in size; threads take them one by one. Wall and CPU time are the least of
all repeats, threads taken in turns, since only those mean something on a busy machine. CPU time that does not grow with
the threads says that none waits for a lock or for another's cache lines; set OMP_WAIT_POLICY=PASSIVE where other work
runs, or torch's own threads are counted while they spin.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import torch
from bench_score import many_scenes, plans_of

from pair_drive_core.datasets.vectors import read_vector_file
from pair_drive_core.scoring import Metric, prepare_scenes, score

VECTORS = Path(__file__).resolve().parents[1] / "golden" / "vectors"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--plans", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    files = [read_vector_file(path) for path in sorted(VECTORS.glob("*.npz")) if "scene" in path.name]
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {len(files)} different scenes")
    for metric in Metric:
        prepared = prepare_scenes(many_scenes(files, options.scenes, metric), metric, torch.float32)
        plans = plans_of(files, options.scenes, options.plans, torch.float32, torch.device("cpu"))
        least = {count: (float("inf"), float("inf")) for count in options.threads}
        for _ in range(options.repeat):
            for count in options.threads:
                torch.set_num_threads(count)
                wall, cpu = time.perf_counter(), time.process_time()
                score(prepared, plans, metric)
                taken = (time.perf_counter() - wall, time.process_time() - cpu)
                least[count] = tuple(map(min, least[count], taken))
        number = options.scenes * options.plans
        for count, (wall, cpu) in least.items():
            print(
                f"{metric.value}, {options.scenes} x {options.plans}, {count} threads: wall {1e3 * wall:6.1f} ms "
                f"({number / wall:8.0f}/s), CPU {1e3 * cpu:6.1f} ms ({number / cpu:8.0f}/s a core)"
            )


if __name__ == "__main__":
    main()
