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
_NO_LENGTH_M = 1e-6


@dataclass(frozen=True)
class ReferencePath:
    """The smooth curve through the T + 1 poses of B references, continued beyond its end with the last curvature.

    Attributes:
        points: (B, T + 1, 2), m, ego frame at t0; the first is the origin.
        headings: (B, T + 1), rad.
        arc_length: (B, T + 1), m, sum of the chords up to each pose.
        end_curvature: (B,), 1/m, continued beyond the last pose.
        segments: (B, T, 12), of each chord: arc length at its start, its length, heading at its start, turn; then x and
            y as cubics of the share of the length, their constant coefficients first.
    """

    points: Tensor
    headings: Tensor
    arc_length: Tensor
    end_curvature: Tensor
    segments: Tensor

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
            poses[..., :2],
            poses[..., 2],
            arc,
            curvature.clamp(-_MAX_CURVATURE_PER_M, _MAX_CURVATURE_PER_M),
            _segments(poses, arc, chord),
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
        end = self.arc_length[:, -1:]
        inside = self._within(torch.minimum(flat, end))
        beyond = self._beyond((flat - end).clamp(min=0.0))
        poses = torch.where((flat > end).unsqueeze(-1), beyond, inside)
        return poses.reshape(*distance.shape, 3)

    def _within(self, distance: Tensor) -> Tensor:
        """(B, P) distances on the known part to (B, P, 3): cubic Hermite through the poses."""
        last = self.segments.shape[1] - 1
        index = (torch.searchsorted(self.arc_length, distance, right=True) - 1).clamp(0, last)
        found = self.segments.gather(1, index.unsqueeze(-1).expand(-1, -1, self.segments.shape[2]))
        start, length, heading, turn = found[..., :4].unbind(-1)
        u = ((distance - start) / length).clamp(0.0, 1.0)
        constant, linear, square, cube = found[..., 4:].reshape(*found.shape[:-1], 4, 2).unbind(-2)
        v = u.unsqueeze(-1)
        xy = constant + v * (linear + v * (square + v * cube))
        return torch.cat((xy, wrap_angle(heading + u * turn).unsqueeze(-1)), dim=-1)

    def _beyond(self, excess: Tensor) -> Tensor:
        """(B, P) distances past the end to (B, P, 3): an arc of the last curvature."""
        turn = excess * self.end_curvature.unsqueeze(1)
        start = self.headings[:, -1:]
        # An arc's chord has half its turn as direction and sin(x)/x of its length (torch.sinc takes x / pi).
        chord = excess * torch.sinc(turn / (2.0 * torch.pi))
        direction = start + turn / 2.0
        xy = self.points[:, -1:] + chord.unsqueeze(-1) * torch.stack((direction.cos(), direction.sin()), dim=-1)
        return torch.cat((xy, wrap_angle(start + turn).unsqueeze(-1)), dim=-1)


def _segments(poses: Tensor, arc: Tensor, chord: Tensor) -> Tensor:
    """(B, T, 12): the cubic Hermite between (B, T + 1, 3) poses, `chord` apart; see `ReferencePath.segments`."""
    xy, heading = poses[..., :2], poses[..., 2]
    direction = torch.stack((heading.cos(), heading.sin()), dim=-1)
    length = chord.unsqueeze(-1)
    leaving, arriving, gap = direction[:, :-1] * length, direction[:, 1:] * length, xy[:, 1:] - xy[:, :-1]
    square, cube = 3.0 * gap - 2.0 * leaving - arriving, leaving + arriving - 2.0 * gap
    turn = wrap_angle(heading.diff(dim=1))
    numbers = torch.stack((arc[:, :-1], chord.clamp(min=_NO_LENGTH_M), heading[:, :-1], turn), dim=-1)
    return torch.cat((numbers, xy[:, :-1], leaving, square, cube), dim=-1)
