"""How sure a mean over scenes is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000
_SEED = 0
_BLOCK = 200


def bootstrap_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap of the mean, scenes drawn with replacement; always the same for the same values.

    Neighbouring scenes of a log resemble each other, which this leaves aside: the interval is rather too narrow.

    Args:
        values: one a scene; NaN is left out.
        level: share of the resampled means inside.

    Returns:
        Lower and upper end; NaN without values.
    """
    known = np.array([value for value in values if not np.isnan(value)], dtype=np.float64)
    if known.size == 0:
        return float("nan"), float("nan")
    random = np.random.default_rng(_SEED)
    means = np.concatenate(
        [known[random.integers(0, known.size, (_BLOCK, known.size))].mean(1) for _ in range(RESAMPLES // _BLOCK)]
    )
    low, high = np.quantile(means, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
