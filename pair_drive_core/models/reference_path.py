"""A reference trajectory as a path: along and across it the tree of trajectories is measured (METHOD section 5)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.geometry import wrap_angle

_SHORT_M = 0.5
"""Segments shorter than this say nothing about curvature."""
_MAX_CURVATURE_PER_M = 0.15
"""Tightest curve continued beyond the end of a reference."""


@dataclass(frozen=True)
class ReferencePath:
    """The smooth curve through the T + 1 poses of B references, continued beyond its end with the last curvature.

    Attributes:
        points: (B, T + 1, 2), m, ego frame at t0; the first is the origin.
        headings: (B, T + 1), rad.
        arc_length: (B, T + 1), m, sum of the chords up to each pose.
        end_curvature: (B,), 1/m, continued beyond the last pose.
    """

    points: Tensor
    headings: Tensor
    arc_length: Tensor
    end_curvature: Tensor

    @staticmethod
    def through(reference: Tensor) -> ReferencePath:
        """Build from references.

        Args:
            reference: (B, T, 3), poses after t0 in the ego frame.
        """
        poses = torch.cat((torch.zeros_like(reference[:, :1]), reference), dim=1)
        chord = (poses[:, 1:, :2] - poses[:, :-1, :2]).norm(dim=-1)
        arc = torch.cat((torch.zeros_like(chord[:, :1]), chord.cumsum(1)), dim=1)
        turn = wrap_angle(poses[:, -1, 2] - poses[:, -2, 2])
        curvature = turn / chord[:, -1].clamp(min=_SHORT_M)
        curvature = torch.where(chord[:, -1] > _SHORT_M, curvature, torch.zeros_like(curvature))
        return ReferencePath(
            poses[..., :2], poses[..., 2], arc, curvature.clamp(-_MAX_CURVATURE_PER_M, _MAX_CURVATURE_PER_M)
        )

    def poses_at(self, distance: Tensor) -> Tensor:
        """Poses on the path.

        Args:
            distance: (B, ...), arc length in m, >= 0.

        Returns:
            (B, ..., 3); equal to the reference's own poses at their own arc lengths.
        """
        batch = distance.shape[0]
        flat = distance.reshape(batch, -1)
        inside = self._within(torch.minimum(flat, self.arc_length[:, -1:]))
        beyond = self._beyond((flat - self.arc_length[:, -1:]).clamp(min=0.0))
        poses = torch.where((flat > self.arc_length[:, -1:]).unsqueeze(-1), beyond, inside)
        return poses.reshape(*distance.shape, 3)

    def _within(self, distance: Tensor) -> Tensor:
        """(B, P) distances on the known part to (B, P, 3): cubic Hermite through the poses."""
        last = self.arc_length.shape[1] - 2
        index = (torch.searchsorted(self.arc_length.contiguous(), distance.contiguous(), right=True) - 1).clamp(0, last)
        start, end = self._vertex(index), self._vertex(index + 1)
        length = self.arc_length.gather(1, index + 1) - self.arc_length.gather(1, index)
        u = ((distance - self.arc_length.gather(1, index)) / length.clamp(min=1e-6)).clamp(0.0, 1.0).unsqueeze(-1)
        tangents = [torch.stack((p[..., 2].cos(), p[..., 2].sin()), -1) * length.unsqueeze(-1) for p in (start, end)]
        xy = (
            (2 * u**3 - 3 * u**2 + 1) * start[..., :2]
            + (u**3 - 2 * u**2 + u) * tangents[0]
            + (3 * u**2 - 2 * u**3) * end[..., :2]
            + (u**3 - u**2) * tangents[1]
        )
        heading = start[..., 2:] + u * wrap_angle(end[..., 2:] - start[..., 2:])
        return torch.cat((xy, wrap_angle(heading)), dim=-1)

    def _vertex(self, index: Tensor) -> Tensor:
        """(B, P) indices to (B, P, 3) poses."""
        poses = torch.cat((self.points, self.headings.unsqueeze(-1)), dim=-1)
        return poses.gather(1, index.unsqueeze(-1).expand(-1, -1, 3))

    def _beyond(self, excess: Tensor) -> Tensor:
        """(B, P) distances past the end to (B, P, 3): an arc of the last curvature."""
        turn = excess * self.end_curvature.unsqueeze(1)
        start = self.headings[:, -1:]
        # An arc's chord has half its turn as direction and sin(x)/x of its length (torch.sinc takes x / pi).
        chord = excess * torch.sinc(turn / (2.0 * torch.pi))
        direction = start + turn / 2.0
        xy = self.points[:, -1:] + chord.unsqueeze(-1) * torch.stack((direction.cos(), direction.sin()), dim=-1)
        return torch.cat((xy, wrap_angle(start + turn).unsqueeze(-1)), dim=-1)
