"""pair_drive_ros/DrivingCommand."""

from __future__ import annotations

from pair_drive_core.driving.messages import driving_command
from pair_drive_core.scene import DrivingCommand as Command
from pair_drive_ros.conversions.stamps import to_header
from pair_drive_ros.msg import DrivingCommand

__all__ = ["driving_command", "to_driving_command"]


def to_driving_command(command: Command, time_us: int, frame_id: str) -> DrivingCommand:
    """A command that holds from `time_us` on."""
    return DrivingCommand(header=to_header(time_us, frame_id), command=int(command))
