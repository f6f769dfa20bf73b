"""Times and headers."""

from __future__ import annotations

from typing import Any, Protocol

from pair_drive_core.driving.ego_track import US_PER_S
from pair_drive_core.driving.messages.factory import MakeMessage


class StampLike(Protocol):
    """builtin_interfaces/Time."""

    sec: int
    nanosec: int


class HeaderLike(Protocol):
    """std_msgs/Header."""

    stamp: StampLike
    frame_id: str


def stamp_us(stamp: StampLike) -> int:
    """A stamp in us (the data model's unit), rounded down."""
    return int(stamp.sec) * US_PER_S + int(stamp.nanosec) // 1000


def to_time(make: MakeMessage, time_us: int) -> Any:  # noqa: ANN401
    """builtin_interfaces/Time of a stamp of the data model."""
    return make("builtin_interfaces/msg/Time", sec=time_us // US_PER_S, nanosec=(time_us % US_PER_S) * 1000)


def to_duration(make: MakeMessage, seconds: float) -> Any:  # noqa: ANN401
    """builtin_interfaces/Duration; negative ones are floored, as the message's definition asks."""
    total_ns = round(seconds * 1e9)
    return make("builtin_interfaces/msg/Duration", sec=total_ns // 1_000_000_000, nanosec=total_ns % 1_000_000_000)


def to_header(make: MakeMessage, time_us: int, frame_id: str) -> Any:  # noqa: ANN401
    """std_msgs/Header."""
    return make("std_msgs/msg/Header", stamp=to_time(make, time_us), frame_id=frame_id)
