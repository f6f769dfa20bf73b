"""Per-scene results of agents as a table: written, read again, compared pair by pair with intervals."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pair_drive_core.datasets.atomic import write_bytes

FloatArray = npt.NDArray[np.float64]

TOTALS = ("PDMS", "EPDMS")
HUMAN_BAD_BELOW: Mapping[str, float] = {"PDMS": 0.85, "EPDMS": 0.80}
"""Scenes in which the human's own score is lower are human-bad (METHOD section 3)."""
_RESAMPLES = 2000
_KEYS = ("token", "layout", "agent")


@dataclass(frozen=True)
class SceneRow:
    """One agent in one scene.

    Attributes:
        token: of the scene.
        layout: number of its town.
        agent: who planned.
        values: totals and sub-scores by column, in [0, 1]; NaN where one is not known.
    """

    token: str
    layout: int
    agent: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class Interval:
    """A mean and the ends of its 95 % bootstrap interval.

    Attributes:
        mean: over scenes.
        low: lower end.
        high: upper end.
        scenes: how many.
    """

    mean: float
    low: float
    high: float
    scenes: int


def write_rows(path: Path, rows: Sequence[SceneRow]) -> None:
    """Write a CSV file, one line an agent and scene.

    Raises:
        ValueError: if there are no rows.
    """
    if not rows:
        raise ValueError(f"{path}: expected at least one row to write, got none")
    text = io.StringIO()
    columns = list(rows[0].values)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_KEYS, *columns])
    for row in rows:
        writer.writerow([row.token, row.layout, row.agent, *(repr(row.values[name]) for name in columns)])
    write_bytes(path, text.getvalue().encode())


def read_rows(path: Path) -> list[SceneRow]:
    """Read what `write_rows` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no such table, naming the line at fault.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no rows at {path}; `pair-drive evaluate --layouts ... --rows FILE` writes them")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        if tuple(header[:3]) != _KEYS or not set(TOTALS) <= set(header):
            raise ValueError(f"{path}: expected columns {', '.join((*_KEYS, *TOTALS))} and others, got {header}")
        return [_row(path, reader.line_num, header, cells) for cells in reader]


def _row(path: Path, line: int, header: list[str], cells: list[str]) -> SceneRow:
    try:
        values = {name: float(cell) for name, cell in zip(header[3:], cells[3:], strict=True)}
        return SceneRow(cells[0], int(cells[1]), cells[2], values)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path}: line {line}: {error}") from None


class RowTable:
    """Rows by agent and scene.

    Args:
        rows: of any number of agents and scenes.

    Raises:
        ValueError: if an agent has two rows of one scene.
    """

    def __init__(self, rows: Sequence[SceneRow]) -> None:
        self._by_agent: dict[str, dict[str, SceneRow]] = {}
        for row in rows:
            scenes = self._by_agent.setdefault(row.agent, {})
            if row.token in scenes:
                raise ValueError(f"agent {row.agent}: two rows of scene {row.token}")
            scenes[row.token] = row

    @property
    def agents(self) -> list[str]:
        """In the order of the rows."""
        return list(self._by_agent)

    def means(self, agent: str) -> dict[str, float]:
        """Mean of every column over the scenes in which it is known; NaN where it is known in none."""
        rows = list(self._of(agent).values())
        found: dict[str, float] = {}
        for name in rows[0].values:
            known = [row.values[name] for row in rows if not math.isnan(row.values[name])]
            found[name] = sum(known) / len(known) if known else math.nan
        return found

    def total(self, agent: str, column: str, where: Callable[[str], bool] | None = None) -> Interval:
        """Mean of a column over scenes (those that `where` takes, by token) and its interval."""
        values = [row.values[column] for token, row in self._of(agent).items() if where is None or where(token)]
        return bootstrap(np.array(values))

    def gain(
        self,
        agent: str,
        baseline: str,
        column: str,
        where: Callable[[str], bool] | None = None,
        other: RowTable | None = None,
    ) -> Interval:
        """Mean difference to a baseline over the scenes in which both are known, paired, and its interval.

        Args:
            agent: who.
            baseline: whom to compare with.
            column: what.
            where: which scenes, by token; None takes all.
            other: where the baseline's rows are; None for this table.

        Raises:
            ValueError: if the two share no scene.
        """
        ours, theirs = self._of(agent), (other or self)._of(baseline)
        shared = [token for token in ours if token in theirs]
        if not shared:
            raise ValueError(f"{agent} and {baseline}: expected scenes in common, got none")
        wanted = [token for token in shared if where is None or where(token)]
        gains = np.array([ours[t].values[column] - theirs[t].values[column] for t in wanted])
        return bootstrap(gains[~np.isnan(gains)])

    def human_bad(self, column: str, human: str = "human") -> Callable[[str], bool]:
        """Which scenes the human drives badly, by a total."""
        scenes, bound = self._of(human), HUMAN_BAD_BELOW[column]
        return lambda token: token in scenes and scenes[token].values[column] < bound

    def _of(self, agent: str) -> dict[str, SceneRow]:
        if agent not in self._by_agent:
            raise ValueError(f"agent: expected one of {', '.join(self._by_agent)}, got {agent!r}")
        return self._by_agent[agent]


def bootstrap(values: FloatArray, seed: int = 0) -> Interval:
    """Mean and 95 % percentile interval over 2,000 resamples; NaN of nothing.

    Args:
        values: (S,).
        seed: of the resampling.
    """
    if not len(values):
        return Interval(math.nan, math.nan, math.nan, 0)
    rng = np.random.default_rng(seed)
    means = np.array([values[rng.integers(len(values), size=len(values))].mean() for _ in range(_RESAMPLES)])
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high), len(values))
