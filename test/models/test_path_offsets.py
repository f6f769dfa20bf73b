"""What offsets do to a reference, by property and by hand."""

import math

import pytest
import torch

from pair_drive_core.models import OffsetConfig, apply_offsets
from pair_drive_core.models.path_offsets import speed_scale
from pair_drive_core.models.reference_path import ReferencePath
from pair_drive_core.planning.plan import Intention

CONFIG = OffsetConfig()


def straight(speed_mps):
    reference = torch.zeros(1, 8, 3)
    reference[0, :, 0] = 0.5 * speed_mps * torch.arange(1, 9)
    return reference


def offsets(along=(0.0, 0.0, 0.0, 0.0), across=(0.0, 0.0, 0.0, 0.0)):
    return torch.stack((torch.tensor(along), torch.tensor(across)), dim=-1)[None, None]


def test_zero_offsets_leave_any_reference_as_it_is(reference):
    leaves = apply_offsets(reference, torch.zeros(3, 2, 4, 2), CONFIG)
    torch.testing.assert_close(leaves, reference.unsqueeze(1).expand(-1, 2, -1, -1), atol=1e-5, rtol=0)


def test_standing_reference_stays_and_can_start():
    standing = torch.zeros(1, 8, 3)
    assert apply_offsets(standing, offsets(), CONFIG).abs().max() == 0
    leaf = apply_offsets(standing, offsets(along=(1.0, 1.0, 1.0, 1.0)), CONFIG)[0, 0]
    assert (leaf[:, 0].diff() > 0).all()
    assert leaf[:, 1:].abs().max() == 0


def test_speed_change_by_hand():
    """+1 m/s in a 2 s minimum-jerk ramp from 0 s: 1 m gained at 2 s, 3 m at 4 s."""
    leaf = apply_offsets(straight(5.0), offsets(along=(1.0, 0.0, 0.0, 0.0)), CONFIG)[0, 0]
    assert leaf[3, 0] == pytest.approx(10.0 + 1.0, abs=1e-4)
    assert leaf[7, 0] == pytest.approx(20.0 + 3.0, abs=1e-4)


def test_lateral_shift_by_hand():
    """1 m to the left in 2 s, half of it after 1 s, heading back along the reference at the end."""
    leaf = apply_offsets(straight(10.0), offsets(across=(1.0, 0.0, 0.0, 0.0)), CONFIG)[0, 0]
    assert leaf[1, 1] == pytest.approx(0.5, abs=1e-4)
    assert leaf[3:, 1].tolist() == pytest.approx([1.0] * 5, abs=1e-4)
    assert leaf[1, 2] > 0.05
    assert leaf[7, 2] == pytest.approx(0.0, abs=1e-4)


def test_plans_never_go_backwards():
    leaf = apply_offsets(straight(4.0), offsets(along=(-3.0, -3.0, -3.0, -3.0)), CONFIG)[0, 0]
    forward = torch.cat((torch.zeros(1), leaf[:, 0])).diff()
    assert (forward >= 0).all()
    assert forward[-1] == 0


def test_lateral_shift_is_bounded_by_the_way_made():
    leaf = apply_offsets(straight(0.5), offsets(across=(1.0, 1.0, 1.0, 1.0)), CONFIG)[0, 0]
    points = torch.cat((torch.zeros(1, 3), leaf))
    assert (points[:, 1].diff() <= CONFIG.max_slope * points[:, 0].diff() + 1e-5).all()


def test_heading_follows_the_path(reference):
    generator = torch.Generator().manual_seed(3)
    across = torch.rand(3, 20, 4, 1, generator=generator) * 2 - 1
    leaves = apply_offsets(reference, torch.cat((torch.zeros_like(across), across), dim=-1), CONFIG)
    points = torch.cat((torch.zeros(3, 20, 1, 2), leaves[..., :2]), dim=2)
    chord = points[:, :, 2:] - points[:, :, :-2]
    direction = torch.atan2(chord[..., 1], chord[..., 0])
    gap = (direction - leaves[:, :, :-1, 2] + math.pi) % (2 * math.pi) - math.pi
    assert gap.abs().max() < 0.06


def test_result_turns_with_the_frame(reference):
    """Turning a reference about the origin turns its leaves: offsets are measured along and across."""
    drawn = torch.randn(1, 4, 4, 2, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1, -1) * 0.5
    angle = 0.4
    turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    # The start pose is the origin with heading 0, so only references that start along the path can be turned exactly.
    path, turned = reference.clone(), reference.clone()
    turned[..., :2] = reference[..., :2] @ turn
    turned[..., 2] += angle
    plain = apply_offsets(path, drawn, CONFIG)[:, :, 2:]
    other = apply_offsets(turned, drawn, CONFIG)[:, :, 2:]
    torch.testing.assert_close(other[..., :2], plain[..., :2] @ turn, atol=0.05, rtol=0)


def test_bounds_have_the_sign_of_their_intention():
    table = CONFIG.table()
    assert table.shape == (len(Intention), 2, 2)
    assert (table[..., 0] < table[..., 1]).all()
    assert table[Intention.LEFT, 1].min() > 0
    assert table[Intention.RIGHT, 1].max() < 0
    assert table[Intention.ACCELERATE, 0].min() > 0
    assert table[Intention.DECELERATE, 0].max() < 0
    assert table[Intention.KEEP].sum(-1).abs().max() == 0


def test_slow_references_get_smaller_changes_of_speed():
    assert speed_scale(straight(20.0), CONFIG).item() == 1.0
    assert speed_scale(straight(4.0), CONFIG).item() == pytest.approx(0.5)
    assert speed_scale(torch.zeros(1, 8, 3), CONFIG).item() == CONFIG.min_scale


def test_path_is_continued_along_its_last_curve():
    """A quarter circle of 20 m radius, continued by as much again, stays on the circle."""
    angle = torch.arange(1, 9) * (math.pi / 16)
    circle = torch.stack((20 * angle.sin(), 20 * (1 - angle.cos()), angle), dim=-1)[None]
    path = ReferencePath.through(circle)
    beyond = path.poses_at(path.arc_length[:, -1:] + 15.0)[0, 0]
    assert (beyond[:2] - torch.tensor([0.0, 20.0])).norm() == pytest.approx(20.0, abs=0.3)


def test_gradients_reach_the_offsets(reference):
    drawn = torch.zeros(3, 1, 4, 2, requires_grad=True)
    apply_offsets(reference, drawn, CONFIG)[..., :2].sum().backward()
    assert drawn.grad.abs().sum(dim=(0, 1, 3)).min() > 0
