"""Records topics into an MCAP bag without rosbag2: raw messages as they come, definitions included."""

from __future__ import annotations

import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from pair_drive_core.driving import topics
from pair_drive_ros.bag_writer import BagWriter
from pair_drive_ros.message_types import message_type
from pair_drive_ros.parameters import Parameter, ParameterError, declare
from pair_drive_ros.program import run_program, spin

_DISCOVERY_PERIOD_S = 0.2
_DEFAULT_TOPICS = [
    "/clock",
    topics.DIAGNOSTICS_TOPIC,
    *(topics.absolute(name) for name in topics.INPUT_TOPICS),
    *(f"/{name}" for name in (topics.PLAN_TOPIC, topics.PATH_TOPIC, topics.CANDIDATES_TOPIC)),
    *(f"/{name}" for name in (topics.TRUTH_TOPIC, topics.SCORE_TOPIC)),
]

PARAMETERS = (
    Parameter("output", "", "Folder of the recording; must not exist yet."),
    Parameter("topics", _DEFAULT_TOPICS, "Absolute names of the topics to record, as they appear."),
)


class BagRecorderNode(Node):  # type: ignore[misc]
    """See the module. A topic is subscribed when its publisher appears, with the quality of service on offer."""

    def __init__(self, **node_options: Any) -> None:  # noqa: ANN401 - rclpy's own keyword arguments
        super().__init__("pair_drive_recorder", **node_options)
        declare(self, PARAMETERS)
        output = self.get_parameter("output").value
        if not output:
            raise ParameterError("output: expected a folder for the recording, got nothing")
        self._waiting = set(self.get_parameter("topics").value)
        self.writer = BagWriter(Path(output))
        self.lost: Counter[str] = Counter()
        self._timer = self.create_timer(_DISCOVERY_PERIOD_S, self._discover)
        self._discover()

    def close(self) -> None:
        """Finish the recording and destroy the node."""
        self.writer.close()
        told = ", ".join(f"{count} of {topic}" for topic, count in sorted(self.lost.items()))
        lost = f"; lost {told}: they came faster than they were taken" if told else ""
        print(f"recorded {sum(self.writer.counts.values())} messages{lost}", flush=True)
        self.destroy_node()

    def _discover(self) -> None:
        """Subscribe to those topics that have a publisher by now."""
        for topic in sorted(self._waiting):
            offers = self.get_publishers_info_by_topic(topic)
            if not offers:
                continue
            self._waiting.discard(topic)
            kind = offers[0].topic_type
            try:
                self.writer.add_topic(topic, kind)
                message = message_type(kind)
            except (LookupError, ModuleNotFoundError) as error:
                self.get_logger().error(f"not recorded: {topic}: {error}")
                continue
            reliable = all(offer.qos_profile.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
            latched = all(offer.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
            qos = QoSProfile(
                history=HistoryPolicy.KEEP_ALL,
                reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
                durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
            )
            events = SubscriptionEventCallbacks(message_lost=partial(self._lose, topic))
            self.create_subscription(message, topic, partial(self._write, topic), qos, raw=True, event_callbacks=events)

    def _lose(self, topic: str, status: Any) -> None:  # noqa: ANN401 - rclpy's own status
        """Count what the middleware could not keep, and say so the first time."""
        if topic not in self.lost:
            self.get_logger().warning(f"{topic}: messages are lost; the count comes at the end")
        self.lost[topic] = int(status.total_count)

    def _write(self, topic: str, data: bytes) -> None:
        self.writer.write(topic, time.time_ns(), data)


def run(node: BagRecorderNode) -> int:
    """Record until told to end."""
    spin(node)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Record until interrupted; the recording appears when it is complete."""
    return run_program("bag_recorder_node", arguments, BagRecorderNode, run)


if __name__ == "__main__":
    sys.exit(main())
