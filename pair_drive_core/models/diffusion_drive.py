"""DiffusionDrive: truncated diffusion from anchors of the training set (Liao et al. 2025, METHOD section 6).

Departures from the original: there are no detected agents to attend to, so the layers attend to the BEV tokens and the
status token instead; the chain starts at the anchors themselves, so that a plan is the same every time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pair_drive_core.models.bev_backbone import BackboneConfig, BevBackbone, BevFeatures
from pair_drive_core.models.bev_sampling import sample_bev
from pair_drive_core.models.features import Features
from pair_drive_core.models.imitation_policy import DemonstrationLoss, ImitationPolicy, imitation_loss
from pair_drive_core.scene import PLAN_STEPS

_SCHEDULE_STEPS = 1000
_BETAS = (1e-4, 2e-2)
"""First and last of the scaled-linear schedule."""
_FOCAL_GAMMA, _FOCAL_ALPHA = 2.0, 0.25


@dataclass(frozen=True)
class DiffusionDriveConfig:
    """Sizes; the defaults are the original's.

    Attributes:
        kind: which policy this is.
        backbone: encoders and fusion.
        anchors: trajectories that denoising starts from; k-means centres of the training set's.
        layers: cascaded decoder layers.
        heads: their attention heads.
        feed_forward: their feed-forward width.
        noised_steps: steps of the schedule's 1000 that training noises over.
        start_step: step that planning starts at.
        denoising_steps: looks of the network at its own trajectory while planning.
        x_range_m: what -1 and 1 mean along x.
        y_range_m: likewise along y.
        class_weight: of the focal loss that tells the nearest anchor.
        distance_weight: of the L1 distance of its trajectory.
        range_m: half the side of the BEV map.
        ahead_m: how far its middle lies ahead of the rear axle.
    """

    kind: str = "diffusion_drive"
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    anchors: int = 20
    layers: int = 2
    heads: int = 8
    feed_forward: int = 1024
    noised_steps: int = 50
    start_step: int = 8
    denoising_steps: int = 2
    x_range_m: tuple[float, float] = (-2.0, 66.0)
    y_range_m: tuple[float, float] = (-30.0, 30.0)
    class_weight: float = 10.0
    distance_weight: float = 8.0
    range_m: float = 32.0
    ahead_m: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.denoising_steps <= self.start_step < self.noised_steps <= _SCHEDULE_STEPS:
            raise ValueError(
                f"expected 1 <= denoising_steps <= start_step < noised_steps <= {_SCHEDULE_STEPS}, got "
                f"{self.denoising_steps}, {self.start_step}, {self.noised_steps}"
            )


class DiffusionLayer(nn.Module):
    """One look of N noisy trajectories at the scene."""

    def __init__(self, config: DiffusionDriveConfig) -> None:
        super().__init__()
        width = config.backbone.token_width
        self.weigh = nn.Linear(width, PLAN_STEPS)
        self.from_map = nn.Linear(config.backbone.bev_channels, width)
        self.attention = nn.MultiheadAttention(width, config.heads, batch_first=True)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, config.feed_forward), nn.ReLU(), nn.Linear(config.feed_forward, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.poses = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PLAN_STEPS * 3))
        self.score = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, query: Tensor, under: Tensor, memory: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Judge and move.

        Args:
            query: (B, N, D), the trajectories.
            under: (B, N, 8, C), the map at their points.
            memory: (B, M, D), BEV and status tokens.
            time: (B, 1, D), how noisy they are.

        Returns:
            (B, N, 8, 3) raw poses, the positions relative to the trajectory's own, and (B, N) logits.
        """
        weight = torch.softmax(self.weigh(query), dim=-1).unsqueeze(-1)
        query = self.norms[0](query + self.from_map((weight * under).sum(2)))
        query = self.norms[1](query + self.attention(query, memory, memory, need_weights=False)[0])
        query = self.norms[2](query + self.feed_forward(query))
        scale, shift = self.modulation(time).chunk(2, dim=-1)
        query = query * (1.0 + scale) + shift
        return self.poses(query).unflatten(-1, (PLAN_STEPS, 3)), self.score(query).squeeze(-1)


@dataclass(frozen=True)
class Denoised:
    """What the network makes of N noisy trajectories of B moments.

    Attributes:
        poses: (B, N, 8, 3), without noise; ego frame at t0; m, rad.
        logits: (B, N), of being the one that the human drove.
    """

    poses: Tensor
    logits: Tensor


class DiffusionDrive(ImitationPolicy):
    """Sensors to one trajectory, the most probable of those that the anchors become."""

    backbone: BevBackbone
    anchors: Tensor
    kept: Tensor

    def __init__(self, config: DiffusionDriveConfig) -> None:
        super().__init__()
        self.config = config
        width = config.backbone.token_width
        self.backbone = BevBackbone(config.backbone)
        self.encode = nn.Sequential(nn.Linear(PLAN_STEPS * 2, width), nn.ReLU(), nn.Linear(width, width))
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(DiffusionLayer(config) for _ in range(config.layers))
        # Until a training sets them, the anchors spread over straight paths of different lengths.
        length = torch.linspace(0.05, 1.0, config.anchors) * config.x_range_m[1]
        time = torch.arange(1, PLAN_STEPS + 1) / PLAN_STEPS
        straight = length.unsqueeze(1) * time
        self.register_buffer("anchors", torch.stack((straight, torch.zeros_like(straight)), dim=-1))
        betas = torch.linspace(_BETAS[0] ** 0.5, _BETAS[1] ** 0.5, _SCHEDULE_STEPS) ** 2
        self.register_buffer("kept", (1.0 - betas).cumprod(0), persistent=False)

    def forward(self, features: Features) -> Tensor:
        """Plan for B moments; see `ImitationPolicy`."""
        denoised = self.plans(self.backbone(features, imagine=False))
        row = torch.arange(len(features), device=denoised.poses.device)
        return denoised.poses[row, denoised.logits.argmax(1)]

    def prepare(self, human: Tensor, generator: torch.Generator) -> None:
        """Find the anchors."""
        self.anchors.copy_(trajectory_anchors(human, self.config.anchors, generator))

    def plans(self, bev: BevFeatures) -> Denoised:
        """All trajectories that the anchors become, without chance."""
        steps = self.steps()
        noisy = self.start(bev.tokens.shape[0])
        for now, then in pairwise(steps):
            noisy = self.less_noisy(noisy, self.denoise(bev, noisy, now), now, then)
        return self.denoise(bev, noisy, steps[-1])

    def steps(self) -> list[int]:
        """Steps of the schedule at which the network looks while planning, from noisy to clean."""
        count = self.config.denoising_steps
        return [round(self.config.start_step * (count - k) / count) for k in range(count)]

    def start(self, batch: int) -> Tensor:
        """(B, N, 8, 2): where planning starts, normalised."""
        kept = self.kept[self.config.start_step]
        return (kept.sqrt() * self.normalised(self.anchors)).expand(batch, -1, -1, -1)

    def less_noisy(self, noisy: Tensor, denoised: Denoised, now: int, then: int) -> Tensor:
        """(B, N, 8, 2): an implicit step of the schedule (DDIM without chance), normalised."""
        clean = self.normalised(denoised.poses[..., :2])
        noise = (noisy - self.kept[now].sqrt() * clean) / (1.0 - self.kept[now]).sqrt()
        return self.kept[then].sqrt() * clean + (1.0 - self.kept[then]).sqrt() * noise

    def denoise(self, bev: BevFeatures, noisy: Tensor, step: int | Tensor) -> Denoised:
        """The last layer's answer; see `look`."""
        return self.look(bev, noisy, step)[-1]

    def look(self, bev: BevFeatures, noisy: Tensor, step: int | Tensor) -> list[Denoised]:
        """Every layer's answer.

        Args:
            bev: F_BEV of B moments.
            noisy: (B, N, 8, 2), normalised.
            step: of the schedule; one, or (B,) of them.
        """
        moment = torch.as_tensor(step, device=noisy.device).expand(noisy.shape[0])
        time = self.time(_waves(moment, bev.tokens.shape[-1])).unsqueeze(1)
        path, found = noisy.clamp(-1.0, 1.0), list[Denoised]()
        for layer in self.layers:
            points = self.metres(path)
            under = sample_bev(bev.bev_map, points, self.config.range_m, self.config.ahead_m)
            raw, logits = layer(self.encode(path.flatten(2)), under, bev.tokens, time)
            position = self.metres(path + raw[..., :2])
            poses = torch.cat((position, torch.tanh(raw[..., 2:]) * math.pi), dim=-1)
            found.append(Denoised(poses, logits))
            # Not detached: a policy gradient must see all that an earlier layer does to a later one.
            path = self.normalised(position).clamp(-1.0, 1.0)
        return found

    def learn(
        self, features: Features, human: Tensor, heading_weight: float, generator: torch.Generator
    ) -> DemonstrationLoss:
        """Focal loss on the nearest anchor and L1 distance of what it becomes, at every layer."""
        config, bev = self.config, self.backbone(features, imagine=False)
        batch = len(features)
        step = torch.randint(config.noised_steps, (batch,), generator=generator).to(human.device)
        kept = self.kept[step].reshape(-1, 1, 1, 1)
        clean = self.normalised(self.anchors).expand(batch, -1, -1, -1)
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        nearest = (self.anchors - human[:, None, :, :2]).norm(dim=-1).mean(-1).argmin(1)
        row = torch.arange(batch, device=human.device)
        wanted = functional.one_hot(nearest, config.anchors).to(human.dtype)
        total, distance = human.new_zeros(()), human.new_zeros(())
        for answer in self.look(bev, kept.sqrt() * clean + (1.0 - kept).sqrt() * noise, step):
            distance = imitation_loss(answer.poses[row, nearest], human, heading_weight)
            total = total + config.class_weight * _focal(answer.logits, wanted) + config.distance_weight * distance
        return DemonstrationLoss(total, distance.detach(), bev)

    def normalised(self, position: Tensor) -> Tensor:
        """(..., 2) metres to [-1, 1]."""
        low, high = self._bounds(position)
        return 2.0 * (position - low) / (high - low) - 1.0

    def metres(self, position: Tensor) -> Tensor:
        """(..., 2) in [-1, 1] to metres."""
        low, high = self._bounds(position)
        return low + (position + 1.0) * 0.5 * (high - low)

    def _bounds(self, like: Tensor) -> tuple[Tensor, Tensor]:
        low, high = zip(self.config.x_range_m, self.config.y_range_m, strict=True)
        return like.new_tensor(low), like.new_tensor(high)


def trajectory_anchors(human: Tensor, count: int, generator: torch.Generator, rounds: int = 30) -> Tensor:
    """K-means centres of demonstrations (S, 8, 3): (count, 8, 2), m.

    Raises:
        ValueError: if there are fewer demonstrations than centres.
    """
    if len(human) < count:
        raise ValueError(f"anchors: expected at least {count} demonstrations, got {len(human)}")
    paths = human[..., :2].flatten(1)
    centres = paths[torch.randperm(len(paths), generator=generator)[:count]].clone()
    for _ in range(rounds):
        owner = torch.cdist(paths, centres).argmin(1)
        size = torch.zeros(count).index_add_(0, owner, torch.ones(len(owner)))
        total = torch.zeros_like(centres).index_add_(0, owner, paths)
        # A centre that nobody is nearest to stays where it is.
        centres = torch.where(size.unsqueeze(1) > 0, total / size.clamp(min=1.0).unsqueeze(1), centres)
    return centres.reshape(count, PLAN_STEPS, 2)


def _waves(step: Tensor, width: int) -> Tensor:
    """(B, width): sines and cosines of steps (B,)."""
    rate = torch.exp(-math.log(1e4) * torch.arange(width // 2, device=step.device) / (width // 2))
    angle = step.float().unsqueeze(1) * rate
    return functional.pad(torch.cat((angle.sin(), angle.cos()), dim=1), (0, width % 2))


def _focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Focal loss (Lin et al. 2017), a sum over anchors and a mean over moments."""
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    probability = torch.sigmoid(logits)
    missed = wanted * (1.0 - probability) + (1.0 - wanted) * probability
    balance = wanted * _FOCAL_ALPHA + (1.0 - wanted) * (1.0 - _FOCAL_ALPHA)
    return (balance * missed**_FOCAL_GAMMA * entropy).sum(1).mean()
