"""Scores of plans with trees of different sizes, and of none, side by side."""

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pair_drive_core.driving.guarded_planner import GuardedPlan
from pair_drive_core.evaluation.bag_evaluation import score_replay
from pair_drive_core.planning.pdm_closed import pdm_reference
from pair_drive_core.planning.plan import CandidateTrajectories, Plan, PlanSource
from pair_drive_core.scene import Trajectory
from pair_drive_core.scoring import Metric, score


def plan_of(poses, leaves=None, imitation=0):
    candidates = None
    if leaves is not None:
        count = len(leaves)
        candidates = CandidateTrajectories(
            poses=leaves,
            intentions=torch.zeros(count, 2, dtype=torch.int64),
            log_prob=torch.zeros(count),
            reward=torch.zeros(count),
            confidence=torch.ones(count),
            sub_scores=torch.zeros(count, 1),
            sub_score_names=("NC",),
            imitation_index=imitation,
        )
    return GuardedPlan(Plan(poses, PlanSource.IMITATION, 0.5, 0.5, candidates), "", False, 0.01)


def test_a_scene_is_judged_by_its_own_plan_and_leaves_alone(roads):
    """The second scene has three leaves, the first has one and the third has none: what fills up must not count."""
    standing, human = torch.zeros(8, 3), torch.zeros(8, 3)
    human[:, 0] = 4.0 * torch.arange(1, 9)
    scene = dataclasses.replace(roads.road(), human=Trajectory(human.double()))
    plans = {
        1: plan_of(standing, standing.unsqueeze(0)),
        2: plan_of(standing, torch.stack((standing, human, 0.5 * human)), imitation=2),
        3: plan_of(human),
    }
    scenes = {time_us: dataclasses.replace(scene, token=f"{time_us}", time_us=time_us) for time_us in plans}
    status = SimpleNamespace(pose=scene.ego.pose.numpy())
    replayed = {time_us: SimpleNamespace(result=result, status=status) for time_us, result in plans.items()}
    rows, totals = score_replay(Path("bag"), SimpleNamespace(scenes=scenes, plans=replayed), Metric.V1)
    known = dataclasses.replace(scene, reference=pdm_reference(scene, Metric.V1))

    def alone(poses):
        return float(score([known], poses.double()[None, None], Metric.V1).total)

    stands, drives, halves = alone(standing), alone(human), alone(0.5 * human)
    assert stands < halves < drives, "else this test would not see anything"
    assert totals == pytest.approx({1: stands, 2: stands, 3: drives})
    found = {row.name: (row.scenes, row.total) for row in rows}
    assert found["planned"] == (3, pytest.approx((2 * stands + drives) / 3))
    assert found["imitation"] == (2, pytest.approx((stands + halves) / 2))
    assert found["best leaf"] == (2, pytest.approx((stands + drives) / 2))
    assert found["driven"] == (3, pytest.approx(drives))
    assert all(math.isfinite(row.total) for row in rows)
