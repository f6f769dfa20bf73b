"""diagnostic_msgs/DiagnosticArray from plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pair_drive_core.driving.findings import Finding
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.stamps import to_header


def to_diagnostics(make: MakeMessage, findings: Sequence[Finding], node: str, time_us: int) -> Any:  # noqa: ANN401
    """All parts of a node as one message; numbers are written with three decimals.

    The levels are bytes, as rclpy has them.
    """
    status = [
        make(
            "diagnostic_msgs/msg/DiagnosticStatus",
            level=bytes([finding.level]),
            name=f"{node}: {finding.part}",
            message=finding.message,
            hardware_id=node,
            values=[
                make("diagnostic_msgs/msg/KeyValue", key=key, value=_text(value))
                for key, value in finding.values.items()
            ],
        )
        for finding in findings
    ]
    return make("diagnostic_msgs/msg/DiagnosticArray", header=to_header(make, time_us, ""), status=status)


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
