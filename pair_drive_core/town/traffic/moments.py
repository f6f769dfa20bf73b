"""What a town remembers of its life."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

from pair_drive_core.town.streets.curves import FloatArray
from pair_drive_core.town.traffic.paths import LaneSpan


@dataclass(frozen=True)
class Moment:
    """The state of everything that moves at one step.

    Attributes:
        time_s: since the simulator's start.
        pose: (V, 3), rear axles, m, rad.
        speed_mps: (V,).
        acceleration: (V, 2), forward and leftward, m/s^2.
        curvature: (V,), 1/m.
        along_m: (V,), arc length on the path.
        spans: lanes on each vehicle's path.
        walkers: (N, 3), people, m, rad.
        walking_mps: (N,).
        flaws: by vehicle, what its driver does wrong at this moment; drivers without fault are left out.
    """

    time_s: float
    pose: FloatArray
    speed_mps: FloatArray
    acceleration: FloatArray
    curvature: FloatArray
    along_m: FloatArray
    spans: tuple[list[LaneSpan], ...]
    walkers: FloatArray
    walking_mps: FloatArray
    flaws: dict[int, tuple[str, ...]]


class Moments(Sequence[Moment]):
    """Moments in order; the oldest can be forgotten without changing the numbers of the others."""

    def __init__(self) -> None:
        self._kept: list[Moment] = []
        self._first = 0

    @property
    def first(self) -> int:
        """Number of the oldest moment that is kept."""
        return self._first

    def append(self, moment: Moment) -> None:
        """Add the newest."""
        self._kept.append(moment)

    def forget_before(self, step: int) -> None:
        """Forget the moments before a step; the newest always stays."""
        count = min(step - self._first, len(self._kept) - 1)
        if count > 0:
            del self._kept[:count]
            self._first += count

    def replaced(self, changed: Mapping[int, Moment]) -> Moments:
        """A copy in which some moments, by number, are others."""
        copy = Moments()
        copy._first = self._first
        copy._kept = [changed.get(self._first + i, moment) for i, moment in enumerate(self._kept)]
        return copy

    def __len__(self) -> int:
        """How many there have been, the forgotten ones included."""
        return self._first + len(self._kept)

    @overload
    def __getitem__(self, index: int) -> Moment: ...

    @overload
    def __getitem__(self, index: slice) -> list[Moment]: ...

    def __getitem__(self, index: int | slice) -> Moment | list[Moment]:
        """A moment by its number, or several.

        Raises:
            IndexError: if it has been forgotten or has not come yet.
        """
        if isinstance(index, slice):
            return [self[step] for step in range(*index.indices(len(self)))]
        step = index + len(self) if index < 0 else index
        if not self._first <= step < len(self):
            raise IndexError(f"moment: expected {self._first} to {len(self) - 1}, got {index}")
        return self._kept[step - self._first]

    def __iter__(self) -> Iterator[Moment]:
        """Those that are kept, oldest first."""
        return iter(self._kept)
