"""How far a checkpoint drives towns it has never seen: closed loop, without ROS.

    source scripts/ros_env.sh
    python test/benchmark/bench_closed_loop.py [--towns 12] [--seconds 40] [--split val] [--checkpoint FILE]

Every 0.2 s the planner sees what the town renders from where its own plans have brought it. Once a second its plan is
scored (v1) against the ground truth of that moment. One line a town, then the means.
"""

from __future__ import annotations

import argparse
import multiprocessing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from pair_drive_core.evaluation.town_drive import TownDrive
from pair_drive_core.geometry import compose_se2
from pair_drive_core.policies import load_planner
from pair_drive_core.policies.loading import SHIPPED_CHECKPOINT
from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS, AgentInput
from pair_drive_core.simulation.plan_follower import TimedPlan
from pair_drive_core.town.data.splits import TownSplit, town_of

_PLAN_STEPS, _SCORE_STEPS, _KNOWN_STEPS = 2, 10, 50


@dataclass(frozen=True)
class Drive:
    """One town: mean PDMS of the plans, share of the scored moments on the road, mean speed."""

    layout: int
    pdms: float
    on_road: float
    speed_mps: float


def drive(number: int, split: TownSplit, seconds: float, checkpoint: Path) -> Drive:
    """Drive the n-th town of a split."""
    torch.set_num_threads(1)
    layout, seed = town_of(split, number)
    town, planner = TownDrive(layout, seed, image_width_px=480), load_planner(checkpoint)
    plans: dict[int, TimedPlan] = {}
    scores: list[tuple[float, float]] = []
    speed: list[float] = []
    for step in range(round(seconds * 10.0)):
        if step % _PLAN_STEPS == 0:
            readings = town.readings()
            seen = AgentInput((readings.status,), readings.cameras, readings.lidar, readings.earlier_lidar)
            planned = planner.plan(seen)
            plan = _placed(readings.status.pose, np.asarray(planned.poses), town.time_us)
            if step % _SCORE_STEPS == 0:
                plans[town.step] = plan
        town.advance(plan)
        speed.append(float(town.status().velocity[0]))
        then = town.step - _KNOWN_STEPS - 1
        scene = town.scene_at(then) if then in plans else None
        if scene is not None:
            found = town.score_of(scene, plans.pop(then))
            scores.append((float(found.total[0, 0]), float(found.sub[0, 0, found.names.index("DAC")])))
    pdms, on_road = np.mean(scores, axis=0)
    return Drive(layout, float(pdms), float(on_road), float(np.mean(speed)))


def _placed(pose: np.ndarray, local: np.ndarray, time_us: int) -> TimedPlan:
    """A plan from the ego frame in the town's frame, its own start in front."""
    placed = compose_se2(torch.from_numpy(pose), torch.from_numpy(local).double()).numpy()
    return TimedPlan(time_us, np.arange(PLAN_STEPS + 1) * PLAN_INTERVAL_S, np.vstack((pose, placed)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--towns", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--split", type=TownSplit, default=TownSplit.VAL)
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED_CHECKPOINT)
    given = parser.parse_args()
    work = partial(drive, split=given.split, seconds=given.seconds, checkpoint=given.checkpoint)
    drives: list[Drive] = []
    with multiprocessing.get_context("spawn").Pool() as pool:
        for done in pool.imap(work, range(given.towns)):
            drives.append(done)
            print(f"town {done.layout}: PDMS {done.pdms:.3f}, on the road {done.on_road:.2f}, {done.speed_mps:.1f} m/s")
    table = np.array([(d.pdms, d.on_road, d.speed_mps) for d in drives])
    pdms, on_road, speed = table.mean(0)
    means = f"PDMS {pdms:.3f}, on the road {on_road:.3f}, {speed:.1f} m/s"
    print(f"mean of {len(drives)} towns, {given.seconds:g} s each: {means}")


if __name__ == "__main__":
    main()
