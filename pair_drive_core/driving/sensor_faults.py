"""What can go wrong with a sensor's messages, to be injected on purpose: one line of text a sensor says what.

`drop`, `drop:0.3` (share), `delay:0.25` (s), `freeze` (the same content under new stamps), `corrupt` (content that
cannot be used), `stamp:-0.2` (s added to the stamp); several with commas between. An empty text names no fault.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pair_drive_core.driving.ego_track import US_PER_S
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.stamps import stamp_us, to_time

_KINDS = {"drop": 1.0, "delay": math.nan, "freeze": None, "corrupt": None, "stamp": math.nan}
"""Names, and the number where none is given: NaN where one must be, None where none may be."""
NO_COMMAND = 99
"""A number that is no driving command."""


@dataclass(frozen=True)
class SensorFault:
    """What is wrong with a sensor.

    Attributes:
        drop: share of its messages that are lost.
        delay_s: how much later they come.
        freeze: whether the content stays that of the first message under this fault.
        corrupt: whether the content is spoilt.
        stamp_s: added to the stamps.
    """

    drop: float = 0.0
    delay_s: float = 0.0
    freeze: bool = False
    corrupt: bool = False
    stamp_s: float = 0.0


def parse_fault(text: str) -> SensorFault:
    """The fault that a text names; see the module.

    Raises:
        ValueError: naming what came and what can be.
    """
    given: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, colon, number = part.partition(":")
        if name not in _KINDS or name in given:
            raise ValueError(f"fault: expected each of {', '.join(_KINDS)} at most once, got {text!r}")
        default = _KINDS[name]
        if default is None and colon:
            raise ValueError(f"fault {name}: expected no number, got {part!r}")
        given[name] = _number(part, number) if colon else (1.0 if default is None else default)
        if math.isnan(given[name]):
            raise ValueError(f"fault {name}: expected a number as in {name}:0.2, got {part!r}")
    if not 0.0 <= given.get("drop", 0.0) <= 1.0:
        raise ValueError(f"fault drop: expected a share of 0 to 1, got {given['drop']:g}")
    if given.get("delay", 0.0) < 0.0:
        raise ValueError(f"fault delay: expected a time of 0 or more, got {given['delay']:g}")
    return SensorFault(
        given.get("drop", 0.0),
        given.get("delay", 0.0),
        "freeze" in given,
        "corrupt" in given,
        given.get("stamp", 0.0),
    )


def _number(part: str, number: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise ValueError(f"fault: expected a number after the colon, got {part!r}") from None


class FaultySensor:
    """Passes a sensor's messages on as its fault says.

    Args:
        make: maker of messages, for stamps.
        seed: of what is dropped and how content is spoilt.
    """

    def __init__(self, make: MakeMessage, seed: int) -> None:
        self._make = make
        self._rng = np.random.default_rng(seed)
        self._fault = SensorFault()
        self._frozen: Any = None
        self._late: list[tuple[int, Any]] = []

    def set_fault(self, fault: SensorFault) -> None:
        """Another fault from now on; what is still on its way comes in its time."""
        self._fault, self._frozen = fault, None

    def send(self, message: Any) -> list[Any]:  # noqa: ANN401 - messages of any type with a header
        """A message that the sensor sends now; returns what is received of it at once."""
        fault = self._fault
        if fault.drop > 0.0 and self._rng.random() < fault.drop:
            return []
        if fault == SensorFault():
            return [message]
        time_us = stamp_us(message.header.stamp)
        if fault.freeze:
            self._frozen = message if self._frozen is None else self._frozen
            message = copy.deepcopy(self._frozen)
        elif fault.corrupt or fault.stamp_s:
            message = copy.deepcopy(message)
        if fault.corrupt:
            spoil(message, self._rng)
        if fault.freeze or fault.stamp_s:
            message.header.stamp = to_time(self._make, max(0, time_us + round(fault.stamp_s * US_PER_S)))
        if fault.delay_s > 0.0:
            self._late.append((time_us + round(fault.delay_s * US_PER_S), message))
            return []
        return [message]

    def due(self, time_us: int) -> list[Any]:
        """Late messages that have come by now, in the order of their coming."""
        come = [message for due_us, message in self._late if due_us <= time_us]
        self._late = [(due_us, message) for due_us, message in self._late if due_us > time_us]
        return come


def spoil(message: Any, rng: np.random.Generator) -> None:  # noqa: ANN401
    """Spoil a message's content in place, whatever its type: bytes to noise, numbers to NaN, commands to none."""
    if hasattr(message, "data"):
        noise = rng.integers(0, 256, len(message.data), dtype=np.uint8)
        if hasattr(message, "point_step"):
            noise[:] = 0xFF
        message.data = type(message.data)("B", noise.tobytes()) if hasattr(message.data, "typecode") else noise
    elif hasattr(message, "pose"):
        message.pose.pose.position.x = math.nan
    elif hasattr(message, "accel"):
        message.accel.accel.linear.x = math.nan
    elif hasattr(message, "command"):
        message.command = NO_COMMAND
    else:
        raise TypeError(f"no way to spoil a {type(message).__name__}")
