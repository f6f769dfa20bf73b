"""Shadow mode: a human drives, the planner plans beside; says how far they disagree, with a bag of each large one."""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from pair_drive_core.driving import topics
from pair_drive_core.driving.findings import Finding, Level
from pair_drive_core.driving.messages import MessageError, motion_sample
from pair_drive_core.driving.messages.diagnostics import to_diagnostics
from pair_drive_core.driving.messages.disagreements import to_plan_disagreement
from pair_drive_core.driving.messages.trajectories import timed_plan
from pair_drive_core.driving.shadow import HORIZONS_S, Disagreement, ShadowComparer, ShadowLimits
from pair_drive_ros.bag_writer import BagWriter
from pair_drive_ros.message_types import ros_message
from pair_drive_ros.msg import PlanDisagreement, PlannedTrajectory
from pair_drive_ros.nodes.bag_recorder_node import DEFAULT_TOPICS
from pair_drive_ros.parameters import Parameter, ParameterError, declare, values
from pair_drive_ros.program import run_program, spin
from pair_drive_ros.topic_tap import TopicTap

_MIB = 1024 * 1024
_NS_PER_S = 1_000_000_000
_LIMITS = ShadowLimits()

PARAMETERS = (
    Parameter(
        "along_m", _LIMITS.along_m, "A plan farther ahead or behind than this disagrees largely [m].", 0.1, 100.0
    ),
    Parameter("across_m", _LIMITS.across_m, "A plan farther aside than this disagrees largely [m].", 0.1, 100.0),
    Parameter("odometry_jump_m", _LIMITS.odometry_jump_m, "A longer step of the odometry starts anew [m].", 0.1, 100.0),
    Parameter("output", "", "Folder for the recordings; empty writes none."),
    Parameter("topics", list(DEFAULT_TOPICS), "Absolute names of the topics to keep, as they appear."),
    Parameter("before_s", 3.0, "How long before t0 a recording begins, wall-clock [s].", 0.0, 60.0),
    Parameter("after_s", 2.0, "How long after it is noticed a recording ends, wall-clock [s].", 0.0, 60.0),
    Parameter("memory_mib", 512, "Bytes kept in memory; the oldest messages go first [MiB].", 1, 65536),
    Parameter("bags", 100, "How many recordings are written at most.", 0, 100_000),
)


@dataclass(frozen=True)
class KeptMessage:
    """A serialised message.

    Attributes:
        topic: absolute name.
        arrived_ns: wall-clock.
        data: its bytes.
    """

    topic: str
    arrived_ns: int
    data: bytes


class ShadowNode(Node):  # type: ignore[misc]
    """See the module. Recordings are named after t0; those whose stretches would overlap are one."""

    def __init__(self, **node_options: Any) -> None:  # noqa: ANN401 - rclpy's own keyword arguments
        super().__init__("pair_drive_shadow", **node_options)
        declare(self, PARAMETERS)
        self._value: dict[str, Any] = dict(values(self, PARAMETERS))
        limits = {name: self._value[name] for name in ("along_m", "across_m", "odometry_jump_m")}
        self._comparer = ShadowComparer(ShadowLimits(**limits))
        self._output = Path(self._value["output"]) if self._value["output"] else None
        self._kinds: dict[str, str] = {}
        self._kept: deque[KeptMessage] = deque()
        self._latched: dict[str, KeptMessage] = {}
        self._kept_bytes = self._written = self._forgotten = 0
        self._pending: tuple[str, int] | None = None
        self._count: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._newest: Disagreement | None = None
        self._publisher = self.create_publisher(PlanDisagreement, topics.DISAGREEMENT_TOPIC, 20)
        self._diagnostics = self.create_publisher(DiagnosticArray, topics.DIAGNOSTICS_TOPIC, 10)
        sensor = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._inputs = [
            self.create_subscription(PlannedTrajectory, topics.PLAN_TOPIC, self._on_plan, 20),
            self.create_subscription(Odometry, "odometry", self._on_odometry, sensor),
        ]
        self._timer = self.create_timer(1.0, self._publish_diagnostics)
        if self._output is not None:
            if self._output.exists() and not self._output.is_dir():
                raise ParameterError(f"output: expected a folder, got {self._output}")
            self._tap = TopicTap(self, self._value["topics"], self._announce, self._keep, self._lose)

    def close(self) -> None:
        """Write what is pending and destroy the node."""
        if self._pending is not None:
            self._write_bag(self._pending[0])
        print(f"compared {self._count['compared']} plans, {self._count['large']} far off, {self._written} recordings")
        self.destroy_node()

    # --- comparing -------------------------------------------------------------------------------------------------

    def _on_plan(self, message: PlannedTrajectory) -> None:
        try:
            plan = timed_plan(message)
        except MessageError as error:
            self.get_logger().error(f"plan refused: {error}", throttle_duration_sec=1.0)
            return
        fallback = message.source == PlannedTrajectory.FALLBACK
        self._comparer.receive_plan(plan, message.header.frame_id, message.planner, fallback)

    def _on_odometry(self, message: Odometry) -> None:
        try:
            motion = motion_sample(message)
        except MessageError as error:
            self.get_logger().error(f"odometry refused: {error}", throttle_duration_sec=1.0)
            return
        for found in self._comparer.receive_motion(motion, message.header.frame_id):
            self._newest = found
            self._count["compared"] += 1
            self._publisher.publish(to_plan_disagreement(ros_message, found, message.header.frame_id))
            if found.large:
                self._count["large"] += 1
                self._begin_recording(found)

    # --- recording -------------------------------------------------------------------------------------------------

    def _announce(self, topic: str, kind: str) -> None:
        self._kinds[topic] = kind

    def _keep(self, topic: str, data: bytes) -> None:
        """Keep a message for as long as a recording could reach back to it."""
        now_ns = time.time_ns()
        message = KeptMessage(topic, now_ns, data)
        if topic.endswith(("_static", "camera_info")):
            self._latched[topic] = message
        self._kept.append(message)
        self._kept_bytes += len(data)
        reach_s = self._value["before_s"] + HORIZONS_S[-1] + self._value["after_s"] + 1.0
        oldest_ns = now_ns - round(reach_s * _NS_PER_S)
        limit = self._value["memory_mib"] * _MIB
        while self._kept and (self._kept[0].arrived_ns < oldest_ns or self._kept_bytes > limit):
            self._forgotten += self._kept[0].arrived_ns >= oldest_ns
            self._kept_bytes -= len(self._kept.popleft().data)
        if self._pending is not None and now_ns >= self._pending[1]:
            name, self._pending = self._pending[0], None
            self._write_bag(name)

    def _begin_recording(self, found: Disagreement) -> None:
        """Record this one, unless it lies within a recording that has begun."""
        if self._output is None or self._pending is not None:
            return
        if self._written >= self._value["bags"]:
            self.get_logger().warning(f"not recorded: {self._written} recordings are there", throttle_duration_sec=60.0)
            return
        self._pending = (f"disagreement_{found.plan_us}", time.time_ns() + round(self._value["after_s"] * _NS_PER_S))

    def _write_bag(self, name: str) -> None:
        """Write everything that is kept; what was sent once and for all goes first."""
        if self._output is None:
            return
        path = self._output / name
        if path.exists():
            self.get_logger().warning(f"not recorded: {path} is there")
            return
        self._output.mkdir(parents=True, exist_ok=True)
        writer = BagWriter(path)
        kept = list(self._kept)
        first_ns = kept[0].arrived_ns if kept else time.time_ns()
        once = [message for message in self._latched.values() if message.arrived_ns < first_ns]
        present = {message.topic for message in (*once, *kept)}
        present -= {topic for topic in present if not self._add_topic(writer, topic)}
        for message in once:
            if message.topic in present:
                writer.write(message.topic, first_ns, message.data)
        for message in kept:
            if message.topic in present:
                writer.write(message.topic, message.arrived_ns, message.data)
        writer.close()
        self._written += 1
        self.get_logger().info(f"recorded {path}")

    def _add_topic(self, writer: BagWriter, topic: str) -> bool:
        """Announce a topic to a recording; False where its definition is not installed."""
        try:
            writer.add_topic(topic, self._kinds[topic])
        except LookupError as error:
            self.get_logger().error(f"not recorded: {topic}: {error}")
            return False
        return True

    def _lose(self, topic: str, count: int) -> None:
        self._lost[topic] = count

    def _publish_diagnostics(self) -> None:
        newest = self._newest
        told: dict[str, object] = {name: self._count[name] for name in ("compared", "large")}
        told |= {"not compared": self._comparer.not_compared, "recordings": self._written}
        told |= {"lost messages": sum(self._lost.values()), "forgotten for want of memory": self._forgotten}
        if newest is not None:
            for name in ("along_m", "across_m"):
                pairs = zip(HORIZONS_S, getattr(newest, name), strict=True)
                told |= {f"{name} at {horizon:g} s": value for horizon, value in pairs}
        level = Level.WARN if newest is not None and newest.large else Level.OK
        message = "nothing compared yet" if newest is None else "plan and driver disagree" if newest.large else "agree"
        now_us = self.get_clock().now().nanoseconds // 1000
        finding = Finding("shadow", level, message, told)
        self._diagnostics.publish(to_diagnostics(ros_message, [finding], self.get_name(), now_us))


def run(node: ShadowNode) -> int:
    """Turn the node until it is told to end."""
    spin(node)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run the node until it is shut down; exit code 2 for parameters that are refused."""
    return run_program("shadow_node", arguments, ShadowNode, run)


if __name__ == "__main__":
    sys.exit(main())
