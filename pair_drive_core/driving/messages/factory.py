"""Who makes messages: rclpy in a node, `rosbags` for a file; those who fill them in do not need to know."""

from __future__ import annotations

from typing import Any, Protocol

from rosbags.typesys.store import Typestore


class MakeMessage(Protocol):
    """Makes a message of a type from all its fields."""

    def __call__(self, kind: str, **fields: Any) -> Any:  # noqa: ANN401 - message classes have no common base
        """A message.

        Args:
            kind: type such as `sensor_msgs/msg/Image`.
            fields: every field of the type; sequences of numbers as NumPy arrays of the field's own type.
        """
        ...


def bag_messages(types: Typestore) -> MakeMessage:
    """Makes messages that `rosbags` can serialise, out of the types that a store knows."""

    def make(kind: str, **fields: Any) -> Any:  # noqa: ANN401
        # rclpy has a field of type byte as bytes, rosbags as a number.
        given = {name: value[0] if isinstance(value, bytes) else value for name, value in fields.items()}
        return types.types[kind](**given)

    return make
