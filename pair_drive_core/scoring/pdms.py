"""PDMS: the total of v1.1 (official `_aggregate_scores`)."""

from __future__ import annotations

from torch import Tensor


def pdms(sub: Tensor) -> Tensor:
    """NC DAC (5 EP + 5 TTC + 2 C) / 12; DDC has no weight.

    Args:
        sub: (..., 6), columns of `Metric.V1.sub_score_names`.

    Returns:
        (...).
    """
    nc, dac, ep, ttc, c, _ = sub.unbind(-1)
    return nc * dac * (5.0 * ep + 5.0 * ttc + 2.0 * c) / 12.0
