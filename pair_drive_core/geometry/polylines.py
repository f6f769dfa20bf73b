"""Polylines parametrised by arc length."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.geometry.angles import wrap_angle


@dataclass(frozen=True)
class Polyline:
    """A polyline with its arc length.

    Attributes:
        points: (P, 2), m.
        headings: (P,), rad, direction of travel at each vertex.
        arc_length: (P,), m, 0 at the first vertex, non-decreasing.
    """

    points: Tensor
    headings: Tensor
    arc_length: Tensor

    @staticmethod
    def from_points(points: Tensor, headings: Tensor | None = None) -> Polyline:
        """Build from vertices; headings default to the direction of the segment that leaves each vertex.

        Args:
            points: (P, 2), m, P >= 2.
            headings: (P,), rad, or None.

        Raises:
            ValueError: if there are fewer than two vertices or a coordinate is not finite.
        """
        if points.ndim != 2 or points.shape[0] < 2 or points.shape[1] != 2:
            raise ValueError(f"a polyline needs points of shape (P >= 2, 2), got {tuple(points.shape)}")
        if not bool(torch.isfinite(points).all()):
            raise ValueError("a polyline needs finite points, got NaN or infinity")
        step = points[1:] - points[:-1]
        arc = torch.cat((points.new_zeros(1), torch.cumsum(step.norm(dim=-1), 0)))
        if headings is None:
            direction = torch.atan2(step[:, 1], step[:, 0])
            headings = torch.cat((direction, direction[-1:]))
        return Polyline(points, headings, arc)

    @property
    def length_m(self) -> float:
        """Total arc length, m."""
        return float(self.arc_length[-1])

    def project(self, points: Tensor) -> Tensor:
        """Arc length of the nearest point of the polyline (the first one where several are as near).

        Args:
            points: (..., 2), m.

        Returns:
            (...), m, within [0, length].
        """
        start, step = self.points[:-1], self.points[1:] - self.points[:-1]
        squared = (step * step).sum(-1)
        offset = points.unsqueeze(-2) - start
        along = (offset * step).sum(-1) / torch.where(squared > 0, squared, torch.ones_like(squared))
        along = along.clamp(0.0, 1.0)
        distance2 = ((offset - along.unsqueeze(-1) * step) ** 2).sum(-1)
        best = distance2.argmin(-1)
        fraction = torch.gather(along, -1, best.unsqueeze(-1)).squeeze(-1)
        return self.arc_length[best] + fraction * squared.sqrt()[best]

    def interpolate(self, distance: Tensor) -> Tensor:
        """Poses at given arc lengths, clipped to the ends.

        Args:
            distance: (...), m.

        Returns:
            (..., 3): x, y in m and heading in rad (interpolated the short way round).
        """
        distance = distance.clamp(0.0, float(self.arc_length[-1]))
        index = torch.searchsorted(self.arc_length, distance.contiguous(), right=True) - 1
        index = index.clamp(0, self.arc_length.shape[0] - 2)
        span = self.arc_length[index + 1] - self.arc_length[index]
        fraction = (distance - self.arc_length[index]) / torch.where(span > 0, span, torch.ones_like(span))
        xy = torch.lerp(self.points[index], self.points[index + 1], fraction.unsqueeze(-1))
        turn = wrap_angle(self.headings[index + 1] - self.headings[index])
        heading = wrap_angle(self.headings[index] + fraction * turn)
        return torch.cat((xy, heading.unsqueeze(-1)), dim=-1)
