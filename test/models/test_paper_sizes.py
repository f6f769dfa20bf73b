"""The paper's sizes of the same code, ImageNet's weights, and the small sizes' bound."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pair_drive_core.models import Features, PairModel, TransFuser, TransFuserConfig, config_from_mapping
from pair_drive_core.models.imagenet import load_imagenet
from pair_drive_core.models.pair_model import PairConfig
from pair_drive_core.models.resnet import ResNetConfig, ResNetEncoder
from pair_drive_core.training.settings import read_mapping

CONFIGS = Path(__file__).resolve().parents[2] / "config"
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


def torchvision_names(depth):
    """Names and shapes as torchvision writes them, from its documentation of ResNet-18 and -34."""
    shapes = {"conv1.weight": (64, 3, 7, 7), **norm("bn1", 64), "fc.weight": (1000, 512), "fc.bias": (1000,)}
    before = 64
    for stage, (width, blocks) in enumerate(zip((64, 128, 256, 512), BLOCKS[depth], strict=True), start=1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            shapes |= {f"{name}.conv1.weight": (width, before, 3, 3), **norm(f"{name}.bn1", width)}
            shapes |= {f"{name}.conv2.weight": (width, width, 3, 3), **norm(f"{name}.bn2", width)}
            if before != width:
                shapes |= {f"{name}.downsample.0.weight": (width, before, 1, 1), **norm(f"{name}.downsample.1", width)}
            before = width
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def norm(name, width):
    parts = ("weight", "bias", "running_mean", "running_var")
    return {**{f"{name}.{part}": (width,) for part in parts}, f"{name}.num_batches_tracked": ()}


@pytest.mark.parametrize("depth", [18, 34])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_imagenet_weights_of_torchvisions_names_are_taken_over(depth, suffix, tmp_path):
    encoder, weights = ResNetEncoder(3, ResNetConfig(blocks=BLOCKS[depth])), torchvision_names(depth)
    path = tmp_path / f"resnet{depth}{suffix}"
    if suffix == ".pth":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    load_imagenet(encoder, path)
    assert torch.equal(encoder.stem[0].weight, weights["conv1.weight"])
    assert torch.equal(encoder.stages[3][1].bn2.running_var, weights["layer4.1.bn2.running_var"])
    assert torch.equal(encoder.stages[1][0].downsample[0].weight, weights["layer2.0.downsample.0.weight"])
    assert len(encoder.state_dict()) == len(weights) - 2


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path):
    encoder, path = ResNetEncoder(3, ResNetConfig(blocks=BLOCKS[34])), tmp_path / "x.safetensors"
    save_file(torchvision_names(18), path)
    with pytest.raises(ValueError, match=r"missing \['stages.0.2.bn1.bias'"):
        load_imagenet(encoder, path)
    hostile = tmp_path / "hostile.pth"
    torch.save({"conv1.weight": torch.zeros(1), "run": os.system}, hostile)
    with pytest.raises(ValueError, match="expected weights, got a file that cannot be read"):
        load_imagenet(encoder, hostile)
    path.write_bytes(b"not a file of weights")
    with pytest.raises(ValueError, match="expected weights, got a file that cannot be read"):
        load_imagenet(encoder, path)
    other = tmp_path / "x.pth"
    torch.save({"conv1.weight": [1.0]}, other)
    with pytest.raises(ValueError, match="expected weights by name"):
        load_imagenet(encoder, other)
    with pytest.raises(FileNotFoundError):
        load_imagenet(encoder, tmp_path / "none.pth")


@torch.inference_mode()
def test_the_papers_sizes_plan():
    """Two ResNet-34 at 256 x 1024 and 256 x 256: about 56 million weights (METHOD section 6)."""
    torch.manual_seed(0)
    network = TransFuser(config_from_mapping(PairConfig, read_mapping(CONFIGS / "model_r34.yaml")).imitation).eval()
    assert network.backbone.camera.stages[2][5].conv2.weight.shape == (256, 256, 3, 3)
    assert 50e6 < sum(parameter.numel() for parameter in network.parameters()) < 62e6
    empty = Features(
        torch.rand(1, 3, 256, 1024), torch.rand(1, 1, 256, 256), torch.zeros(1, 0, 256, 256), torch.zeros(1, 8)
    )
    plan = network(empty)
    assert plan.shape == (1, 8, 3)
    assert bool(torch.isfinite(plan).all())
    assert TransFuserConfig() == config_from_mapping(PairConfig, {}).imitation


def test_the_small_sizes_stay_small():
    model = PairModel(config_from_mapping(PairConfig, read_mapping(CONFIGS / "train_nano_fine.yaml")["model"]))
    assert sum(parameter.numel() for parameter in model.parameters()) < 8_000_000
