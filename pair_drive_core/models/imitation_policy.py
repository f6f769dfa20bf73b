"""What every imitation policy is: sensors to one trajectory, and a loss of its own against demonstrations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.models.bev_backbone import BevBackbone, BevFeatures
from pair_drive_core.models.features import Features


@dataclass(frozen=True)
class DemonstrationLoss:
    """What an imitation policy has to learn from some moments.

    Attributes:
        total: scalar, to minimise.
        distance: scalar, how far its plans are from the human's, m; without gradients.
        bev: F_BEV that its plans came from, for auxiliary maps; None where it has none.
    """

    total: Tensor
    distance: Tensor
    bev: BevFeatures | None = None


class ImitationPolicy(nn.Module, ABC):
    """Sensors to one trajectory; one file a policy (`transfuser`, `diffusion_drive`, `ego_status`).

    Attributes:
        backbone: encoders and fusion; None in a policy that looks at nothing.
    """

    backbone: BevBackbone | None

    def prepare(self, human: Tensor, generator: torch.Generator) -> None:
        """Take from the demonstrations, (S, 8, 3), what must be known before the first update; most need nothing.

        Raises:
            ValueError: if they hold no trajectory.
        """
        if len(human) < 1:
            raise ValueError("expected at least one demonstration, got none")

    @abstractmethod
    def forward(self, features: Features) -> Tensor:
        """Plan for B moments.

        Returns:
            (B, 8, 3): x forward, y left in m, heading in (-pi, pi] rad; ego frame at t0, 2 Hz.
        """

    @abstractmethod
    def learn(
        self, features: Features, human: Tensor, heading_weight: float, generator: torch.Generator
    ) -> DemonstrationLoss:
        """The loss against demonstrations.

        Args:
            features: of B moments.
            human: (B, 8, 3), m, rad.
            heading_weight: metres that an error of 1 rad counts like.
            generator: of randomness, for policies that need some.
        """


def imitation_loss(planned: Tensor, human: Tensor, heading_weight: float) -> Tensor:
    """Mean L1 distance over poses and coordinates; headings the short way round.

    Args:
        planned: (B, 8, 3), m, rad.
        human: (B, 8, 3), m, rad.
        heading_weight: metres that 1 rad counts like.

    Returns:
        Scalar, m.
    """
    position = (planned[..., :2] - human[..., :2]).abs().mean()
    heading = wrap_angle(planned[..., 2] - human[..., 2]).abs().mean()
    return position + heading_weight * heading
