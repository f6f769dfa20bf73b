"""Camera and LiDAR encoders with attention between them at every stage: the paper's F_BEV (sections 3.2, 3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from pair_drive_core.models.features import STATUS_SIZE, Features
from pair_drive_core.models.latent_lidar import LatentLidar
from pair_drive_core.models.resnet import ResNetConfig, ResNetEncoder
from pair_drive_core.models.world_layers import BINARY_LAYERS, LAYERS

STATUS_SCALE = (1.0, 1.0, 1.0, 1.0, 0.1, 0.1, 0.25, 0.25)
"""Brings velocities (m/s) and accelerations (m/s^2) to the size of the one-hot command."""


@dataclass(frozen=True)
class BackboneConfig:
    """Sizes of one branch's backbone; the defaults are those that the paper has for TransFuser (METHOD section 6).

    Attributes:
        camera: image encoder; it and `lidar` have as many stages, of the same channels.
        lidar: LiDAR encoder.
        camera_anchors: rows and columns of image tokens in the fusion.
        lidar_anchors: rows and columns of LiDAR tokens in the fusion, and of BEV tokens behind it.
        fusion_layers: transformer layers of each fusion stage.
        fusion_heads: their attention heads.
        fusion_expansion: their feed-forward width as a multiple of the channels.
        bev_channels: channels of the BEV map.
        bev_from_stem: whether the BEV map has the resolution of the LiDAR encoder's stem, else of its first stage.
        bev_classes: classes of the auxiliary BEV map (METHOD section 6); 0 for none. It is not computed when planning.
        with_ground_image: whether the LiDAR encoder also gets the image laid onto the ground.
        lidar_sweeps: channels of the LiDAR raster, the sweep at t0 and earlier ones.
        world_width: channels in front of the imagined layers (`WorldLayer`); 0 imagines none. Command and speed then
            enter both encoders, since the route is among the layers.
        token_width: width of the BEV and status tokens.
        latent_lidar_px: side of the learnt map that takes the place of the LiDAR raster (TransFuser's latent variant);
            0 reads the raster.
    """

    camera: ResNetConfig = field(default_factory=ResNetConfig)
    lidar: ResNetConfig = field(default_factory=ResNetConfig)
    camera_anchors: tuple[int, int] = (8, 32)
    lidar_anchors: tuple[int, int] = (8, 8)
    fusion_layers: int = 2
    fusion_heads: int = 4
    fusion_expansion: int = 4
    bev_channels: int = 64
    bev_from_stem: bool = False
    bev_classes: int = 7
    with_ground_image: bool = False
    lidar_sweeps: int = 1
    world_width: int = 0
    token_width: int = 256
    latent_lidar_px: int = 0

    def __post_init__(self) -> None:
        if self.camera.channels != self.lidar.channels:
            raise ValueError(
                f"camera and lidar encoders need the same channels, got {self.camera.channels}, {self.lidar.channels}"
            )


@dataclass(frozen=True)
class BevFeatures:
    """F_BEV of B moments.

    Attributes:
        bev_map: (B, C, h, w), rows along x (behind to front), columns along y (right to left).
        tokens: (B, N + 1, D), the coarse BEV cells and, last, the status token.
        status: (B, 8), as in `Features`.
        layers: (B, LAYERS, h, w), the imagined layers in the order of `WorldLayer`; None where they are not imagined.
        best_progress: (B,), how far PDM-Closed's plan would get, in `PROGRESS_SCALE_M`; None likewise.
    """

    bev_map: Tensor
    tokens: Tensor
    status: Tensor
    layers: Tensor | None = None
    best_progress: Tensor | None = None

    def detach(self) -> BevFeatures:
        """The same without gradients."""
        layers, progress = (None if part is None else part.detach() for part in (self.layers, self.best_progress))
        return BevFeatures(self.bev_map.detach(), self.tokens.detach(), self.status, layers, progress)


@dataclass(frozen=True)
class SeenFeatures(Features):
    """Network inputs that a backbone has looked at before and that is not trained: nobody looks again.

    Attributes:
        seen: what it made of them.
    """

    seen: BevFeatures

    @staticmethod
    def of(seen: BevFeatures) -> SeenFeatures:
        """Without pictures and clouds, since nobody looks at them."""
        nothing = seen.status.new_zeros(len(seen.status), 0, 0, 0)
        return SeenFeatures(nothing, nothing, nothing, seen.status, seen)


class FusionStage(nn.Module):
    """GPT-style fusion: both maps' pooled cells attend to each other; the result is added to each map."""

    def __init__(self, channels: int, config: BackboneConfig) -> None:
        super().__init__()
        self.camera_anchors, self.lidar_anchors = config.camera_anchors, config.lidar_anchors
        count = config.camera_anchors[0] * config.camera_anchors[1] + config.lidar_anchors[0] * config.lidar_anchors[1]
        self.position = nn.Parameter(torch.zeros(1, count, channels))
        layer = nn.TransformerEncoderLayer(
            channels, config.fusion_heads, config.fusion_expansion * channels, 0.0, batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, config.fusion_layers, nn.LayerNorm(channels), False)

    def forward(self, camera: Tensor, lidar: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) and (B, C, h, w) to the same shapes."""
        cells_camera = _pooled(camera, self.camera_anchors).flatten(2)
        cells_lidar = _pooled(lidar, self.lidar_anchors).flatten(2)
        tokens = torch.cat((cells_camera, cells_lidar), dim=2).transpose(1, 2) + self.position
        fused = self.transformer(tokens).transpose(1, 2)
        split = cells_camera.shape[2]
        return (
            camera + _spread(fused[:, :, :split], self.camera_anchors, camera),
            lidar + _spread(fused[:, :, split:], self.lidar_anchors, lidar),
        )


@dataclass(frozen=True)
class ImaginedWorld:
    """What the backbone makes of B moments.

    Attributes:
        logits: (B, LAYERS, h, w), in the order of `WorldLayer`: logits of the probabilities, the other layers as they
            are.
        best_progress: (B,), how far PDM-Closed's plan gets along the route in 4 s, in `PROGRESS_SCALE_M`.
    """

    logits: Tensor
    best_progress: Tensor

    @property
    def layers(self) -> Tensor:
        """(B, LAYERS, h, w), probabilities and numbers."""
        return torch.cat((torch.sigmoid(self.logits[:, :BINARY_LAYERS]), self.logits[:, BINARY_LAYERS:]), dim=1)


class WorldHead(nn.Module):
    """F_BEV to imagined layers of its resolution, and one number."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.to_camera = nn.Linear(STATUS_SIZE, config.camera.stem_channels)
        self.to_lidar = nn.Linear(STATUS_SIZE, config.lidar.stem_channels)
        self.to_map = nn.Linear(STATUS_SIZE, 2 * config.bev_channels)
        self.refine = nn.Conv2d(config.bev_channels, config.world_width, 3, padding=1)
        self.layers = nn.Conv2d(config.world_width, LAYERS, 1)
        self.query = nn.Parameter(0.02 * torch.randn(1, 1, config.token_width))
        self.look = nn.MultiheadAttention(config.token_width, config.fusion_heads, batch_first=True)
        self.far = nn.Sequential(
            nn.Linear(config.token_width + STATUS_SIZE, config.token_width), nn.ReLU(), nn.Linear(config.token_width, 1)
        )

    def informed(self, camera: Tensor, lidar: Tensor, status: Tensor) -> tuple[Tensor, Tensor]:
        """Both stems' maps with the status, (B, 8), added everywhere."""
        return camera + self.to_camera(status)[..., None, None], lidar + self.to_lidar(status)[..., None, None]

    def forward(self, bev_map: Tensor, tokens: Tensor, status: Tensor) -> ImaginedWorld:
        """(B, C, h, w) and (B, N, D) to layers (B, LAYERS, h, w) and a number each."""
        scale, shift = self.to_map(status)[..., None, None].chunk(2, dim=1)
        hidden = functional.relu(self.refine(bev_map * (1.0 + scale) + shift))
        logits = self.layers(hidden)
        query = self.query.expand(tokens.shape[0], -1, -1)
        seen = self.look(query, tokens, tokens, need_weights=False)[0].squeeze(1)
        return ImaginedWorld(logits, self.far(torch.cat((seen, status), dim=1)).squeeze(1))


class BevBackbone(nn.Module):
    """TransFuser's backbone (Chitta et al. 2023), of the paper's sizes: two encoders, fusion after every stage."""

    status_scale: Tensor

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        channels = config.camera.channels
        self.camera = ResNetEncoder(3, config.camera)
        self.lidar = ResNetEncoder(config.lidar_sweeps + (3 if config.with_ground_image else 0), config.lidar)
        self.fusion = nn.ModuleList(FusionStage(width, config) for width in channels)
        self.from_stem = config.bev_from_stem
        widths = (config.lidar.stem_channels, *channels) if config.bev_from_stem else channels
        self.lateral = nn.ModuleList(nn.Conv2d(width, config.bev_channels, 1) for width in widths)
        self.semantic_head = nn.Conv2d(config.bev_channels, config.bev_classes, 1) if config.bev_classes else None
        self.smooth = nn.Conv2d(config.bev_channels, config.bev_channels, 3, padding=1)
        self.to_token = nn.Linear(channels[-1], config.token_width)
        self.status_token = nn.Linear(STATUS_SIZE, config.token_width)
        cells = config.lidar_anchors[0] * config.lidar_anchors[1] + 1
        self.position = nn.Parameter(0.02 * torch.randn(1, cells, config.token_width))
        self.anchors = config.lidar_anchors
        self.latent = LatentLidar(config.lidar_sweeps, config.latent_lidar_px) if config.latent_lidar_px else None
        self.world = WorldHead(config) if config.world_width else None
        self.register_buffer("status_scale", torch.tensor(STATUS_SCALE), persistent=False)

    def forward(self, features: Features, imagine: bool = True) -> BevFeatures:
        """Fuse the sensors of B moments.

        Args:
            features: network inputs.
            imagine: whether to add the layers, where the configuration has any.
        """
        if isinstance(features, SeenFeatures):
            return features.seen
        camera = self.camera.stem(features.camera - 0.5)
        seen = features.lidar if self.latent is None else self.latent(len(features))
        lidar = self.lidar.stem(torch.cat((seen, features.ground), dim=1))
        if self.world is not None:
            camera, lidar = self.world.informed(camera, lidar, features.status * self.status_scale)
        levels: list[Tensor] = [lidar] if self.from_stem else []
        stages = zip(self.camera.stages, self.lidar.stages, self.fusion, strict=True)
        for camera_stage, lidar_stage, fuse in stages:
            camera, lidar = fuse(camera_stage(camera), lidar_stage(lidar))
            levels.append(lidar)
        cells = _pooled(levels[-1], self.anchors).flatten(2).transpose(1, 2)
        status = self.status_token(features.status * self.status_scale).unsqueeze(1)
        tokens = torch.cat((self.to_token(cells), status), dim=1) + self.position
        bev = BevFeatures(self._pyramid(levels), tokens, features.status)
        if not imagine or self.world is None:
            return bev
        world = self.imagine(bev)
        return replace(bev, layers=world.layers, best_progress=world.best_progress)

    def semantics(self, bev: BevFeatures) -> Tensor:
        """(B, classes, h, w): logits of the auxiliary BEV map.

        Raises:
            ValueError: if the configuration has no such map.
        """
        if self.semantic_head is None:
            raise ValueError("the auxiliary BEV map: expected bev_classes > 0, got 0")
        logits: Tensor = self.semantic_head(bev.bev_map)
        return logits

    def imagine(self, bev: BevFeatures) -> ImaginedWorld:
        """The layers that the metric asks about, and how far PDM-Closed would get.

        Raises:
            ValueError: if the configuration has no layers.
        """
        if self.world is None:
            raise ValueError("the imagined layers: expected world_width > 0, got 0")
        imagined: ImaginedWorld = self.world(bev.bev_map, bev.tokens, bev.status * self.status_scale)
        return imagined

    def _pyramid(self, levels: list[Tensor]) -> Tensor:
        """Sum of all LiDAR stages at the finest stage's resolution (a feature pyramid without per-level smoothing)."""
        total: Tensor | None = None
        for lateral, level in zip(reversed(self.lateral), reversed(levels), strict=True):
            here = lateral(level)
            total = here if total is None else here + functional.interpolate(total, here.shape[2:], mode="bilinear")
        assert total is not None
        return functional.relu(self.smooth(functional.relu(total)))


def _pooled(image: Tensor, cells: tuple[int, int]) -> Tensor:
    """(B, C, H, W) averaged over an even grid of cells, (B, C, *cells)."""
    sizes = [int(side) for side in image.shape[2:]]
    if any(size % count for size, count in zip(sizes, cells, strict=True)):
        return functional.adaptive_avg_pool2d(image, cells)
    return functional.avg_pool2d(image, (sizes[0] // cells[0], sizes[1] // cells[1]))


def _spread(cells: Tensor, anchors: tuple[int, int], like: Tensor) -> Tensor:
    """(B, C, N) cells as a map of the size of `like`."""
    grid = cells.reshape(*cells.shape[:2], *anchors)
    return functional.interpolate(grid, like.shape[2:], mode="bilinear", align_corners=False)
