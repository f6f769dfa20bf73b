"""Disturbances of the inputs that leave the right plan as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from pair_drive_core.models.bev_backbone import SeenFeatures
from pair_drive_core.models.bounds import AT_LEAST_ZERO, SHARE, Bound
from pair_drive_core.models.features import Features


@dataclass(frozen=True)
class AugmentationConfig:
    """Strengths; zeros leave the inputs alone.

    Attributes:
        brightness: greatest relative change of the image's brightness.
        image_noise: standard deviation of the pixels' noise.
        lidar_drop: share of the LiDAR pixels that are emptied.
        velocity_noise_mps: standard deviation of the noise of the velocity.
    """

    brightness: float = 0.2
    image_noise: float = 0.02
    lidar_drop: float = 0.1
    velocity_noise_mps: float = 0.1

    BOUNDS: ClassVar[Mapping[str, Bound]] = {
        "brightness": SHARE,
        "image_noise": AT_LEAST_ZERO,
        "lidar_drop": Bound(0.0, 1.0, open_high=True),
        "velocity_noise_mps": AT_LEAST_ZERO,
    }


NO_AUGMENTATION = AugmentationConfig(0.0, 0.0, 0.0, 0.0)


def augment(features: Features, config: AugmentationConfig, generator: torch.Generator) -> Features:
    """Disturbed copies of B moments.

    Raises:
        ValueError: if there is something to disturb in inputs that were looked at before.
    """
    if isinstance(features, SeenFeatures):
        if config != NO_AUGMENTATION:
            raise ValueError(f"augmentation: expected zeros where a backbone looked before, got {config}")
        return features
    batch = len(features)
    gain = 1.0 + config.brightness * (2.0 * torch.rand(batch, 1, 1, 1, generator=generator) - 1.0)
    noise = config.image_noise * torch.randn(features.camera.shape, generator=generator)
    kept = torch.rand(features.lidar.shape, generator=generator) >= config.lidar_drop
    status = features.status.clone()
    status[:, 4:6] += config.velocity_noise_mps * torch.randn(batch, 2, generator=generator)
    camera = (features.camera * gain + noise).clamp(0.0, 1.0)
    return Features(camera, features.lidar * kept, (features.ground * gain).clamp(0.0, 1.0), status)
