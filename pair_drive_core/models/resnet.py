"""Residual image encoders (He et al. 2016) whose sizes come from a configuration."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class ResNetConfig:
    """Sizes of an encoder; the defaults are ResNet-34.

    Attributes:
        stem_channels: channels after the first convolution.
        stem_kernel: its kernel size, px.
        stem_stride: its stride.
        stem_pool: whether a 3 x 3 max pooling of stride 2 follows.
        channels: of each stage.
        blocks: residual blocks of each stage.
        strides: of the first block of each stage.
    """

    stem_channels: int = 64
    stem_kernel: int = 7
    stem_stride: int = 2
    stem_pool: bool = True
    channels: tuple[int, ...] = (64, 128, 256, 512)
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    strides: tuple[int, ...] = (1, 2, 2, 2)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions around a skip connection."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, image: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride)."""
        hidden = functional.relu(self.bn1(self.conv1(image)))
        return functional.relu(self.bn2(self.conv2(hidden)) + self.downsample(image))


class ResNetEncoder(nn.Module):
    """Stem and stages, which the fusion calls one by one."""

    def __init__(self, channels_in: int, config: ResNetConfig) -> None:
        super().__init__()
        padding = config.stem_kernel // 2
        layers: list[nn.Module] = [
            nn.Conv2d(channels_in, config.stem_channels, config.stem_kernel, config.stem_stride, padding, bias=False),
            nn.BatchNorm2d(config.stem_channels),
            nn.ReLU(),
        ]
        if config.stem_pool:
            layers.append(nn.MaxPool2d(3, 2, 1))
        self.stem = nn.Sequential(*layers)
        widths = (config.stem_channels, *config.channels)
        self.stages = nn.ModuleList(
            _stage(widths[i], widths[i + 1], config.blocks[i], config.strides[i]) for i in range(len(config.channels))
        )


def _stage(channels_in: int, channels_out: int, blocks: int, stride: int) -> nn.Sequential:
    """Residual blocks of one resolution."""
    first = BasicBlock(channels_in, channels_out, stride)
    return nn.Sequential(first, *(BasicBlock(channels_out, channels_out, 1) for _ in range(blocks - 1)))
