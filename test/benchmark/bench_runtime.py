#!/usr/bin/env python3
"""Where the time of one plan goes, eagerly and by each backend, in the same run: `make bench` or

python test/benchmark/bench_runtime.py [--models nano r34] [--backends eager onnx] [--repeat 40] [--threads 1]
[--growth]

Inputs are made up, so nothing is decoded: a plan's time here is the networks', the tree's and the choice's. r34 are the
paper's sizes with random weights; what a weight is does not change how long its product takes. Backends take turns plan
by plan, so that all see the same load. Wall time says what a driver gets; CPU time, of all threads, is what remains
comparable while other programs run. `outside` is the part of the tree and the choice that no network computes.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pair_drive_core.models import PairConfig, PairModel, load_checkpoint
from pair_drive_core.models.features import Features
from pair_drive_core.policies import SHIPPED_CHECKPOINT, choose
from pair_drive_core.policies.parallel import EagerNetworks
from pair_drive_core.policies.runtime.backends import Backend, RuntimeNetworks
from pair_drive_core.policies.runtime.graphs import example_features

LEAVES = (7, 15, 31, 63, 127)
BATCHES = (1, 4, 16)
R34_LEAVES = 31


class Timed:
    """Networks that add up the time spent in each of them."""

    def __init__(self, networks):
        self.networks = networks
        self.spent = {}

    def _call(self, name, *given):
        wall, cpu = time.perf_counter(), time.process_time()
        found = getattr(self.networks, name)(*given)
        before = self.spent.get(name, np.zeros(2))
        self.spent[name] = before + np.array((time.perf_counter() - wall, time.process_time() - cpu))
        return found

    def look(self, features):
        return self._call("look", features)

    def judge(self, bev, poses, level):
        return self._call("judge", bev, poses, level)

    def predict(self, bev, poses):
        return self._call("predict", bev, poses)


def one_plan(model, networks, features, join):
    """Seconds of wall and CPU time by stage."""
    timed = Timed(networks)
    wall, cpu = time.perf_counter(), time.process_time()
    bev, reference = timed.look(features)
    choose(model.reinforcement, bev, reference, join, None, timed)
    whole = np.array((time.perf_counter() - wall, time.process_time() - cpu))
    return {**timed.spent, "outside": whole - sum(timed.spent.values()), "whole": whole}


def transfuser_alone(model, features):
    wall, cpu = time.perf_counter(), time.process_time()
    model.imitation(features)
    return {"imitation alone": np.array((time.perf_counter() - wall, time.process_time() - cpu))}


def in_turns(ways, repeat, warm=2):
    """name -> stage -> (repeat, 2) seconds; the ways take turns."""
    found = {name: [] for name in ways}
    for turn in range(repeat + warm):
        for name, way in ways.items():
            spent = way()
            if turn >= warm:
                found[name].append(spent)
    return {name: {stage: np.stack([one[stage] for one in runs]) for stage in runs[0]} for name, runs in found.items()}


def table(title, found):
    print(f"\n{title}\n{'':24} {'wall p50':>9} {'p99':>8} {'least':>8} {'CPU p50':>9} {'least':>8}   ms")
    for name, stages in found.items():
        for stage, spent in stages.items():
            wall, cpu = 1e3 * spent.T
            numbers = (np.percentile(wall, 50), np.percentile(wall, 99), wall.min(), np.percentile(cpu, 50), cpu.min())
            print(f"{name + ' ' + stage:24} " + " ".join(f"{n:8.1f} " for n in numbers))


def ratios(found, against, stage, whole="whole"):
    base = np.median(found[against][stage], axis=0)
    for name, stages in found.items():
        if whole in stages:
            wall, cpu = np.median(stages[whole], axis=0) / base
            print(f"ratio {name} / {against} {stage}: wall {wall:.2f}, CPU {cpu:.2f}")


def measure(label, model, options, scratch, leaves=None):
    join = replace(model.config.join, group_size=leaves) if leaves else model.config.join
    features = example_features(model)
    device = torch.device("cpu")
    ways, fallen = {}, []
    for backend in options.backends:
        folder = scratch / label
        networks = RuntimeNetworks(model, device, Backend(backend), folder, options.threads)
        if networks.state.lost:
            fallen.append(f"{backend}: {networks.state.lost}")
            continue
        ways[backend] = lambda n=networks: one_plan(model, n, features, join)
    if "eager" in ways:
        ways["network"] = lambda: transfuser_alone(model, features)
    found = in_turns(ways, options.repeat)
    count = sum(p.numel() for p in model.parameters())
    size = join.group_size or model.config.reinforcement.sampler.group_size
    table(f"{label}: {count / 1e6:.1f} M weights, {size} leaves", found)
    for reason in fallen:
        print(f"not measured: {reason}")
    if "eager" in found:
        ratios(found, "eager", "whole")
        ratios(found, "network", "imitation alone")
    return ways


def least_cpu_ms(model, networks, features, join, stage, repeat=3):
    spent = in_turns({"": lambda: one_plan(model, networks, features, join)}, repeat, warm=1)
    return 1e3 * spent[""][stage][:, 1].min()


def growth(model, options, scratch):
    """How a whole plan grows with leaves and with the picture, and evaluation with the batch."""
    features, join = example_features(model), model.config.join
    eager = EagerNetworks(model)
    print("\nleaves: whole plan, least CPU ms")
    for backend in options.backends:
        networks = RuntimeNetworks(model, torch.device("cpu"), Backend(backend), scratch / "nano", options.threads)
        sized = {leaves: replace(join, group_size=leaves) for leaves in LEAVES}
        row = [f"{n}: {least_cpu_ms(model, networks, features, j, 'whole'):.1f}" for n, j in sized.items()]
        print(f"  {backend}: " + ", ".join(row))
    print("picture: eager look, least CPU ms")
    for scale in (1, 2):
        height, width = (scale * side for side in features.camera.shape[2:])
        larger = replace(features, camera=torch.rand(1, 3, height, width))
        print(f"  {height} x {width}: {least_cpu_ms(model, eager, larger, join, 'look'):.1f}")
    print("batch: eager, scenes a CPU second")
    for batch in BATCHES:
        many = Features.concatenate([features] * batch)
        print(f"  {batch}: {1e3 * batch / least_cpu_ms(model, eager, many, join, 'whole'):.1f}")


@torch.inference_mode()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="+", choices=("nano", "r34"), default=["nano", "r34"])
    parser.add_argument("--backends", nargs="+", choices=[b.value for b in Backend], default=["eager", "onnx"])
    parser.add_argument("--repeat", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--growth", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    load = os.getloadavg()[0]
    capability = torch.backends.cpu.get_cpu_capability()
    print(f"{platform.processor() or platform.machine()} {capability}, {os.cpu_count()} cores, load {load:.1f}")
    print(f"torch {torch.__version__}, {options.threads} threads, batch 1, float32, {options.repeat} plans each")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for label in options.models:
            torch.manual_seed(0)
            nano = label == "nano"
            model = load_checkpoint(SHIPPED_CHECKPOINT).model if nano else PairModel(PairConfig()).eval()
            measure(label, model, options, scratch, None if nano else R34_LEAVES)
            if nano and options.growth:
                growth(model, options, scratch)
    print(f"\nmost memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
