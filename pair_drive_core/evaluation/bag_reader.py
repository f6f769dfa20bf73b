"""rosbag2 recordings, read without ROS: a folder, or any of its files alone."""

from __future__ import annotations

import contextlib
import heapq
import re
import struct
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.serde import SerdeError
from rosbags.typesys import TypesysError, get_types_from_idl, get_types_from_msg
from rosbags.typesys.store import Typestore
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pair_drive_core.driving.messages import MessageError
from pair_drive_core.driving.messages.known_types import known_types, standard_types
from pair_drive_core.evaluation.bag_files import ZSTD_MAGIC, StorageError, StorageFile, StoredTopic, open_file, unpack

_UNREADABLE = (
    SerdeError,
    TypesysError,
    struct.error,
    ValueError,
    LookupError,
    AssertionError,
    AttributeError,
    MemoryError,
)
"""What torn or foreign bytes raise inside `rosbags`."""
_SUFFIXES = (".bag", *(f"{kind}{packed}" for kind in (".mcap", ".db3") for packed in ("", ".zstd", ".zst")))
_METADATA = "metadata.yaml"
_CDR = "cdr"
_COMPRESSED = "messages are compressed one by one (zstd); unpacked for reading"


class BagError(ValueError):
    """A recording that cannot be read or lacks what is needed; the message starts with its path."""

    def __init__(self, path: Path, problem: str) -> None:
        """Name the recording and what is wrong with it."""
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


@dataclass(frozen=True)
class StoredMessage:
    """One message of a recording, not decoded yet.

    Attributes:
        topic: absolute topic name.
        kind: its type.
        index: how many messages of this topic come before it.
        logged_ns: when it was recorded, by the recorder's clock.
        data: its bytes.
    """

    topic: str
    kind: str
    index: int
    logged_ns: int
    data: bytes


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
        notes: what was unusual in reading it, one line each.
    """

    def __init__(self, path: Path, files: list[StorageFile], expected: Mapping[str, int], notes: list[str]) -> None:
        self.path = path
        self.notes = notes
        self._files = files
        self._expected = expected
        self._store: Typestore | None = None
        self._refused: dict[str, str] = {}

    @property
    def topics(self) -> dict[str, str]:
        """Message type of each topic that holds ROS 2 messages."""
        best: dict[str, StoredTopic] = {}
        for entry in self._entries():
            if entry.count and entry.encoding == _CDR:
                known = best.get(entry.name)
                best[entry.name] = entry if known is None or known.count < entry.count else known
        return {name: entry.kind for name, entry in best.items()}

    @property
    def other_encodings(self) -> Counter[str]:
        """How many topics hold messages of each encoding that is not ROS 2's."""
        return Counter(entry.encoding for entry in self._entries() if entry.count and entry.encoding != _CDR)

    def count(self, topic: str) -> int:
        """Number of messages on a topic."""
        return sum(entry.count for entry in self._entries() if entry.name == topic)

    def other_counts(self, topics: set[str]) -> list[str]:
        """Topics of which the files hold another number of messages than metadata.yaml states, one line each."""
        return [
            f"topic {topic}: metadata.yaml states {self._expected[topic]} messages, the files hold {self.count(topic)}"
            for topic in sorted(topics & set(self._expected))
            if self._expected[topic] != self.count(topic)
        ]

    def stored(self, topics: set[str]) -> Iterator[StoredMessage]:
        """Messages of some topics in the order in which they were recorded, not decoded.

        Raises:
            BagError: where the recording is damaged.
        """
        kinds = self.topics
        seen: Counter[str] = Counter()
        streams = [self._stream(file, topics, kinds) for file in self._files]
        try:
            for logged_ns, _, _, topic, data in heapq.merge(*streams):
                yield StoredMessage(topic, kinds[topic], seen[topic], logged_ns, data)
                seen[topic] += 1
        except StorageError as error:
            raise BagError(self.path, str(error)) from None

    def decode(self, stored: StoredMessage) -> Any:  # noqa: ANN401 - message classes have no common base
        """The content of a message.

        Raises:
            MessageError: if its bytes are not what its type says.
            BagError: if its type is not known, or the recording's own definition of it cannot be read.
        """
        store = self._types(stored.kind)
        data = stored.data
        if data.startswith(ZSTD_MAGIC):
            # Bytes of CDR never begin like this: their first one is zero.
            if _COMPRESSED not in self.notes:
                self.notes.append(_COMPRESSED)
            data = unpack(data)
        try:
            return store.deserialize_cdr(data, stored.kind)
        except _UNREADABLE as error:
            raise MessageError(f"{len(data)} bytes cannot be decoded as {stored.kind} ({_one_line(error)})") from None

    def messages(self, topics: set[str]) -> Iterator[BagMessage]:
        """Messages of some topics in the order in which they were recorded, each of them whole.

        Raises:
            BagError: where the recording is damaged or a message cannot be decoded.
        """
        for stored in self.stored(topics):
            try:
                message = self.decode(stored)
            except MessageError as error:
                raise BagError(self.path, f"truncated or damaged ({stored.topic}, {stored.index}: {error})") from None
            yield BagMessage(stored.topic, stored.logged_ns, message)

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files:
            file.close()

    def _entries(self) -> Iterator[StoredTopic]:
        return (entry for file in self._files for entry in file.topics)

    def _stream(
        self, file: StorageFile, topics: set[str], kinds: Mapping[str, str]
    ) -> Iterator[tuple[int, int, int, str, bytes]]:
        """Messages of a file with what orders them among those of other files."""
        place = self._files.index(file)
        names = {e.number: e.name for e in file.topics if e.name in topics and e.kind == kinds.get(e.name)}
        if names:
            for order, (logged_ns, number, data) in enumerate(file.messages(set(names))):
                yield logged_ns, place, order, names[number], data

    def _types(self, kind: str) -> Typestore:
        """A store that knows a type; only definitions that are asked for are parsed.

        The standard messages are those of ROS 2 Jazzy. All others come from the recording, so that its own version of
        them counts; this package's own ones come from the package where the recording defines nothing.
        """
        if self._store is None:
            self._store = standard_types()
        if kind in self._store.fielddefs:
            return self._store
        entry = next((e for e in self._entries() if e.kind == kind and e.definition), None)
        own = known_types()
        if entry is None and kind in own.fielddefs:
            self._register(own.fielddefs)
            return self._store
        if entry is None:
            raise BagError(self.path, f"the recording holds no definition of {kind}")
        text = entry.definition.decode("utf-8", "replace").replace("\r\n", "\n")
        try:
            idl = entry.definition_format == "ros2idl"
            self._register(get_types_from_idl(text) if idl else get_types_from_msg(text, kind))
        except _UNREADABLE as error:
            problem = f"cannot read the definition of {kind} on {entry.name} ({_one_line(error)})"
            raise BagError(self.path, problem) from None
        return self._store

    def _register(self, found: Mapping[str, Any]) -> None:
        store = self._store or standard_types()
        store.register({name: entry for name, entry in found.items() if name not in store.fielddefs})
        self._store = store


@contextlib.contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """Open a recording: a rosbag2 folder, or a single .mcap or .db3 file.

    What metadata.yaml says beside the files (quality of service, compression, counts) is not needed to read them; where
    it disagrees with them, the files count and the recording's notes say so.

    Raises:
        BagError: if it is not a recording or damaged.
    """
    if path.name == _METADATA:
        path = path.parent
    if not path.exists():
        raise BagError(path, "expected a rosbag2 folder or a .mcap or .db3 file, found nothing")
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="pair-drive-bag-") as scratch, contextlib.ExitStack() as stack:
        paths, expected = _files_of_folder(path, notes) if path.is_dir() else ([path], {})
        files: list[StorageFile] = []
        for number, file_path in enumerate(paths):
            room = Path(scratch) / str(number)
            room.mkdir()
            try:
                file = open_file(file_path, room, notes)
            except StorageError as error:
                raise BagError(path, str(error)) from None
            stack.callback(file.close)
            files.append(file)
        yield Bag(path, files, expected, notes)


def _files_of_folder(folder: Path, notes: list[str]) -> tuple[list[Path], dict[str, int]]:
    """Files of a recording in their order, and how many messages of each topic metadata.yaml states."""
    inside = sorted((p for p in folder.iterdir() if p.name.endswith(_SUFFIXES)), key=_natural_order)
    metadata = folder / _METADATA
    if not metadata.is_file():
        if not inside:
            raise BagError(folder, "expected a rosbag2 folder with metadata.yaml or .mcap or .db3 files, found neither")
        notes.append("metadata.yaml is missing (recording not finished?); the files inside are read")
        return inside, {}
    try:
        information = YAML(typ="safe").load(metadata.read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
        listed = [folder / Path(name).name for name in information["relative_file_paths"]]
        topics = information.get("topics_with_message_count") or []
        expected = {str(t["topic_metadata"]["name"]): int(t["message_count"]) for t in topics}
    except (YAMLError, OSError, UnicodeDecodeError, LookupError, TypeError, ValueError, AttributeError) as error:
        if not inside:
            raise BagError(
                folder, f"metadata.yaml cannot be read ({_one_line(error)}) and there are no files"
            ) from None
        notes.append(f"metadata.yaml cannot be read ({_one_line(error)}); the files inside are read")
        return inside, {}
    missing = [p.name for p in listed if not p.is_file()]
    if not missing:
        return listed, expected
    if not inside:
        raise BagError(folder, f"metadata.yaml names {', '.join(missing)}; found no recording files")
    notes.append(f"metadata.yaml names {', '.join(missing)}, which are missing; the files inside are read")
    return inside, expected


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """bag_2 before bag_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _one_line(error: BaseException) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
