"""The human penalty filter of EPDMS."""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor


class HumanFilter(str, Enum):
    """Conventions of the filter.

    FIXED is the official code since 2025-09-29 (navsim issue 151). Before, sub-scores were filtered but not the
    product and the weighted mean that the total was made of: OLD shows filtered sub-scores beside an unfiltered total.
    Results in the literature mix the two; they differ by 1.5 to 4 points. OFF leaves everything as it is, as the
    official code does for synthetic scenes.
    """

    FIXED = "fixed"
    OLD = "old"
    OFF = "off"


def forgive(sub: Tensor, human_sub: Tensor) -> Tensor:
    """Set each sub-score to 1 where the human's own is exactly 0 (1/2 does not count).

    Args:
        sub: (S, K, n).
        human_sub: (S, n).
    """
    return torch.where((human_sub == 0.0)[:, None, :], torch.ones_like(sub), sub)
