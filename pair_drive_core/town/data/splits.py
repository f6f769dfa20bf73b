"""Which towns and lives belong to training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class TownSplit(str, Enum):
    """Splits share neither a street plan nor a seed of traffic."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


@dataclass(frozen=True)
class SeedRange:
    """Consecutive seeds.

    Attributes:
        first: the first one.
        count: how many.
    """

    first: int
    count: int


LAYOUTS = {
    TownSplit.TRAIN: SeedRange(0, 10_000),
    TownSplit.VAL: SeedRange(10_000, 1_000),
    TownSplit.TEST: SeedRange(20_000, 1_000),
}
"""Layout seeds of each split."""
_LIVES = {TownSplit.TRAIN: 0, TownSplit.VAL: 1_000_000, TownSplit.TEST: 2_000_000}


def town_of(split: TownSplit, number: int) -> tuple[int, int]:
    """Layout seed and seed of the n-th town of a split; after the last layout the first lives again.

    Raises:
        ValueError: if the number is negative.
    """
    if number < 0:
        raise ValueError(f"town number: expected 0 or more, got {number}")
    seeds = LAYOUTS[split]
    return seeds.first + number % seeds.count, _LIVES[split] + number // seeds.count
