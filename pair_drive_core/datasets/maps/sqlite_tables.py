"""Tables of an SQLite file of strangers: data only, within a budget of time and memory.

A view, a generated column or a virtual table is a program: it may run without end and make gigabytes of nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

Cell = str | int | float | bytes | None

_STEPS_PER_CALL = 10_000
_FREE_STEPS, _STEPS_PER_BYTE = 10_000_000, 20
_FREE_BYTES, _BYTES_PER_BYTE = 2**24, 8
_ROW_BYTES, _CELL_BYTES = 72, 40


class Tables:
    """Reads plain tables of one file."""

    def __init__(self, path: Path) -> None:
        """Open a file; nothing in it can be changed.

        Raises:
            sqlite3.Error: if it is no SQLite file.
        """
        size = path.stat().st_size
        self._steps_left = _FREE_STEPS + _STEPS_PER_BYTE * size
        self._bytes_left = _FREE_BYTES + _BYTES_PER_BYTE * size
        self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        self._connection.set_progress_handler(self._is_spent, _STEPS_PER_CALL)
        self._connection.execute("PRAGMA trusted_schema = OFF")
        self._connection.execute("PRAGMA cell_size_check = ON")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def columns(self, table: str) -> dict[str, bool]:
        """The columns of a table, and whether they are its key.

        Raises:
            sqlite3.Error: if the file is damaged or the budget is spent.
            ValueError: if there is no such table, or it is not plain data.
        """
        found = self._connection.execute("SELECT type, sql FROM sqlite_master WHERE name = ?", (table,)).fetchall()
        made = [(str(kind), str(sql)) for kind, sql in found if kind in ("table", "view")]
        if [kind for kind, _ in made] != ["table"] or made[0][1].upper().startswith("CREATE VIRTUAL"):
            raise ValueError(f"expected a plain table {table!r}, got {[sql[:40] for _, sql in made] or 'none'}")
        rows = self._connection.execute(f"PRAGMA table_xinfo({quoted(table)})").fetchall()
        computed = [row[1] for row in rows if row[6] != 0]
        if computed:
            raise ValueError(f"expected a plain table {table!r}, got computed columns {computed}")
        return {str(row[1]): bool(row[5]) for row in rows}

    def rows(self, table: str, names: Sequence[str], order: str | None = None) -> list[tuple[Cell, ...]]:
        """Some columns of all rows.

        Args:
            table: a plain table.
            names: of the columns.
            order: column to sort by.

        Raises:
            sqlite3.Error: if the file is damaged or the budget is spent.
            ValueError: if it is no plain table, or holds more than a file of this size.
        """
        self.columns(table)
        sql = f"SELECT {', '.join(map(quoted, names))} FROM {quoted(table)}"
        if order is not None:
            sql += f" ORDER BY {quoted(order)}"
        rows: list[tuple[Cell, ...]] = []
        for row in self._connection.execute(sql):
            texts = sum(len(cell) for cell in row if isinstance(cell, (str, bytes)))
            self._bytes_left -= _ROW_BYTES + _CELL_BYTES * len(row) + texts
            if self._bytes_left < 0:
                raise ValueError(f"table {table!r} holds more than a file of this size can")
            rows.append(row)
        return rows

    def _is_spent(self) -> int:
        """Called by SQLite now and then; anything but zero ends the query."""
        self._steps_left -= _STEPS_PER_CALL
        return int(self._steps_left < 0)


def quoted(name: str) -> str:
    """A name within SQL."""
    return '"' + name.replace('"', '""') + '"'
