"""rosbag2 recordings (sqlite3 and mcap), read without ROS."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

_DAMAGE = (
    ReaderError,
    SerdeError,
    TypesysError,
    apsw.Error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    AssertionError,
    AttributeError,
)
"""What reading torn or foreign bytes raises inside the libraries; it becomes one `BagError`."""


class BagError(ValueError):
    """A recording that cannot be read or lacks what is needed; the message starts with its path."""

    def __init__(self, path: Path, problem: str) -> None:
        """Name the recording and what is wrong with it."""
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


@dataclass(frozen=True)
class BagMessage:
    """One message of a recording.

    Attributes:
        topic: absolute topic name.
        logged_ns: when it was recorded, by the recorder's clock.
        message: its content, with the field names of the message definition.
    """

    topic: str
    logged_ns: int
    message: Any


class Bag:
    """An open recording; see `open_bag`.

    Attributes:
        path: of the recording.
    """

    def __init__(self, path: Path, reader: Reader, store: Typestore) -> None:
        self.path = path
        self._reader = reader
        self._store = store
        self._connections = list(reader.connections)

    @property
    def topics(self) -> dict[str, str]:
        """Message type of each topic that holds messages."""
        return {connection.topic: connection.msgtype for connection in self._connections if connection.msgcount}

    def count(self, topic: str) -> int:
        """Number of messages on a topic."""
        return sum(connection.msgcount for connection in self._connections if connection.topic == topic)

    def messages(self, topics: set[str]) -> Iterator[BagMessage]:
        """Messages of some topics in the order in which they were recorded.

        Raises:
            BagError: where the recording is damaged or a message cannot be decoded.
        """
        chosen = [connection for connection in self._connections if connection.topic in topics]
        stream = self._reader.messages(chosen) if chosen else iter(())
        while True:
            try:
                connection, logged_ns, data = next(stream)
                message = self._store.deserialize_cdr(data, connection.msgtype)
            except StopIteration:
                return
            except _DAMAGE as error:
                raise BagError(self.path, f"truncated or damaged ({_one_line(error)})") from None
            yield BagMessage(connection.topic, logged_ns, message)


@contextlib.contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """Open a recording: a rosbag2 folder, or a single .mcap or .db3 file.

    Message definitions come from the recording itself, so that its own version of them counts.

    Raises:
        BagError: if it is not a recording or damaged.
    """
    if not path.exists():
        raise BagError(path, "expected a rosbag2 folder or a .mcap or .db3 file, found nothing")
    try:
        reader = Reader(path)
        reader.open()
    except FileNotFoundError:
        raise BagError(
            path, "expected a rosbag2 folder with metadata.yaml, found none (recording not finished?)"
        ) from None
    except _DAMAGE as error:
        raise BagError(path, f"truncated, damaged or not a rosbag2 recording ({_one_line(error)})") from None
    try:
        yield Bag(path, reader, _typestore(path, reader.connections))
    finally:
        reader.close()


def _typestore(path: Path, connections: list[Connection]) -> Typestore:
    """The standard messages of ROS 2 Jazzy and those that the recording defines itself."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for connection in connections:
        definition = connection.msgdef
        if connection.msgtype in store.fielddefs or definition.format is MessageDefinitionFormat.NONE:
            continue
        try:
            if definition.format is MessageDefinitionFormat.IDL:
                found = get_types_from_idl(definition.data)
            else:
                found = get_types_from_msg(definition.data, connection.msgtype)
            store.register({name: entry for name, entry in found.items() if name not in store.fielddefs})
        except _DAMAGE as error:
            problem = f"cannot read the definition of {connection.msgtype} on {connection.topic} ({_one_line(error)})"
            raise BagError(path, problem) from None
    return store


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
