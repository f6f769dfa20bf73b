"""Plans and candidates as Autoware's messages, where Autoware's packages are installed."""

from __future__ import annotations

import sys
from typing import Any

from rclpy.node import Node

from pair_drive_core.driving import topics
from pair_drive_core.driving.messages import MessageError
from pair_drive_core.driving.messages.autoware import to_autoware_candidates, to_autoware_trajectory
from pair_drive_core.scene import PACIFICA
from pair_drive_ros.message_types import message_type, ros_message
from pair_drive_ros.msg import CandidateTrajectories, PlannedTrajectory
from pair_drive_ros.parameters import Parameter, ParameterError, declare
from pair_drive_ros.program import run_program, spin

_TRAJECTORY = "autoware_planning_msgs/msg/Trajectory"
_CANDIDATES = "autoware_internal_planning_msgs/msg/CandidateTrajectories"

PARAMETERS = (
    Parameter("wheel_base_m", PACIFICA.wheel_base_m, "Rear axle to front axle of the vehicle [m].", 0.1, 20.0),
    Parameter("pass_fallbacks", True, "Whether the fallback's stops are passed on, too; Autoware may have its own."),
)


class AutowareAdapterNode(Node):  # type: ignore[misc]
    """See the module. Stamps stay those of the sensors, so Autoware sees the true age of a plan."""

    def __init__(self, **node_options: Any) -> None:  # noqa: ANN401 - rclpy's own keyword arguments
        super().__init__("pair_drive_autoware_adapter", **node_options)
        declare(self, PARAMETERS)
        self._wheel_base_m = float(self.get_parameter("wheel_base_m").value)
        self._planner = "pair_drive"
        try:
            trajectory = message_type(_TRAJECTORY)
        except ModuleNotFoundError as error:
            raise ParameterError(str(error)) from None
        self._trajectory = self.create_publisher(trajectory, topics.AUTOWARE_TRAJECTORY_TOPIC, 1)
        self._inputs = [self.create_subscription(PlannedTrajectory, topics.PLAN_TOPIC, self._on_plan, 1)]
        try:
            candidates = message_type(_CANDIDATES)
        except ModuleNotFoundError as error:
            self.get_logger().info(f"{topics.AUTOWARE_CANDIDATES_TOPIC} is not published: {error}")
            return
        self._info_kind = _entry_kind(candidates, "generator_info")
        self._candidates = self.create_publisher(candidates, topics.AUTOWARE_CANDIDATES_TOPIC, 1)
        self._inputs.append(
            self.create_subscription(CandidateTrajectories, topics.CANDIDATES_TOPIC, self._on_candidates, 1)
        )

    def close(self) -> None:
        """Destroy the node."""
        self.destroy_node()

    def _on_plan(self, message: PlannedTrajectory) -> None:
        self._planner = message.planner or self._planner
        if message.reason and not self.get_parameter("pass_fallbacks").value:
            self.get_logger().warning(f"fallback not passed on: {message.reason}", throttle_duration_sec=1.0)
            return
        try:
            self._trajectory.publish(to_autoware_trajectory(ros_message, message, self._wheel_base_m))
        except MessageError as error:
            self.get_logger().error(f"plan refused: {error}", throttle_duration_sec=1.0)

    def _on_candidates(self, message: CandidateTrajectories) -> None:
        try:
            converted = to_autoware_candidates(ros_message, message, self._planner, self._wheel_base_m, self._info_kind)
        except MessageError as error:
            self.get_logger().error(f"candidates refused: {error}", throttle_duration_sec=1.0)
            return
        self._candidates.publish(converted)


def _entry_kind(message: Any, field: str) -> str:  # noqa: ANN401 - a generated class
    """Type of the entries of a sequence, such as `package/msg/Name`."""
    inner = message.get_fields_and_field_types()[field].removeprefix("sequence<").removesuffix(">")
    package, _, name = inner.partition("/")
    return f"{package}/msg/{name}"


def run(node: AutowareAdapterNode) -> int:
    """Turn the node until it is told to end."""
    spin(node)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the node until it is shut down; exit code 2 where Autoware's messages are not installed."""
    return run_program("autoware_adapter_node", arguments, AutowareAdapterNode, run)


if __name__ == "__main__":
    sys.exit(main())
