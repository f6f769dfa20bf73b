"""Odometry of a vehicle's middle, as CARLA's bridge gives it, moved to the rear axle that everything here speaks of."""

from __future__ import annotations

import sys
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from pair_drive_core.driving.messages import MessageError
from pair_drive_core.driving.messages.rear_axle import odometry_at_rear_axle, to_rear_axle_transform
from pair_drive_core.driving.messages.transforms import to_transforms
from pair_drive_ros.message_types import message_type, ros_message
from pair_drive_ros.parameters import Parameter, declare
from pair_drive_ros.program import run_program, spin

PARAMETERS = (
    Parameter("offset_m", 1.4, "From the rear axle forward to the point that the odometry is of [m].", -10.0, 10.0),
    Parameter("vehicle_frame", "ego_vehicle", "Frame at that point, in which sensors' places come on /tf."),
    Parameter("base_frame", "base_link", "Name of the frame at the rear axle."),
)


class RearAxleNode(Node):  # type: ignore[misc]
    """See the module. It also says on /tf_static where the rear axle is, so sensors are found from there."""

    def __init__(self, **node_options: Any) -> None:  # noqa: ANN401 - rclpy's own keyword arguments
        super().__init__("pair_drive_rear_axle", **node_options)
        declare(self, PARAMETERS)
        self._offset_m = float(self.get_parameter("offset_m").value)
        self._base_frame = str(self.get_parameter("base_frame").value)
        self._publisher = self.create_publisher(Odometry, "rear_axle/odometry", 10)
        sensor = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscription = self.create_subscription(Odometry, "odometry", self._on_odometry, sensor)
        self._publish_transform()

    def close(self) -> None:
        """Destroy the node."""
        self.destroy_node()

    def _publish_transform(self) -> None:
        try:
            kind = message_type("tf2_msgs/msg/TFMessage")
        except ModuleNotFoundError as error:
            self.get_logger().warning(f"/tf_static is not published: {error}")
            return
        latched = QoSProfile(
            depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
        )
        self._transforms = self.create_publisher(kind, "/tf_static", latched)
        stamp = ros_message("builtin_interfaces/msg/Time", sec=0, nanosec=0)
        frame = str(self.get_parameter("vehicle_frame").value)
        place = to_rear_axle_transform(ros_message, stamp, frame, self._base_frame, self._offset_m)
        self._transforms.publish(to_transforms(ros_message, [place]))

    def _on_odometry(self, message: Odometry) -> None:
        try:
            moved = odometry_at_rear_axle(ros_message, message, self._offset_m, self._base_frame)
        except MessageError as error:
            self.get_logger().error(f"odometry refused: {error}", throttle_duration_sec=1.0)
            return
        self._publisher.publish(moved)


def run(node: RearAxleNode) -> int:
    """Turn the node until it is told to end."""
    spin(node)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the node until it is shut down; exit code 2 for parameters that are refused."""
    return run_program("rear_axle_node", arguments, RearAxleNode, run)


if __name__ == "__main__":
    sys.exit(main())
