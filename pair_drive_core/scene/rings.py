"""Ragged sets of polygon rings and polylines, packed as in a columnar file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.scene.validation import SceneError, require_dtype, require_finite, require_shape


@dataclass(frozen=True)
class PackedRings:
    """M point sequences of different lengths in one tensor.

    Attributes:
        points: (V, D), m; sequence i is `points[offsets[i] : offsets[i + 1]]`. Polygon rings are open (the last
            vertex is not the first again).
        offsets: (M + 1,) int64, non-decreasing, first 0, last V.
    """

    points: Tensor
    offsets: Tensor

    @staticmethod
    def from_sequences(sequences: Sequence[Tensor], width: int = 2, dtype: torch.dtype = torch.float64) -> PackedRings:
        """Pack a list of (P_i, width) tensors."""
        counts = torch.tensor([0, *(s.shape[0] for s in sequences)], dtype=torch.int64)
        points = torch.cat(list(sequences)) if len(sequences) else torch.zeros(0, width, dtype=dtype)
        return PackedRings(points, counts.cumsum(0))

    def __len__(self) -> int:
        """Number of sequences."""
        return self.offsets.shape[0] - 1

    def __getitem__(self, index: int) -> Tensor:
        """(P_i, D): the points of one sequence."""
        return self.points[int(self.offsets[index]) : int(self.offsets[index + 1])]

    def validate(self, name: str) -> PackedRings:
        """Check shapes, finiteness and offsets.

        Raises:
            SceneError: naming the field at fault.
        """
        require_shape(f"{name}.points", self.points, ("V", "D"))
        require_shape(f"{name}.offsets", self.offsets, ("M+1",))
        require_dtype(f"{name}.offsets", self.offsets, torch.int64)
        require_finite(f"{name}.points", self.points)
        offsets = self.offsets.tolist()
        if not offsets or offsets[0] != 0 or offsets[-1] != self.points.shape[0] or offsets != sorted(offsets):
            raise SceneError(
                f"{name}.offsets: expected non-decreasing offsets from 0 to {self.points.shape[0]}, got {offsets[:8]}"
            )
        return self
