"""EPDMS: the total of v2 (official `compute_final_scores`)."""

from __future__ import annotations

import torch
from torch import Tensor


def epdms(sub: Tensor, extended_comfort: Tensor | None = None) -> Tensor:
    """NC DAC DDC TLC (5 EP + 5 TTC + 2 LK + 2 HC + 2 EC) / 16; where EC is missing its weight is dropped (/ 14).

    Args:
        sub: (..., 8), columns of `Metric.V2.sub_score_names`.
        extended_comfort: (...), NaN where there is no previous frame; None where there is none at all.

    Returns:
        (...).
    """
    nc, dac, ddc, tlc, ep, ttc, lk, hc = sub.unbind(-1)
    weighted = 5.0 * ep + 5.0 * ttc + 2.0 * lk + 2.0 * hc
    alone = weighted / 14.0
    if extended_comfort is not None:
        known = ~extended_comfort.isnan()
        alone = torch.where(known, (weighted + 2.0 * extended_comfort.nan_to_num()) / 16.0, alone)
    return nc * dac * ddc * tlc * alone
