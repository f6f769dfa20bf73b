"""Bounds of settings: each configuration names those of its numbers, and all that is wrong is told at once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pair_drive_core.models.configuration import ConfigurationError


@dataclass(frozen=True)
class Bound:
    """Where a finite number must lie.

    Attributes:
        low: least value.
        high: greatest value.
        open_low: whether `low` itself is too little.
        open_high: whether `high` itself is too much.
    """

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value is finite and within."""
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return math.isfinite(value) and above and below

    def __str__(self) -> str:
        low = f"{'above' if self.open_low else 'at least'} {self.low:g}"
        if math.isinf(self.high):
            return low
        return f"{low} and {'below' if self.open_high else 'at most'} {self.high:g}"


AT_LEAST_ONE, AT_LEAST_ZERO = Bound(1), Bound(0)
POSITIVE = Bound(0.0, open_low=True)
SHARE = Bound(0.0, 1.0)


def problems_of(config: Any, where: str = "") -> Iterator[str]:  # noqa: ANN401 - any configuration
    """What is wrong with a configuration and all those inside it, one line each.

    A class says so by `BOUNDS` (by field) and by a method `problems`, for what concerns several fields.
    """
    bounds = getattr(type(config), "BOUNDS", {})
    for field in dataclasses.fields(config):
        value, path = getattr(config, field.name), f"{where}.{field.name}" if where else field.name
        if dataclasses.is_dataclass(value):
            yield from problems_of(value, path)
        elif field.name in bounds and value is not None and not bounds[field.name].holds(value):
            yield f"setting {path!r}: expected {bounds[field.name]}, got {value}"
    own = getattr(config, "problems", None)
    if own is not None:
        yield from (f"setting {where!r}: {problem}" for problem in own())


def require_bounds(config: object) -> None:
    """Refuse a configuration with values out of bounds.

    Raises:
        ConfigurationError: with all that is wrong.
    """
    found = list(problems_of(config))
    if found:
        raise ConfigurationError("; ".join(found))
