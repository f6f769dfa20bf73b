#!/usr/bin/env python3
"""Whether a backend may take the eager networks' place, on scenes of shards: same leaf, end of the plan, PDM score.

python test/benchmark/guard_runtime.py SHARDS [--scenes 500] [--backend onnx] [--checkpoint FILE]

SHARDS is a folder of a training (`<run>/held_out`). Scenes are taken evenly from all of them; both plans of each are
driven by the simulator and scored by the metric that the checkpoint's reward model predicts. Ends with 1 if the guard
does not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from pair_drive_core.models import load_checkpoint
from pair_drive_core.policies import SHIPPED_CHECKPOINT
from pair_drive_core.policies.runtime.backends import Backend, RuntimeNetworks
from pair_drive_core.policies.runtime.export_check import agreement
from pair_drive_core.training.shard_samples import ShardSamples
from pair_drive_core.training.simulated_rewards import SimulatedRewards

SCORE_APART = 0.2
"""How far the mean PDM scores, 0 to 100, may lie apart."""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("shards", type=Path)
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--backend", choices=[kind.value for kind in Backend], default="onnx")
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED_CHECKPOINT)
    options = parser.parse_args()
    model = load_checkpoint(options.checkpoint).model
    samples = ShardSamples.of_folder(options.shards)
    places = torch.linspace(0, len(samples) - 1, min(options.scenes, len(samples))).long().tolist()
    plans = []
    with tempfile.TemporaryDirectory() as folder:
        networks = RuntimeNetworks(model, torch.device("cpu"), Backend(options.backend), Path(folder))
        moments = (samples.features(torch.tensor([place])) for place in places)
        found = agreement(model, networks, moments, lambda *both: plans.append(torch.stack(both)))
        state = networks.state
    print(f"computed by {state.used}{', lost: ' + state.lost if state.lost else ''}")
    print(found.text())
    scores = []
    for place, both in zip(places, plans, strict=True):
        rewards = SimulatedRewards([samples.scene(place)], model.reinforcement.reward.formula)
        scores.append(100.0 * rewards(torch.tensor([0]), both.unsqueeze(0)).total[0])
    eager, other = torch.stack(scores).mean(0).tolist()
    print(f"{model.reinforcement.reward.formula.label}: eager {eager:.3f}, {state.used} {other:.3f}")
    holds = found.holds and abs(eager - other) <= SCORE_APART and state.used == options.backend
    print("the guard holds" if holds else "the guard does not hold")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
