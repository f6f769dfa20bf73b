"""pair_drive_ros/DrivingCommand."""

from __future__ import annotations

from typing import Any, Protocol

from pair_drive_core.driving.messages.errors import MessageError
from pair_drive_core.driving.messages.factory import MakeMessage
from pair_drive_core.driving.messages.stamps import to_header
from pair_drive_core.scene import DrivingCommand


class DrivingCommandLike(Protocol):
    """pair_drive_ros/DrivingCommand."""

    command: int


def driving_command(message: DrivingCommandLike) -> DrivingCommand:
    """The command of a message.

    Raises:
        MessageError: for a number that is no command.
    """
    known = {int(command): command for command in DrivingCommand}
    if int(message.command) not in known:
        names = ", ".join(f"{number} {command.name.lower()}" for number, command in known.items())
        raise MessageError(f"driving command: expected one of {names}, got {message.command}")
    return known[int(message.command)]


def to_driving_command(make: MakeMessage, command: DrivingCommand, time_us: int, frame_id: str) -> Any:  # noqa: ANN401
    """A command that holds from `time_us` on."""
    return make("pair_drive_ros/msg/DrivingCommand", header=to_header(make, time_us, frame_id), command=int(command))
