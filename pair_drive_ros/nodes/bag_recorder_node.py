"""Records topics into an MCAP bag without rosbag2: raw messages as they come, definitions included."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rclpy.node import Node

from pair_drive_core.driving import topics
from pair_drive_ros.bag_writer import BagWriter
from pair_drive_ros.parameters import Parameter, ParameterError, declare
from pair_drive_ros.program import run_program, spin
from pair_drive_ros.topic_tap import TopicTap

DEFAULT_TOPICS = [
    "/clock",
    topics.DIAGNOSTICS_TOPIC,
    *(topics.absolute(name) for name in topics.INPUT_TOPICS),
    *(f"/{name}" for name in (topics.PLAN_TOPIC, topics.PATH_TOPIC, topics.CANDIDATES_TOPIC)),
    *(f"/{name}" for name in (topics.TRUTH_TOPIC, topics.SCORE_TOPIC)),
]

PARAMETERS = (
    Parameter("output", "", "Folder of the recording; must not exist yet."),
    Parameter("topics", DEFAULT_TOPICS, "Absolute names of the topics to record, as they appear."),
)


class BagRecorderNode(Node):  # type: ignore[misc]
    """See the module; topics are subscribed as they appear (`TopicTap`)."""

    def __init__(self, **node_options: Any) -> None:  # noqa: ANN401 - rclpy's own keyword arguments
        super().__init__("pair_drive_recorder", **node_options)
        declare(self, PARAMETERS)
        output = self.get_parameter("output").value
        if not output:
            raise ParameterError("output: expected a folder for the recording, got nothing")
        self.writer = BagWriter(Path(output))
        self.lost: Counter[str] = Counter()
        topics_wanted = self.get_parameter("topics").value
        self._tap = TopicTap(self, topics_wanted, self.writer.add_topic, self._write, self._lose)

    def close(self) -> None:
        """Finish the recording and destroy the node."""
        self.writer.close()
        told = ", ".join(f"{count} of {topic}" for topic, count in sorted(self.lost.items()))
        lost = f"; lost {told}: they came faster than they were taken" if told else ""
        print(f"recorded {sum(self.writer.counts.values())} messages{lost}", flush=True)
        self.destroy_node()

    def _lose(self, topic: str, count: int) -> None:
        """Count what the middleware could not keep, and say so the first time."""
        if topic not in self.lost:
            self.get_logger().warning(f"{topic}: messages are lost; the count comes at the end")
        self.lost[topic] = count

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
