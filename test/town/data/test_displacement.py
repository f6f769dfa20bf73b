from __future__ import annotations

import numpy as np
import pytest
import torch

from pair_drive_core.geometry import transform_points
from pair_drive_core.town import SceneCutter, TownSensors, TownSimulator
from pair_drive_core.town.data.displacement import Displacement, displaced, draw_displacement


def moving(simulator: TownSimulator, step: int) -> int:
    """The fastest demonstrator."""
    return int(np.argmax(simulator.moments[step].speed_mps[:8]))


def test_it_drifts_to_where_it_is_and_returns_smoothly() -> None:
    along = np.array([-2.0, 0.0, 10.0, 20.0, 30.0])
    left, slope = Displacement(1.0, 0.05).offset(along, 20.0)
    np.testing.assert_allclose(left, [0.9, 1.0, 0.5 + 0.05 * 20.0 / 8.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(slope, [0.05, 0.05, -1.5 / 20.0 - 0.05 / 4.0, 0.0, 0.0], atol=1e-12)


def test_the_ego_stands_aside_its_human_returns_and_nobody_else_moves(
    simulator: TownSimulator, cutter: SceneCutter
) -> None:
    step = cutter.steps[10]
    vehicle = moving(simulator, step)
    plain = cutter.scene_at(step, vehicle)
    with displaced(simulator, step, vehicle, Displacement(0.8, -0.04)):
        aside = cutter.scene_at(step, vehicle)
    local = plain.ego.pose.new_tensor([[plain.ego.pose[2].cos(), plain.ego.pose[2].sin()]])
    offset = aside.ego.pose[:2] - plain.ego.pose[:2]
    assert float(local @ offset) == pytest.approx(0.0, abs=1e-5)
    assert float(offset.norm()) == pytest.approx(0.8, abs=1e-5)
    assert float(aside.ego.pose[2] - plain.ego.pose[2]) == pytest.approx(np.arctan(-0.04), abs=1e-5)
    assert torch.equal(aside.ego.velocity, plain.ego.velocity)
    seen = [dict(zip(s.objects.tokens, s.objects.states.unbind(1), strict=True)) for s in (aside, plain)]
    both = [[tracks[token] for token in seen[0].keys() & seen[1].keys()] for tracks in seen]
    together = [(a != 0).any(-1) & (b != 0).any(-1) for a, b in zip(*both, strict=True)]
    assert len(together) > 5
    assert all(torch.equal(a[k], b[k]) for a, b, k in zip(*both, together, strict=True))
    assert aside.human is not None and plain.human is not None
    ends = [transform_points(scene.ego.pose, scene.human.poses[-1:, :2].double()) for scene in (aside, plain)]
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-4, err_msg="after 4 s it drives where it drove")
    again = cutter.scene_at(step, vehicle)
    assert torch.equal(again.ego.pose, plain.ego.pose), "outside the context everything is as it was"


def test_the_cameras_see_it(simulator: TownSimulator, cutter: SceneCutter, sensors: TownSensors) -> None:
    step = cutter.steps[10]
    vehicle = moving(simulator, step)
    plain = sensors.stitched(step, vehicle, 128, 32)
    with displaced(simulator, step, vehicle, Displacement(1.0, 0.0)):
        aside = sensors.stitched(step, vehicle, 128, 32)
    assert np.abs(plain.astype(float) - aside).mean() > 1.0


def test_draws_stay_within_their_bounds() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_displacement(1.2, 0.08, rng) for _ in range(200)]
    assert 1.0 < max(abs(d.left_m) for d in drawn) <= 1.2
    assert 0.07 < max(abs(d.slope) for d in drawn) <= 0.08
