"""From messages of a route and of the ego's motion to driving commands: the one way for live topics and for bags."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pair_drive_core.driving.messages import MessageError, TransformTree, motion_sample
from pair_drive_core.driving.messages.routes import route_points
from pair_drive_core.driving.route_command import RouteCommander, RouteRules
from pair_drive_core.scene import DrivingCommand, SceneError
from pair_drive_core.scene.sensors import FloatArray


class RouteFeed:
    """Takes routes, transforms and odometry; gives the command of each odometry message.

    The route may come in another frame than the odometry (`map` and `odom`): the newest transform between them is used.

    Args:
        rules: of the command.
    """

    def __init__(self, rules: RouteRules | None = None) -> None:
        self._commander = RouteCommander(rules)
        self._transforms = TransformTree()
        self._frame = ""
        self.problem = "no route yet"
        """Why the last command was UNKNOWN; empty if it was not."""

    def receive_route(self, message: Any) -> None:  # noqa: ANN401 - messages of rclpy or rosbags
        """Take a new route; it replaces the one before, and one without points takes it back.

        Raises:
            MessageError: if it cannot be used; the route before stays.
        """
        try:
            self._commander.set_route(route_points(message))
        except SceneError as error:
            raise MessageError(str(error)) from None
        self._frame = str(message.header.frame_id)

    def receive_transforms(self, message: Any) -> None:  # noqa: ANN401
        """Take transforms.

        Raises:
            MessageError: for a transform that is none.
        """
        self._transforms.add(message)

    def command(self, odometry: Any) -> tuple[int, DrivingCommand]:  # noqa: ANN401
        """Stamp of an odometry message in us, and the command there; UNKNOWN with a `problem` where there is none.

        Raises:
            MessageError: if the odometry cannot be used.
        """
        motion = motion_sample(odometry)
        pose = self._in_route_frame(motion.pose, str(odometry.header.frame_id))
        if not self._commander.has_route:
            self.problem = "no route yet"
            return motion.time_us, DrivingCommand.UNKNOWN
        if pose is None:
            self.problem = f"no transform from {odometry.header.frame_id!r} to the route's frame {self._frame!r}"
            return motion.time_us, DrivingCommand.UNKNOWN
        command = self._commander.command(pose, float(motion.velocity[0]))
        unknown = command is DrivingCommand.UNKNOWN
        self.problem = f"the route is {self._commander.distance_m:.1f} m away, or at its end" if unknown else ""
        return motion.time_us, command

    def _in_route_frame(self, pose: FloatArray, frame: str) -> FloatArray | None:
        """(3,) a pose of the odometry in the frame of the route."""
        if frame == self._frame:
            return pose
        matrix = self._transforms.lookup(self._frame, frame)
        if matrix is None:
            return None
        turn = math.atan2(matrix[1, 0], matrix[0, 0])
        x, y = matrix[:2, :2] @ pose[:2] + matrix[:2, 3]
        return np.array([x, y, pose[2] + turn])
