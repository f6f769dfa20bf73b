"""How far imagined layers are from the true ones, by hand."""

import math

import pytest
import torch

from pair_drive_core.models.bev_backbone import ImaginedWorld
from pair_drive_core.models.world_layers import BINARY_LAYERS, LAYERS, WorldLayer
from pair_drive_core.training.world_loss import WorldTargets, world_loss


def imagined(size=4):
    """Every probability one half, every number zero, PDM-Closed 10 m ahead."""
    return ImaginedWorld(torch.zeros(2, LAYERS, size, size), torch.full((2,), 0.5))


def targets(size=4, known=True):
    return WorldTargets(torch.zeros(2, LAYERS, size, size), torch.full((2, size, size), known), torch.full((2,), 10.0))


def test_what_is_right_costs_nothing_but_the_doubt_about_probabilities():
    loss = {name: float(value) for name, value in world_loss(imagined(), targets()).items()}
    # Three layers, and thirteen rare ones that count four times, log 2 each.
    rare = BINARY_LAYERS - int(WorldLayer.RED_NOW)
    assert loss["layers"] == pytest.approx((int(WorldLayer.RED_NOW) + 4 * rare) * math.log(2.0), rel=1e-5)
    assert (loss["edge"], loss["line"], loss["far"]) == (0.0, 0.0, 0.0), "10 m are half of the scale of 20 m"


@pytest.mark.parametrize("layer", [WorldLayer.LATERAL, WorldLayer.LINE_COS, WorldLayer.LINE_SIN, WorldLayer.PROGRESS])
def test_the_center_line_counts_where_it_is_known(layer):
    aim = targets()
    aim.layers[:, layer] = 0.5
    # 32 cells of 0.5 over 32 known ones and one.
    assert float(world_loss(imagined(), aim)["line"]) == pytest.approx(16.0 / 33.0)
    assert float(world_loss(imagined(), aim)["edge"]) == 0.0
    unknown = WorldTargets(aim.layers, torch.zeros_like(aim.line_known), aim.best_progress)
    assert float(world_loss(imagined(), unknown)["line"]) == 0.0


def test_distances_are_means():
    aim = targets()
    aim.layers[:, WorldLayer.EDGE] = -0.25
    aim.best_progress[0] = 30.0
    loss = world_loss(imagined(), aim)
    assert float(loss["edge"]) == 0.25 and float(loss["far"]) == 0.5


def test_finer_targets_are_averaged_and_cells_that_are_half_known_do_not_count():
    aim = targets(size=8)
    aim.layers[:, WorldLayer.EDGE, ::2] = 1.0
    aim.layers[:, WorldLayer.LATERAL] = 1.0
    aim.line_known[:, 0, 0] = False
    loss = world_loss(imagined(), aim)
    assert float(loss["edge"]) == pytest.approx(0.5)
    assert float(loss["line"]) == pytest.approx(30.0 / 31.0), "one of the sixteen cells of each moment is left out"


def test_where_nobody_knows_how_far_pdm_closed_gets_nothing_is_asked():
    aim = targets()
    aim.best_progress[:] = torch.tensor([math.nan, 30.0])
    guess = ImaginedWorld(torch.zeros(2, LAYERS, 4, 4), torch.full((2,), 0.5, requires_grad=True))
    far = world_loss(guess, aim)["far"]
    far.backward()
    assert float(far) == 1.0 and guess.best_progress.grad.tolist() == [0.0, -1.0]
