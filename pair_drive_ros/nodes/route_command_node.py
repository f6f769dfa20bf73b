"""From a route to driving commands: a line in, where the route goes next out, for planners that know no map."""

from __future__ import annotations

import sys
from typing import Any

from nav_msgs.msg import Odometry, Path
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from pair_drive_core.driving import topics
from pair_drive_core.driving.ego_track import US_PER_S
from pair_drive_core.driving.messages import MessageError
from pair_drive_core.driving.messages.commands import to_driving_command
from pair_drive_core.driving.route_command import RouteRules
from pair_drive_core.driving.route_feed import RouteFeed
from pair_drive_ros.message_types import message_type, ros_message
from pair_drive_ros.msg import DrivingCommand
from pair_drive_ros.parameters import Parameter, declare, values
from pair_drive_ros.program import run_program, spin

_RULES = RouteRules()
_OPTIONAL = {
    "/tf": "tf2_msgs/msg/TFMessage",
    "/tf_static": "tf2_msgs/msg/TFMessage",
    topics.AUTOWARE_ROUTE_TOPIC: "autoware_planning_msgs/msg/Path",
}
"""Inputs whose message types are not on every machine."""

PARAMETERS = (
    Parameter("period_s", 0.1, "Least time between two commands, in the odometry's time [s].", 0.0, 10.0),
    Parameter("ahead_m", _RULES.ahead_m, "Where the side of the route is taken, and the least reach [m].", 1.0, 200.0),
    Parameter("side_m", _RULES.side_m, "How far aside the route must lie there to be a turn [m].", 0.1, 50.0),
    Parameter("reach_s", _RULES.reach_s, "Turns that begin within this time are told [s].", 0.0, 30.0),
    Parameter("turn_rad", _RULES.turn_rad, "Least change of heading of a turn [rad].", 0.05, 3.1),
    Parameter("off_route_m", _RULES.off_route_m, "Farther from the route there is no command [m].", 1.0, 1000.0),
    Parameter("end_m", _RULES.end_m, "With less of the route left there is no command [m].", 0.0, 100.0),
)


class RouteCommandNode(Node):  # type: ignore[misc]
    """See the module. Each command carries the odometry's stamp; where there is none, UNKNOWN is published."""

    def __init__(self, **node_options: Any) -> None:  # noqa: ANN401 - rclpy's own keyword arguments
        super().__init__("pair_drive_route_command", **node_options)
        declare(self, PARAMETERS)
        given: dict[str, Any] = dict(values(self, PARAMETERS))
        self._period_us = round(given.pop("period_s") * US_PER_S)
        self._feed = RouteFeed(RouteRules(**given))
        self._last_us: int | None = None
        self._problem = ""
        self._publisher = self.create_publisher(DrivingCommand, "driving_command", 10)
        latched = QoSProfile(
            depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        plain = QoSProfile(depth=1)
        # A route may be sent once before this node starts, or again and again by one that does not latch it.
        self._inputs = [
            self.create_subscription(Path, topics.ROUTE_TOPIC, self._on_route, qos) for qos in (latched, plain)
        ]
        for topic, kind in _OPTIONAL.items():
            self._subscribe_if_installed(topic, kind, latched if topic.endswith("_static") else QoSProfile(depth=100))
        sensor = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._inputs.append(self.create_subscription(Odometry, "odometry", self._on_odometry, sensor))

    def close(self) -> None:
        """Destroy the node."""
        self.destroy_node()

    def _subscribe_if_installed(self, topic: str, kind: str, qos: QoSProfile) -> None:
        try:
            message = message_type(kind)
        except ModuleNotFoundError as error:
            self.get_logger().info(f"{topic} is not read: {error}")
            return
        callback = self._on_transforms if topic.startswith("/tf") else self._on_route
        self._inputs.append(self.create_subscription(message, topic, callback, qos))

    def _on_route(self, message: Any) -> None:  # noqa: ANN401 - nav_msgs/Path or Autoware's
        try:
            self._feed.receive_route(message)
        except MessageError as error:
            self.get_logger().error(f"{error}; the route before stays", throttle_duration_sec=1.0)

    def _on_transforms(self, message: Any) -> None:  # noqa: ANN401 - tf2_msgs/TFMessage
        try:
            self._feed.receive_transforms(message)
        except MessageError as error:
            self.get_logger().error(str(error), throttle_duration_sec=1.0)

    def _on_odometry(self, message: Odometry) -> None:
        try:
            time_us, command = self._feed.command(message)
        except MessageError as error:
            self.get_logger().error(str(error), throttle_duration_sec=1.0)
            return
        # Time that went back is a simulator that started anew.
        if self._last_us is not None and 0 <= time_us - self._last_us < self._period_us:
            return
        self._last_us = time_us
        self._publisher.publish(to_driving_command(ros_message, command, time_us, message.child_frame_id))
        self._tell(self._feed.problem)

    def _tell(self, problem: str) -> None:
        """Say once that commands stop, and that they are back."""
        if bool(problem) != bool(self._problem):
            logger = self.get_logger()
            # Two calls on purpose: rclpy binds the severity to the line that logs.
            if problem:
                logger.warning(f"no command: {problem}")
            else:
                logger.info("the route is followed")
        self._problem = problem


def run(node: RouteCommandNode) -> int:
    """Turn the node until it is told to end."""
    spin(node)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the node until it is shut down; exit code 2 for parameters that are refused."""
    return run_program("route_command_node", arguments, RouteCommandNode, run)


if __name__ == "__main__":
    sys.exit(main())
