"""Times and headers."""

from __future__ import annotations

from builtin_interfaces.msg import Duration, Time
from std_msgs.msg import Header

_US_PER_S = 1_000_000


def to_time(time_us: int) -> Time:
    """A stamp of the data model as a message."""
    return Time(sec=time_us // _US_PER_S, nanosec=(time_us % _US_PER_S) * 1000)


def to_duration(seconds: float) -> Duration:
    """A duration as a message; negative ones are floored, as the message's definition asks."""
    total_ns = round(seconds * 1e9)
    return Duration(sec=total_ns // 1_000_000_000, nanosec=total_ns % 1_000_000_000)


def to_header(time_us: int, frame_id: str) -> Header:
    """A header."""
    return Header(stamp=to_time(time_us), frame_id=frame_id)
