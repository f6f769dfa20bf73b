"""Serialised messages of topics, subscribed as they appear, with the quality of service on offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from pair_drive_ros.message_types import message_type

_DISCOVERY_PERIOD_S = 0.2


class TopicTap:
    """Listens to topics that may not exist yet.

    Args:
        node: whose executor takes the messages.
        topics: absolute names.
        announce: called with name and type of a topic before its first message; what it raises (LookupError) is logged
            and the topic left out.
        receive: called with name and bytes of each message.
        lose: called with name and count of messages that the middleware lost so far.
    """

    def __init__(
        self,
        node: Node,
        topics: Iterable[str],
        announce: Callable[[str, str], None],
        receive: Callable[[str, bytes], None],
        lose: Callable[[str, int], None],
    ) -> None:
        self._node, self._waiting = node, set(topics)
        self._announce, self._receive, self._lose = announce, receive, lose
        self._timer = node.create_timer(_DISCOVERY_PERIOD_S, self._discover)
        self._discover()

    def _discover(self) -> None:
        """Subscribe to those topics that have a publisher by now."""
        for topic in sorted(self._waiting):
            offers = self._node.get_publishers_info_by_topic(topic)
            if not offers:
                continue
            self._waiting.discard(topic)
            kind = offers[0].topic_type
            try:
                self._announce(topic, kind)
                message = message_type(kind)
            except (LookupError, ModuleNotFoundError) as error:
                self._node.get_logger().error(f"not recorded: {topic}: {error}")
                continue
            reliable = all(offer.qos_profile.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
            latched = all(offer.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
            qos = QoSProfile(
                history=HistoryPolicy.KEEP_ALL,
                reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
                durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
            )
            events = SubscriptionEventCallbacks(
                message_lost=lambda status, name=topic: self._lose(name, int(status.total_count))
            )
            receive = partial(self._receive, topic)
            self._node.create_subscription(message, topic, receive, qos, raw=True, event_callbacks=events)
