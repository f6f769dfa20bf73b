"""Slower starts: worked by hand, and properties on any human path."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pair_drive_core.models.reference_path import ReferencePath
from pair_drive_core.scene import PLAN_INTERVAL_S
from pair_drive_core.training.slow_starts import retime, slow_down

TIMES = torch.arange(1, 9) * PLAN_INTERVAL_S


def straight(speed: float) -> Tensor:
    along = speed * TIMES
    return torch.stack((along, torch.zeros(8), torch.zeros(8)), dim=-1).unsqueeze(0)


def status(speed: float, batch: int = 1) -> Tensor:
    row = torch.tensor([0.0, 1.0, 0.0, 0.0, speed, 0.0, 0.7, 0.2])
    return row.repeat(batch, 1)


def test_from_standstill_the_way_is_half_a_t_squared_until_the_humans_speed_is_reached() -> None:
    speeds = torch.full((1, 9), 3.0)
    retimed = retime(straight(3.0), speeds, torch.zeros(1), torch.full((1,), 2.0))
    # 2 m/s^2 up to 3 m/s takes 1.5 s and 2.25 m; from there 3 m/s.
    expected = torch.where(TIMES <= 1.5, TIMES**2, 2.25 + 3.0 * (TIMES - 1.5))
    torch.testing.assert_close(retimed[0, :, 0], expected, atol=0.02, rtol=0.0)


def test_who_keeps_its_speed_keeps_its_way() -> None:
    human = straight(6.0)
    retimed = retime(human, torch.full((1, 9), 6.0), torch.full((1,), 6.0), torch.full((1,), 1.0))
    torch.testing.assert_close(retimed, human)


@given(st.floats(8.0, 20.0), st.floats(-0.05, 0.05), st.floats(0.0, 1.0), st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
def test_a_slowed_ego_stays_on_the_path_and_behind_the_human(
    speed: float, curvature: float, change: float, seed: int
) -> None:
    along = speed * TIMES * (1.0 - 0.1 * change * TIMES)
    turn = curvature * along
    chord = along * torch.sinc(turn / 2.0 / torch.pi)
    human = torch.stack((chord * (turn / 2).cos(), chord * (turn / 2).sin(), turn), dim=-1).repeat(16, 1, 1)
    moments = slow_down(status(speed, 16), human, 1.0, torch.Generator().manual_seed(seed))
    before, after = ReferencePath.through(human).arc_length, ReferencePath.through(moments.human).arc_length
    assert moments.slowed.all()
    assert (after <= before + 0.1).all()
    speeds = moments.status[:, 4]
    assert (speeds <= speed).all()
    assert (speeds == 0.0).any()
    assert (moments.status[:, 6:8] == 0.0).all()
    assert (moments.status[:, :4] == status(speed, 16)[:, :4]).all()
    path = ReferencePath.through(human).poses_at(torch.linspace(0.0, 1.0, 2000) * before[:, -1:])
    off_path = torch.cdist(moments.human[..., :2], path[..., :2]).amin(2)
    assert off_path.max() < 0.05


def test_a_human_who_stops_or_stands_is_left_alone() -> None:
    stopping = straight(4.0)
    stopping[0, 5:, 0] = stopping[0, 5, 0]
    for human, speed in ((stopping, 4.0), (straight(0.0), 0.0)):
        moments = slow_down(status(speed), human, 1.0, torch.Generator().manual_seed(0))
        assert not moments.slowed.any()
        torch.testing.assert_close(moments.human, human)
        torch.testing.assert_close(moments.status, status(speed))


def test_a_share_of_the_moments_is_slowed() -> None:
    moments = slow_down(status(5.0, 2000), straight(5.0).repeat(2000, 1, 1), 0.2, torch.Generator().manual_seed(1))
    assert 0.16 < moments.slowed.float().mean() < 0.24
    kept = moments.status[moments.slowed, 4] / 5.0
    assert 0.4 < (kept == 0.0).float().mean() < 0.6
