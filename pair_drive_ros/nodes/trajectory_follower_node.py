"""The trajectory follower as a lifecycle node: plans and odometry in, steering and acceleration out.

A command answers every odometry message and every plan; a timer answers when both stop. What is published carries a
deadline and a lifespan, so a receiver can tell that this node has died, and must brake by itself then.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter as RosParameter
from rclpy.qos import QoSProfile, ReliabilityPolicy

from pair_drive_core.driving import topics
from pair_drive_core.driving.findings import Finding, Level
from pair_drive_core.driving.follower import (
    FollowedVehicle,
    Follower,
    FollowerConfig,
    FollowerLimits,
    TrackingGains,
    VehicleCommand,
)
from pair_drive_core.driving.messages import MessageError, motion_sample
from pair_drive_core.driving.messages.ackermann import to_ackermann, to_ackermann_stamped
from pair_drive_core.driving.messages.carla import CarlaPedals, to_carla_control
from pair_drive_core.driving.messages.diagnostics import to_diagnostics
from pair_drive_core.driving.messages.trajectories import timed_plan
from pair_drive_core.driving.messages.vehicle_commands import to_twist, to_vehicle_command
from pair_drive_ros.lifecycle import start, told
from pair_drive_ros.message_types import message_type, ros_message
from pair_drive_ros.msg import PlannedTrajectory
from pair_drive_ros.msg import VehicleCommand as VehicleCommandMessage
from pair_drive_ros.parameters import Parameter, ParameterValue, declare, value_problems, values
from pair_drive_ros.program import run_program, spin

_GROUPS: dict[str, Any] = {
    "vehicle": FollowedVehicle(),
    "gains": TrackingGains(),
    "limits": FollowerLimits(),
    "carla": CarlaPedals(),
}
_TEXTS = {
    "vehicle.wheel_base_m": "Rear axle to front axle [m].",
    "vehicle.max_steering_rad": "Greatest angle of the front wheel [rad].",
    "vehicle.max_steering_rate_rps": "Greatest change of that angle [rad/s].",
    "vehicle.max_acceleration_mps2": "Greatest acceleration [m/s^2].",
    "vehicle.max_deceleration_mps2": "Greatest deceleration [m/s^2].",
    "vehicle.max_jerk_mps3": "Greatest change of the acceleration while following [m/s^3].",
    "gains.settle_s": "Distance over which an offset dies out, as time at the present speed [s].",
    "gains.settle_m": "Least such distance [m].",
    "gains.damping": "Damping of the offset; 1 is critical.",
    "gains.speed_per_s": "Acceleration for each m/s of speed error [1/s].",
    "gains.place_per_s2": "Acceleration for each m behind the plan's place [1/s^2].",
    "gains.place_limit_m": "Greater lags count as this [m].",
    "gains.steering_delay_s": "How long the steering takes [s].",
    "gains.speed_delay_s": "How long a change of acceleration takes [s].",
    "gains.hold_mps2": "Deceleration with which a standing vehicle is held [m/s^2].",
    "limits.plan_age_s": "A plan older than this is not followed; the vehicle brakes [s].",
    "limits.motion_age_s": "Odometry older than this: the vehicle brakes [s].",
    "limits.off_plan_m": "A plan farther from the ego than this has jumped; the vehicle brakes [m].",
    "limits.odometry_jump_m": "A step of the odometry longer than its speed explains by this is a jump [m].",
    "limits.brake_mps2": "Deceleration of the brake [m/s^2].",
    "carla.full_steering_rad": "Angle of the front wheel at steer = 1 [rad].",
    "carla.full_throttle_mps2": "Acceleration at throttle = 1 [m/s^2].",
    "carla.full_brake_mps2": "Deceleration at brake = 1 [m/s^2].",
    "carla.coasting_mps2": "Deceleration without a pedal [m/s^2].",
    "carla.hold_brake": "Least brake of a vehicle that shall stand.",
}
_LOW, _HIGH = 0.01, 100.0

FOLLOWER_PARAMETERS = (
    *(
        Parameter(f"{group}.{entry.name}", getattr(values_of, entry.name), _TEXTS[f"{group}.{entry.name}"], _LOW, _HIGH)
        for group, values_of in _GROUPS.items()
        for entry in fields(values_of)
    ),
    Parameter("base_frame", "base_link", "Frame of the commands."),
    Parameter("autostart", False, "Configure and activate at start, for machines without a lifecycle manager."),
    Parameter("period_s", 0.1, "A command is published at least this often, in node time [s].", 0.01, 1.0),
    Parameter("deadline_s", 0.5, "Offered deadline of the commands, in wall-clock time; 0 offers none [s].", 0.0, 60.0),
    Parameter("lifespan_s", 0.5, "A command not taken by then is dropped, wall-clock; 0 keeps it [s].", 0.0, 60.0),
)

_OPTIONAL_OUTPUTS = {
    topics.ACKERMANN_TOPIC: "ackermann_msgs/msg/AckermannDriveStamped",
    topics.ACKERMANN_DRIVE_TOPIC: "ackermann_msgs/msg/AckermannDrive",
    topics.CARLA_CONTROL_TOPIC: "carla_msgs/msg/CarlaEgoVehicleControl",
}
"""Outputs whose message types are not on every machine."""


class TrajectoryFollowerNode(LifecycleNode):  # type: ignore[misc]
    """See the module; it commands nothing unless it is active."""

    def __init__(self, **node_options: Any) -> None:  # noqa: ANN401 - rclpy's own keyword arguments
        super().__init__("pair_drive_follower", **node_options)
        declare(self, FOLLOWER_PARAMETERS)
        self._value: dict[str, Any] = {}
        self._follower: Follower | None = None
        self._speed = 0.0
        self._refused = self._commands = self._braking = 0
        self._reason: str | None = None
        self._outputs: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self._timer: Any = None
        self._missing: set[str] = set()
        self._diagnostics = self.create_publisher(DiagnosticArray, topics.DIAGNOSTICS_TOPIC, 10)
        self._jump_handle = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(seconds=-0.5), on_clock_change=True),
            post_callback=self._on_clock_jump,
        )
        self.add_on_set_parameters_callback(self._on_set_parameters)

    # --- lifecycle -------------------------------------------------------------------------------------------------

    @told
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters and offer the outputs."""
        given = values(self, FOLLOWER_PARAMETERS)
        problems = follower_config(given).problems()
        if problems:
            self.get_logger().error(f"cannot configure: {'; '.join(problems)}")
            return TransitionCallbackReturn.FAILURE
        self._value = dict(given)
        self._follower = Follower(follower_config(given))
        qos = self._command_qos()
        self._outputs[topics.COMMAND_TOPIC] = self.create_lifecycle_publisher(
            VehicleCommandMessage, topics.COMMAND_TOPIC, qos
        )
        self._outputs[topics.TWIST_TOPIC] = self.create_lifecycle_publisher(TwistStamped, topics.TWIST_TOPIC, qos)
        for topic, kind in _OPTIONAL_OUTPUTS.items():
            self._offer_if_installed(topic, kind, qos)
        return super().on_configure(state)

    @told
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take plans and odometry, and command."""
        if self._follower is None:
            return TransitionCallbackReturn.FAILURE
        result = super().on_activate(state)
        self._follower.reset("no plan yet")
        self._reason = None
        sensor = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._inputs = [
            self.create_subscription(Odometry, "odometry", self._on_odometry, sensor),
            self.create_subscription(PlannedTrajectory, topics.PLAN_TOPIC, self._on_plan, 1),
        ]
        self._timer = self.create_timer(self._value["period_s"], self._on_timer)
        return result

    @told
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Command nothing any more; the receiver's watchdog takes over."""
        self._stop()
        return super().on_deactivate(state)

    @told
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take the outputs back."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @told
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and take everything back."""
        self._stop()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    @told
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, from where the node can be configured anew."""
        self._stop()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Destroy the node."""
        self._stop()
        self._jump_handle.unregister()
        self.destroy_node()

    def _command_qos(self) -> QoSProfile:
        """Reliable, the newest only, with the promises by which a receiver notices this node's death."""
        promises = {name: self._value[f"{name}_s"] for name in ("deadline", "lifespan")}
        given = {name: Duration(seconds=seconds) for name, seconds in promises.items() if seconds > 0}
        return QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, **given)

    def _offer_if_installed(self, topic: str, kind: str, qos: QoSProfile) -> None:
        try:
            message = message_type(kind)
        except ModuleNotFoundError as error:
            if topic not in self._missing:
                self.get_logger().info(f"{topic} is not published: {error}")
            self._missing.add(topic)
            return
        # What others define says nothing of deadlines: their receivers ask for none.
        self._outputs[topic] = self.create_lifecycle_publisher(message, topic, qos)

    def _stop(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs.clear()
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None

    def _release(self) -> None:
        for publisher in self._outputs.values():
            self.destroy_lifecycle_publisher(publisher)
        self._outputs.clear()
        self._follower = None

    # --- parameters and time ---------------------------------------------------------------------------------------

    def _on_set_parameters(self, changed: list[RosParameter]) -> SetParametersResult:
        """Refuse what is wrong; a running follower is cleaned up before it is given other parameters."""
        known = {parameter.name for parameter in FOLLOWER_PARAMETERS}
        ours = {parameter.name: parameter.value for parameter in changed if parameter.name in known}
        given = {**values(self, FOLLOWER_PARAMETERS), **ours}
        problems = value_problems(FOLLOWER_PARAMETERS, given) or follower_config(given).problems()
        different = sorted(name for name, value in ours.items() if value != values(self, FOLLOWER_PARAMETERS)[name])
        if not problems and self._follower is not None and different:
            problems = [f"{', '.join(different)}: can only be set while unconfigured; clean up the node first"]
        return SetParametersResult(successful=not problems, reason="; ".join(problems))

    def _on_clock_jump(self, jump: TimeJump) -> None:
        """Plans and motion of before the jump mean nothing after it."""
        if self._follower is not None:
            self._follower.reset("time jumped; a new plan is waited for")

    def _now_us(self) -> int:
        return int(self.get_clock().now().nanoseconds // 1000)

    # --- following -------------------------------------------------------------------------------------------------

    def _on_odometry(self, message: Odometry) -> None:
        if self._follower is None:
            return
        try:
            motion = motion_sample(message)
        except MessageError as error:
            self._refuse(str(error))
            return
        self._follower.receive_motion(motion, message.header.frame_id)
        self._speed = float(motion.velocity[0])
        # A simulator's odometry may overtake its clock.
        self._command(max(self._now_us(), motion.time_us))

    def _on_plan(self, message: PlannedTrajectory) -> None:
        if self._follower is None:
            return
        try:
            plan = timed_plan(message)
        except MessageError as error:
            self._refuse(str(error))
            return
        if not self._follower.receive_plan(plan, message.header.frame_id):
            self._refuse("a plan older than the one at hand, or than the last jump of the odometry")
            return
        self._command(max(self._now_us(), plan.start_us))

    def _on_timer(self) -> None:
        if self._follower is not None:
            self._command(self._now_us())
            self._publish_diagnostics()

    def _refuse(self, reason: str) -> None:
        self._refused += 1
        self.get_logger().warning(f"refused: {reason}", throttle_duration_sec=1.0)

    def _command(self, time_us: int) -> None:
        """Decide, publish, and say once when it begins to brake and when it follows again."""
        if self._follower is None:
            return
        command = self._follower.command(time_us)
        frame = str(self._value["base_frame"])
        for topic, make_message in self._makers(command, frame).items():
            self._outputs[topic].publish(make_message())
        self._commands += 1
        self._braking += bool(command.reason)
        if self._reason is None or bool(self._reason) != bool(command.reason):
            logger = self.get_logger()
            # Two calls on purpose: rclpy binds the severity to the line that logs.
            if command.reason:
                logger.warning(f"brakes: {command.reason}")
            else:
                logger.info("follows the plan")
        self._reason = command.reason

    def _makers(self, command: VehicleCommand, frame: str) -> dict[str, Callable[[], Any]]:
        """What makes the message of each topic that is offered."""
        config, value = follower_config(self._value), self._value
        pedals = CarlaPedals(**_group(value, "carla"))
        makers: dict[str, Callable[[], Any]] = {
            topics.COMMAND_TOPIC: lambda: to_vehicle_command(ros_message, command, frame),
            topics.TWIST_TOPIC: lambda: to_twist(ros_message, command, frame, config.vehicle.wheel_base_m),
            topics.ACKERMANN_TOPIC: lambda: to_ackermann_stamped(ros_message, command, frame),
            topics.ACKERMANN_DRIVE_TOPIC: lambda: to_ackermann(ros_message, command),
            topics.CARLA_CONTROL_TOPIC: lambda: to_carla_control(ros_message, command, self._speed, pedals, frame),
        }
        return {topic: maker for topic, maker in makers.items() if topic in self._outputs}

    def _publish_diagnostics(self) -> None:
        values_told = {"commands": self._commands, "braking": self._braking, "refused": self._refused}
        level = Level.ERROR if self._reason else Level.OK
        finding = Finding("follower", level, self._reason or "follows the plan", values_told)
        self._diagnostics.publish(to_diagnostics(ros_message, [finding], self.get_name(), self._now_us()))


def _group(given: dict[str, Any], group: str) -> dict[str, Any]:
    return {name.partition(".")[2]: value for name, value in given.items() if name.startswith(f"{group}.")}


def follower_config(given: dict[str, ParameterValue]) -> FollowerConfig:
    """Typed settings from the values of `FOLLOWER_PARAMETERS`."""
    return FollowerConfig(
        FollowedVehicle(**_group(given, "vehicle")),
        TrackingGains(**_group(given, "gains")),
        FollowerLimits(**_group(given, "limits")),
    )


def run(node: TrajectoryFollowerNode) -> int:
    """Start the node if it shall start itself, and turn it."""
    if node.get_parameter("autostart").value and not start(node):
        return 2
    spin(node)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the node until it is shut down; exit code 2 for parameters that are refused."""
    return run_program("trajectory_follower_node", arguments, TrajectoryFollowerNode, run)


if __name__ == "__main__":
    sys.exit(main())
