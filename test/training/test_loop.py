"""The one loop of all trainings: what counts in the end."""

import pytest
import torch
from torch import nn

from pair_drive_core.training.loop import Course, Loop, LoopFiles, Task
from pair_drive_core.training.optimisation import OptimiserConfig


class Jump(Task):
    """Its one weight is 0 at the start and 1 after every update."""

    def __init__(self, average, updates=2):
        self.course = Course("jump", "weight", 4, 2, updates, OptimiserConfig(), average=average)
        self.module = nn.Linear(1, 1, bias=False)
        self.parameters = list(self.module.parameters())
        self.module.weight.data.zero_()

    def update(self, index, generator, step):
        self.module.weight.data.fill_(1.0)
        return {"weight": 1.0}


def test_the_average_of_the_weights_counts_in_the_end():
    task = Jump(average=0.9)
    Loop(task, 0).run()
    # By hand: 1/10 of the start stays in the first update, 2/11 of what was in the second.
    assert task.module.weight.item() == pytest.approx(1.0 - (1 / 10) * (2 / 11))


def test_the_average_never_forgets_faster_than_it_was_told_to():
    task = Jump(average=0.05)
    Loop(task, 0).run()
    assert task.module.weight.item() == pytest.approx(1.0 - 0.05**2)


def test_without_an_average_the_weights_themselves_count():
    task = Jump(average=0.0)
    Loop(task, 0).run()
    assert torch.equal(task.module.weight, torch.ones(1, 1))
    assert not task.module.training


def test_a_state_of_other_networks_is_refused_in_one_line(tmp_path):
    files = LoopFiles(tmp_path / "jump.pt", save_every=1)
    Loop(Jump(average=0.0), 0, files).run()
    wider = Jump(average=0.0)
    wider.module = nn.Linear(2, 1)
    with pytest.raises(ValueError, match=r"jump.pt: expected a state of these networks, 2 tensors differ"):
        Loop(wider, 0, files)
