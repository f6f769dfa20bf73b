"""The metric's formula: PDMS (official `_aggregate_scores`) and EPDMS (official `compute_final_scores`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from pair_drive_core.scoring.metric import Metric

WEIGHTS: Mapping[Metric, Mapping[str, float]] = {
    Metric.V1: {"EP": 5.0, "TTC": 5.0, "C": 2.0},
    Metric.V2: {"EP": 5.0, "TTC": 5.0, "LK": 2.0, "HC": 2.0},
}
"""Weights of the sub-scores of the weighted mean; those of `Metric.multiplying_names` multiply it, DDC is shown only in
V1."""
EC_WEIGHT = 2.0
"""Weight of extended comfort in V2's mean, where it is known."""


def counted_names(metric: Metric) -> tuple[str, ...]:
    """The sub-scores that enter the total: those that multiply, then those of the weighted mean."""
    return (*metric.multiplying_names, *WEIGHTS[metric])


def total_score(
    sub: Tensor, metric: Metric, extended_comfort: Tensor | None = None, names: Sequence[str] | None = None
) -> Tensor:
    """PDMS = NC DAC (5 EP + 5 TTC + 2 C) / 12; EPDMS = NC DAC DDC TLC (5 EP + 5 TTC + 2 LK + 2 HC + 2 EC) / 16.

    Where EC is missing its weight is dropped (/ 14): that is what the official one-stage script does for frames without
    a frame before, and what a reward for single plans is (EPDMS without EC).

    Args:
        sub: (..., n), sub-scores in the order of `names`.
        metric: which formula.
        extended_comfort: (...), V2 only; NaN where there is no previous frame; None where there is none at all.
        names: of the columns; the metric's own by default.

    Returns:
        (...).
    """
    columns = dict(zip(names or metric.sub_score_names, sub.unbind(-1), strict=True))
    factor = columns[metric.multiplying_names[0]]
    for name in metric.multiplying_names[1:]:
        factor = factor * columns[name]
    weights = WEIGHTS[metric]
    first, *others = weights
    weighted = weights[first] * columns[first]
    for name in others:
        weighted = weighted + weights[name] * columns[name]
    mean = weighted / sum(weights.values())
    if extended_comfort is not None and metric is Metric.V2:
        known = ~extended_comfort.isnan()
        with_it = weighted + EC_WEIGHT * extended_comfort.nan_to_num()
        mean = (with_it / (sum(weights.values()) + EC_WEIGHT)).where(known, mean)
    return factor * mean
