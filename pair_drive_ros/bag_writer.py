"""Writes serialised messages to an MCAP recording (rosbag2 format) that is either whole or not there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore


class BagWriter:
    """An MCAP recording under a temporary name, renamed into place by `close`.

    Args:
        path: folder of the recording; must not be there yet.

    Raises:
        FileExistsError: if it is.
    """

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise FileExistsError(f"{path}: expected a new folder for the recording, found one that exists")
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._store = get_typestore(Stores.ROS2_JAZZY)
        # The file inside is named after its folder, so the temporary name belongs to the folder around both.
        self._writer = Writer(self._partial / path.name, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        self._connections: dict[str, Connection] = {}
        self.counts: dict[str, int] = {}

    def add_topic(self, topic: str, kind: str) -> None:
        """Announce a topic with its message type, whose definition goes into the recording.

        Raises:
            LookupError: if the definition is not installed.
        """
        self._define(kind)
        self._connections[topic] = self._writer.add_connection(topic, kind, typestore=self._store)
        self.counts[topic] = 0

    def write(self, topic: str, logged_ns: int, data: bytes) -> None:
        """Append a serialised message."""
        self._writer.write(self._connections[topic], logged_ns, data)
        self.counts[topic] += 1

    def close(self) -> None:
        """Finish the file and put the recording into its place."""
        self._writer.close()
        (self._partial / self._path.name).rename(self._path)
        self._partial.rmdir()

    def _define(self, kind: str) -> None:
        """Make a message type and everything in it known, from the definitions that its package installs."""
        if kind in self._store.fielddefs:
            return
        found: dict[str, Any] = get_types_from_msg(_definition(kind), kind)
        for base in [name for fields in found.values() for name in _message_names(fields)]:
            if base not in found:
                self._define(base)
        self._store.register(found)


def _definition(kind: str) -> str:
    """Text of the .msg file of a type."""
    package, _, name = kind.split("/")
    try:
        path = Path(get_package_share_directory(package)) / "msg" / f"{name}.msg"
        return path.read_text(encoding="utf-8")
    except (PackageNotFoundError, FileNotFoundError) as error:
        raise LookupError(f"{kind}: expected its definition to be installed ({error})") from None


def _message_names(fields: Any) -> list[str]:  # noqa: ANN401 - rosbags' nested tuples
    """Names of the message types among the fields of a type."""
    names = []
    for _, (_, detail) in fields[1]:
        while isinstance(detail, tuple) and not isinstance(detail[0], str):
            detail = detail[0][1]
        name = detail if isinstance(detail, str) else detail[0]
        if "/" in name:
            names.append(name)
    return names
