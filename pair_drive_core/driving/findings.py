"""What a part of a running planner says of its own state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum


class Level(IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Finding:
    """State of one part of a node.

    Attributes:
        part: its name.
        level: how bad it is.
        message: one line.
        values: details.
    """

    part: str
    level: Level
    message: str
    values: Mapping[str, object] = field(default_factory=dict)
