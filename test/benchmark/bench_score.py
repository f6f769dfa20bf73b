"""How fast the scorer is: the table of `make bench-score`.

Scenes are the golden vectors (synthetic scenes of the usual size), repeated where more are needed. Times are medians;
CPU time of the process stands beside wall time because only the former means something on a busy machine. The official
figures were taken on one thread of an AMD EPYC with unmodified navsim; docs/scoring.md has a comparison on one machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pair_drive_core.datasets.vectors import VectorFile, read_vector_file
from pair_drive_core.planning.pdm_closed import pdm_references
from pair_drive_core.scene import MapPolygons, PackedRings, Scene, TrackedObjects
from pair_drive_core.scoring import Metric, PreparedScenes, prepare_scenes, score
from pair_drive_core.scoring.backends import Backend, native_index
from pair_drive_core.scoring.drivable_area import drivable_area_compliance
from pair_drive_core.scoring.driving_direction import driving_direction_compliance
from pair_drive_core.scoring.ego_areas import ego_areas
from pair_drive_core.scoring.history_comfort import history_comfort
from pair_drive_core.scoring.lane_keeping import lane_keeping
from pair_drive_core.scoring.no_at_fault_collision import no_at_fault_collision
from pair_drive_core.scoring.polygon_index import PolygonIndex
from pair_drive_core.scoring.progress import progress_along_route
from pair_drive_core.scoring.rollouts import Rollouts
from pair_drive_core.scoring.time_to_collision import time_to_collision
from pair_drive_core.scoring.traffic_light import traffic_light_compliance
from pair_drive_core.simulation import interpolate_plans, simulate_poses

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "vectors"
OFFICIAL_MS = {"v2, 256 candidates": 1599.0, "v2, 1 candidate": 41.4, "v1.1, 256 candidates": 753.0}
"""Official code, one thread, random scenes, median (with the human filter for one candidate)."""
OFFICIAL_CACHE_MS = {Metric.V2: 424.0, Metric.V1: 204.0}


@dataclass(frozen=True)
class Timing:
    """Medians over repetitions, ms."""

    wall_ms: float
    cpu_ms: float


def measure(action: Callable[[], object], repeat: int, device: torch.device) -> Timing:
    """Time an action after one warm-up."""
    action()
    wall, cpu = [], []
    for _ in range(repeat):
        _synchronise(device)
        start, start_cpu = time.perf_counter(), time.process_time()
        action()
        _synchronise(device)
        wall.append(1e3 * (time.perf_counter() - start))
        cpu.append(1e3 * (time.process_time() - start_cpu))
    return Timing(statistics.median(wall), statistics.median(cpu))


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def plans_of(files: list[VectorFile], scenes: int, candidates: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(S, K, 8, 3): the files' candidates, repeated with small differences so that no two are equal."""
    generator = torch.Generator().manual_seed(0)
    rows = []
    for i in range(scenes):
        known = files[i % len(files)].candidates
        pick = known[torch.arange(candidates) % known.shape[0]]
        noise = torch.randn(candidates, 1, 3, generator=generator, dtype=torch.float64) * torch.tensor(
            [0.2, 0.05, 0.002]
        )
        rows.append(pick + noise * torch.linspace(0.1, 1.0, 8)[:, None])
    return torch.stack(rows).to(device=device, dtype=dtype)


def many_scenes(files: list[VectorFile], count: int, metric: Metric) -> list[Scene]:
    """`count` scenes."""
    scenes = [file.scene(metric) for file in files]
    return [scenes[i % len(scenes)] for i in range(count)]


def main_table(files: list[VectorFile], device: torch.device, repeat: int) -> None:
    """The rows of the requirement, for both backends and both types."""
    print(
        f"\n## Throughput ({device}, median of {repeat}; CPU time in brackets; official, ratio: one thread, CPU time)"
    )
    print(f"{'':34}{'backend':9}{'dtype':9}{'ms a scene':>22}{'trajectories/s':>16}{'official':>10}{'ratio':>8}")
    rows: list[tuple[str, Metric, int, int, int, float | None]] = [
        ("v2, 1 candidate", Metric.V2, 1, 1, 1, OFFICIAL_MS["v2, 1 candidate"]),
        ("v2, 256 candidates", Metric.V2, 1, 256, 1, OFFICIAL_MS["v2, 256 candidates"]),
        ("v1.1, 256 candidates", Metric.V1, 1, 256, 1, OFFICIAL_MS["v1.1, 256 candidates"]),
        ("v2, 64 scenes x 64, 1 thread", Metric.V2, 64, 64, 1, None),
        ("v2, 64 scenes x 64, 2 threads", Metric.V2, 64, 64, 2, None),
        ("v2, 256 scenes x 64, 2 threads", Metric.V2, 256, 64, 2, None),
    ]
    for label, metric, scenes, candidates, threads, official in rows:
        for backend in _backends(device):
            for dtype in (torch.float32, torch.float64):
                if scenes * candidates > 5000 and backend == "torch" and device.type == "cpu":
                    continue
                torch.set_num_threads(threads)
                timing = _time_row(files, metric, scenes, candidates, backend, dtype, device, repeat)
                _print_row(label, backend, dtype, timing, scenes, candidates, official)
    torch.set_num_threads(1)


def _backends(device: torch.device) -> list[Backend]:
    return ["native", "torch"] if device.type == "cpu" else ["torch"]


def _time_row(
    files: list[VectorFile],
    metric: Metric,
    scenes: int,
    candidates: int,
    backend: Backend,
    dtype: torch.dtype,
    device: torch.device,
    repeat: int,
) -> Timing:
    """Median time per scene; single scenes are timed one after the other over all files."""
    if scenes > 1:
        prepared = prepare_scenes(many_scenes(files, scenes, metric), metric, dtype, device)
        plans = plans_of(files, scenes, candidates, dtype, device)
        whole = measure(lambda: score(prepared, plans, metric, backend=backend), repeat, device)
        return Timing(whole.wall_ms / scenes, whole.cpu_ms / scenes)
    each = []
    for file in files:
        one = prepare_scenes([file.scene(metric)], metric, dtype, device)
        plan = plans_of([file], 1, candidates, dtype, device)
        each.append(measure(lambda one=one, plan=plan: score(one, plan, metric, backend=backend), repeat, device))
    return Timing(statistics.median(t.wall_ms for t in each), statistics.median(t.cpu_ms for t in each))


def _print_row(
    label: str,
    backend: str,
    dtype: torch.dtype,
    timing: Timing,
    scenes: int,
    candidates: int,
    official: float | None,
) -> None:
    name = str(dtype).removeprefix("torch.")
    times = f"{timing.wall_ms:.3f} [{timing.cpu_ms:.3f}]"
    rate = 1e3 * candidates / timing.wall_ms
    tail = "" if official is None else f"{official:>10.1f}{official / timing.cpu_ms:>7.0f}x"
    print(f"{label:34}{backend:9}{name:9}{times:>22}{rate:>16,.0f}{tail}")


def preparation_table(files: list[VectorFile], repeat: int) -> None:
    """What a scene costs before the first candidate."""
    print("\n## Preparation of a scene (CPU, one thread, CPU time)")
    for metric in (Metric.V2, Metric.V1):
        scenes = [file.scene(metric) for file in files]
        rows = {
            "map, objects, lights to tensors": [_prepare_ms(scene, metric, repeat) for scene in scenes],
            "PDM-Closed": [_pdm_closed_ms(scene, metric, repeat) for scene in scenes],
            "index of the torch path": [_torch_index_ms(scene, metric, repeat) for scene in scenes],
            "index of the native kernel": [_native_index_ms(scene, metric, repeat) for scene in scenes],
            "official metric cache": [OFFICIAL_CACHE_MS[metric]],
        }
        for label, times in rows.items():
            print(f"{metric.value:4}{label:34}{statistics.median(times):>10.2f} ms")


def _prepare_ms(scene: Scene, metric: Metric, repeat: int) -> float:
    return measure(lambda: prepare_scenes([scene], metric), repeat, torch.device("cpu")).cpu_ms


def _pdm_closed_ms(scene: Scene, metric: Metric, repeat: int) -> float:
    return measure(lambda: pdm_references([scene], metric), repeat, torch.device("cpu")).cpu_ms


def _torch_index_ms(scene: Scene, metric: Metric, repeat: int) -> float:
    p = prepare_scenes([scene], metric)
    return measure(lambda: PolygonIndex.build(p.ring_points, p.ring_offsets), repeat, torch.device("cpu")).cpu_ms


def _native_index_ms(scene: Scene, metric: Metric, repeat: int) -> float:
    """The index is kept with its scenes, so each repetition gets scenes of its own."""
    fresh = [prepare_scenes([scene], metric) for _ in range(repeat + 1)]
    return measure(lambda: native_index(fresh.pop(), "native"), repeat, torch.device("cpu")).cpu_ms


def stage_table(files: list[VectorFile], device: torch.device, repeat: int) -> None:
    """Share of each stage of the torch path (the kernel's own shares are in docs/scoring_kernel.md)."""
    scenes, candidates, dtype = 8, 32, torch.float32
    p = prepare_scenes(many_scenes(files, scenes, Metric.V2), Metric.V2, dtype, device)
    plans = plans_of(files, scenes, candidates, dtype, device)
    poses = interpolate_plans(plans, p.ego[:, :3], p.sample_index, p.sample_weight)
    states = simulate_poses(poses, p.ego[:, None], p.vehicle)
    r = Rollouts.from_states(states, p.vehicle)
    areas = ego_areas(r, p, p.polygon_index)
    stages: list[tuple[str, Callable[[], object]]] = [
        ("interpolation", lambda: interpolate_plans(plans, p.ego[:, :3], p.sample_index, p.sample_weight)),
        ("LQR and bicycle", lambda: simulate_poses(poses, p.ego[:, None], p.vehicle)),
        ("footprints", lambda: Rollouts.from_states(states, p.vehicle)),
        ("map areas", lambda: ego_areas(r, p, p.polygon_index)),
        ("NC", lambda: no_at_fault_collision(r, areas, p)),
        ("TTC", lambda: time_to_collision(r, areas, p)),
        ("TLC", lambda: traffic_light_compliance(r, p, p.red_index)),
        ("DAC, DDC", lambda: (drivable_area_compliance(r, areas), driving_direction_compliance(r, areas, p.metric))),
        ("LK", lambda: lane_keeping(r, areas, p)),
        ("HC", lambda: history_comfort(r, p)),
        ("progress", lambda: progress_along_route(r, p)),
    ]
    timings = [(label, measure(action, repeat, device).cpu_ms) for label, action in stages]
    total = sum(ms for _, ms in timings)
    print(f"\n## Stages of the torch path (v2, {scenes} scenes x {candidates}, float32, {device}, CPU time)")
    for label, ms in timings:
        print(
            f"{label:34}{ms:>10.2f} ms{100 * ms / total:>7.0f} %{1e3 * ms / scenes / candidates:>10.1f} us a candidate"
        )


def growth_tables(files: list[VectorFile], device: torch.device, repeat: int) -> None:
    """How time grows with candidates, agents and map size."""
    file = files[0]
    base = file.scene(Metric.V2)
    print(f"\n## Growth (v2, float32, {device}, ms of CPU time for one scene)")
    for backend in _backends(device):

        def cpu_ms(scene: Scene, candidates: int, backend: Backend = backend) -> float:
            prepared: PreparedScenes = prepare_scenes([scene], Metric.V2, torch.float32, device)
            plans = plans_of([file], 1, candidates, torch.float32, device)
            return measure(lambda: score(prepared, plans, Metric.V2, backend=backend), repeat, device).cpu_ms

        by_candidates = {k: cpu_ms(base, k) for k in (1, 16, 256, 1024)}
        by_agents = {n: cpu_ms(_with_agents(base, n), 256) for n in (0, 16, 64, 256)}
        by_polygons = {n: cpu_ms(_with_polygons(base, n), 256) for n in (16, 64, 256, 1024)}
        for label, row in (("candidates", by_candidates), ("agents", by_agents), ("map polygons", by_polygons)):
            cells = "".join(f"{key:>7}: {value:>8.2f}" for key, value in row.items())
            print(f"{backend:9}{label:14}{cells}")


def _with_agents(scene: Scene, count: int) -> Scene:
    """The scene with `count` objects: its own, and copies of them moved aside."""
    objects = scene.objects
    own = len(objects.tokens)
    index = torch.arange(count) % own
    states = objects.states[:, index].clone()
    aside = (torch.arange(count) // own).to(states) * 4.0
    states[..., 1] += torch.where(objects.present[:, index], aside, 0.0)
    return replace(
        scene,
        objects=TrackedObjects(
            tuple(f"{objects.tokens[i]} {n}" for n, i in enumerate(index.tolist())),
            objects.types[index],
            objects.sizes[index],
            states,
            objects.present[:, index],
            objects.interval_s,
        ),
    )


def _with_polygons(scene: Scene, count: int) -> Scene:
    """The scene with `count` polygons: its own, and copies of them moved aside."""
    own = len(scene.map.tokens)
    rings = [scene.map.rings[n % own] + torch.tensor([0.0, 60.0]) * (n // own) for n in range(count)]
    index = torch.arange(count) % own
    return replace(
        scene,
        map=MapPolygons(
            tuple(f"{scene.map.tokens[n % own]} {n}" for n in range(count)),
            scene.map.layers[index],
            PackedRings.from_sequences(rings),
            scene.map.on_route[index],
        ),
    )


def memory_table(files: list[VectorFile], device: torch.device) -> None:
    """Peak memory of a chunk."""
    if device.type != "cuda":
        return
    prepared = prepare_scenes(many_scenes(files, 64, Metric.V2), Metric.V2, torch.float32, device)
    plans = plans_of(files, 64, 64, torch.float32, device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    score(prepared, plans, Metric.V2)
    peak = torch.cuda.max_memory_allocated(device) - before
    print(f"\n## Memory: {peak / 4096 / 1024:.0f} KiB a candidate at the peak of a chunk of 4,096")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    files = [read_vector_file(path) for path in sorted(GOLDEN.glob("scene_*.npz"))]
    main_table(files, device, options.repeat)
    preparation_table(files, options.repeat)
    stage_table(files, device, options.repeat)
    growth_tables(files, device, options.repeat)
    memory_table(files, device)


if __name__ == "__main__":
    main()
