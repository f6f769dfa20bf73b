"""Index arithmetic for ragged lists that are packed one after the other."""

from __future__ import annotations

import torch
from torch import Tensor


def expand(start: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """List all members of ragged segments.

    Args:
        start: (P,) int64, index of each segment's first member.
        count: (P,) int64, members of each segment.

    Returns:
        `segment` (Q,) int64, which segment each listed member belongs to, ascending; `member` (Q,) int64, its index.
    """
    segment = torch.repeat_interleave(torch.arange(count.shape[0], device=count.device), count)
    before = count.cumsum(0) - count
    member = torch.arange(segment.shape[0], device=count.device) + (start - before)[segment]
    return segment, member


def pad_ragged(values: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Ragged rows as a dense tensor.

    Args:
        values: (Q, ...).
        offsets: (S + 1,) int64.

    Returns:
        (S, P, ...) with P the largest count, zero where there is nothing; and the mask (S, P) of what is there.
    """
    count = offsets.diff()
    width = int(count.max()) if count.numel() else 0
    slot = torch.arange(width, device=offsets.device)
    mask = slot < count[:, None]
    dense = values.new_zeros(count.shape[0], width, *values.shape[1:])
    dense[mask] = values[: int(offsets[-1])]
    return dense, mask
