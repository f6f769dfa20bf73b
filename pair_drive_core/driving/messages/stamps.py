"""Stamps."""

from __future__ import annotations

from typing import Protocol


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
    return int(stamp.sec) * 1_000_000 + int(stamp.nanosec) // 1000
