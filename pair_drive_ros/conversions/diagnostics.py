"""diagnostic_msgs/DiagnosticArray from plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from pair_drive_ros.conversions.stamps import to_header


class Level(IntEnum):
    """Levels of DiagnosticStatus."""

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


def to_diagnostics(findings: Sequence[Finding], node: str, time_us: int) -> DiagnosticArray:
    """All parts of a node as one message; numbers are written with three decimals."""
    array = DiagnosticArray(header=to_header(time_us, ""))
    for finding in findings:
        status = DiagnosticStatus(name=f"{node}: {finding.part}", hardware_id=node, message=finding.message)
        status.level = bytes([finding.level])
        status.values = [KeyValue(key=key, value=_text(value)) for key, value in finding.values.items()]
        array.status.append(status)
    return array


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
