"""Driving commands, in NAVSIM's one-hot order."""

from __future__ import annotations

from enum import IntEnum


class DrivingCommand(IntEnum):
    """Where the route goes next; the value is the index in NAVSIM's `driving_command` one-hot."""

    LEFT = 0
    STRAIGHT = 1
    RIGHT = 2
    UNKNOWN = 3
