"""Chance around a plan: smooth, as probable as it says, and known from another plan's view."""

import math

import pytest
import torch

from pair_drive_core.models.stochastic_plan import StochasticPlan, StochasticPlanConfig


def straight(speed=5.0):
    plan = torch.zeros(1, 8, 3)
    plan[..., 0] = torch.arange(1, 9) * 0.5 * speed
    return plan


def test_draws_have_the_deviation_that_they_are_told_and_start_where_the_plan_does():
    config = StochasticPlanConfig(along_m=2.0, across_m=0.5)
    draw = StochasticPlan(config).sample(straight(20.0), 4000, torch.Generator().manual_seed(0))
    gap = draw.trajectories - straight(20.0).unsqueeze(1)
    # Two independent coefficients add up at the end of the plan, and are an eighth squared and cubed at its start.
    spread = gap[0, :, -1, :2].std(0)
    assert spread.tolist() == pytest.approx([2.0 * math.sqrt(2), 0.5 * math.sqrt(2)], rel=0.05)
    assert gap[0, :, 0, :2].std(0).max() < 0.05
    headings = torch.atan2(*draw.trajectories[0, :, :, :2].diff(dim=1).flip(-1).unbind(-1))
    assert (headings - draw.trajectories[0, :, 1:, 2]).abs().max() < 1e-4


def test_log_density_and_divergence_by_hand():
    """The present plan ends 1 m further to the left, by (t/T)^2: one of four coefficients is off by 2 deviations."""
    around = StochasticPlan(StochasticPlanConfig(along_m=2.0, across_m=0.5))
    draw = around.sample(straight(), 3, torch.Generator().manual_seed(0))
    moved = straight()
    moved[..., 1] += (torch.arange(1, 9) / 8) ** 2
    previous, present = around.distribution(straight(), draw), around.distribution(moved, draw)
    assert present.kl_from(previous).item() == pytest.approx(0.5 * (1.0 / 0.5) ** 2, rel=1e-4)
    assert previous.kl_from(previous).item() == 0.0
    across = draw.coefficients[0, :, 0, 1]
    wanted = (-0.5 * ((across - 1.0) / 0.5) ** 2) - (-0.5 * (across / 0.5) ** 2)
    torch.testing.assert_close(
        (present.log_prob(draw) - previous.log_prob(draw))[0, :, 0], wanted, rtol=1e-3, atol=1e-3
    )
