import pytest
import torch

from pair_drive_core.models import Features, PairModel
from pair_drive_core.models.presets import tiny_config


@pytest.fixture
def model():
    torch.manual_seed(0)
    return PairModel(tiny_config()).eval()


@pytest.fixture
def features():
    """Three moments at 3, 8 and 12 m/s, to be driven straight on."""
    generator = torch.Generator().manual_seed(1)
    status = torch.zeros(3, 8)
    status[:, 1] = 1.0
    status[:, 4] = torch.tensor([3.0, 8.0, 12.0])
    camera = torch.rand(3, 3, 32, 64, generator=generator)
    lidar = torch.rand(3, 1, 32, 32, generator=generator)
    return Features(camera, lidar, torch.zeros(3, 0, 32, 32), status)


@pytest.fixture
def reference():
    """A straight, a left-turning and a right-turning reference at 5 m/s."""
    turn = torch.tensor([0.0, 0.15, -0.15]).unsqueeze(1)
    heading = turn * torch.arange(1, 9)
    chord = heading - turn / 2
    step = 2.5 * torch.stack((chord.cos(), chord.sin()), dim=-1)
    return torch.cat((step.cumsum(1), heading.unsqueeze(-1)), dim=-1)
