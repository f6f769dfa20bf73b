"""How a training tells what it is doing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """Receives one call after each update."""

    def __call__(self, stage: str, done: int, total: int, values: Mapping[str, float]) -> None:
        """Take note.

        Args:
            stage: name of the stage.
            done: updates (or scenes) done.
            total: of how many.
            values: latest losses and other figures by name.
        """
        ...


def silent(stage: str, done: int, total: int, values: Mapping[str, float]) -> None:
    """A progress that nobody watches."""
