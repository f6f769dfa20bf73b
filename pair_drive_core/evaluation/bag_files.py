"""The files of a recording, MCAP and SQLite, read without ROS; what a message means is not looked at here.

Both readers take any topic of any encoding: a definition that nobody asks for is never parsed, so nothing that the
planner does not read can make a recording unreadable.
"""

from __future__ import annotations

import heapq
import shutil
import sqlite3
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import quote

import lz4.frame

from pair_drive_core.driving.messages import MessageError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_MCAP_MAGIC = b"\x89MCAP0\r\n"
_SQLITE_MAGIC = b"SQLite format 3\0"
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _CHUNK_INDEX = 0x02, 0x03, 0x04, 0x05, 0x06, 0x08
_STATISTICS, _DATA_END = 0x0B, 0x0F
_FOOTER_SIZE = 9 + 20 + len(_MCAP_MAGIC)
MAX_UNPACKED_BYTES = 2**27
"""Of one compressed message or chunk; what states or holds more is not unpacked."""
_LOOSE_BYTES = 4_000_000
"""Messages outside of chunks are read in portions of about this size."""


class StorageError(ValueError):
    """A file that cannot be read; says what is wrong and what helps."""


@dataclass(frozen=True)
class StoredTopic:
    """One topic as a file describes it.

    Attributes:
        number: of the topic in its file.
        name: absolute topic name.
        kind: message type.
        encoding: of the messages; only `cdr` is ROS 2's own.
        definition_format: `ros2msg`, `ros2idl`, or something that ROS 2 does not know; empty without a definition.
        definition: of the message type, as it is stored.
        count: messages in the file.
    """

    number: int
    name: str
    kind: str
    encoding: str
    definition_format: str
    definition: bytes
    count: int


class StorageFile(Protocol):
    """An open file of a recording."""

    topics: list[StoredTopic]

    def messages(self, numbers: set[int]) -> Iterator[tuple[int, int, bytes]]:
        """Time of logging in ns, topic's number, and bytes of all messages of some topics, in order of time."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


def open_file(path: Path, scratch: Path, notes: list[str]) -> StorageFile:
    """Open one file of a recording by what its first bytes say.

    Args:
        path: the file; it is never written to.
        scratch: folder for files that must be unpacked or completed first.
        notes: gets a line for whatever had to be done to read the file.

    Raises:
        StorageError: if it is no such file, or torn.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
        if head.startswith(ZSTD_MAGIC):
            notes.append(f"{path.name}: compressed as a whole; unpacked for reading")
            return open_file(_unpacked(path, scratch), scratch, notes)
        if head.startswith(b"#ROSBAG V"):
            version = head.split(b"\n")[0].decode("ascii", "replace").removeprefix("#ROSBAG ")
            raise StorageError(f"ROS 1 bag ({version}): convert it with `rosbags-convert --src {path.name} --dst NEW`")
        if head.startswith(_MCAP_MAGIC):
            return McapFile(path)
        if head == _SQLITE_MAGIC:
            return SqliteFile(path, scratch, notes)
    except OSError as error:
        raise StorageError(f"{path.name} cannot be read ({error.strerror or error})") from None
    if _MCAP_MAGIC.startswith(head) or _SQLITE_MAGIC.startswith(head):
        raise StorageError(f"truncated: {path.name} ends after {len(head)} bytes; nothing of it can be saved")
    raise StorageError(f"not a recording: expected MCAP or SQLite data, found a file beginning with {head.hex()}")


def _unpacked(path: Path, scratch: Path) -> Path:
    target = scratch / path.name.removesuffix(".zstd").removesuffix(".zst")
    try:
        with zstd.open(path, "rb") as packed, target.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
    except (zstd.ZstdError, EOFError) as error:
        raise StorageError(f"truncated or damaged: {path.name} cannot be unpacked ({error})") from None
    return target


def unpack(data: bytes) -> bytes:
    """A message that was compressed alone.

    Raises:
        MessageError: if it is torn, or larger than `MAX_UNPACKED_BYTES`.
    """
    try:
        return _inflated(data, MAX_UNPACKED_BYTES)
    except (zstd.ZstdError, ValueError) as error:
        raise MessageError(f"compressed message of {len(data)} bytes cannot be unpacked ({error})") from None


def _inflated(packed: bytes, limit: int) -> bytes:
    """All zstd frames, unpacked; never more than the limit.

    Raises:
        ValueError: if there is more, or a frame is cut off.
    """
    content = b""
    while packed:
        frame = zstd.ZstdDecompressor()
        content += frame.decompress(packed, max_length=limit + 1 - len(content))
        if len(content) > limit:
            raise ValueError(f"expected at most {limit} bytes when unpacked")
        if not frame.eof:
            raise ValueError("cut off")
        packed = frame.unused_data
    return content


@dataclass(frozen=True)
class _Part:
    """A chunk of an MCAP file, or a run of messages outside of chunks (`is_chunk` False)."""

    start_ns: int
    offset: int
    length: int
    is_chunk: bool
    channels: frozenset[int] | None = None


class McapFile:
    """An MCAP file with or without a summary, chunked or not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: BinaryIO = path.open("rb")
        self._schemas: dict[int, tuple[str, str, bytes]] = {}
        self._channels: dict[int, tuple[int, str, str]] = {}
        self._counts: Counter[int] = Counter()
        self._parts: list[_Part] = []
        try:
            self._read_structure()
        except (struct.error, ValueError, zstd.ZstdError, RuntimeError, EOFError) as error:
            self._stream.close()
            raise self._damage(error) from None
        self.topics = []
        for number, (schema, name, encoding) in self._channels.items():
            kind, form, definition = self._schemas.get(schema, ("", "", b""))
            self.topics.append(StoredTopic(number, name, kind, encoding, form, definition, self._counts[number]))

    def close(self) -> None:
        """Let go of the file."""
        self._stream.close()

    def messages(self, numbers: set[int]) -> Iterator[tuple[int, int, bytes]]:
        """See `StorageFile`; chunks may overlap in time."""
        waiting: list[tuple[int, int, int, bytes]] = []
        order = 0
        try:
            for part in sorted(self._parts, key=lambda part: (part.start_ns, part.offset)):
                if part.channels is not None and not part.channels & numbers:
                    continue
                while waiting and waiting[0][0] < part.start_ns:
                    time_ns, _, number, data = heapq.heappop(waiting)
                    yield time_ns, number, data
                for number, time_ns, data in self._messages_of(part):
                    if number in numbers:
                        heapq.heappush(waiting, (time_ns, order, number, data))
                        order += 1
        except (struct.error, ValueError, zstd.ZstdError, RuntimeError, EOFError) as error:
            raise self._damage(error) from None
        while waiting:
            time_ns, _, number, data = heapq.heappop(waiting)
            yield time_ns, number, data

    def _damage(self, error: BaseException) -> StorageError:
        if isinstance(error, StorageError):
            return error
        detail = " ".join(str(error).split()) or type(error).__name__
        return StorageError(
            f"truncated or damaged: {self._path.name} ({detail}); `mcap recover {self._path.name} -o NEW.mcap` saves "
            "what is whole"
        )

    def _read_structure(self) -> None:
        size = self._path.stat().st_size
        self._stream.seek(max(0, size - _FOOTER_SIZE))
        footer = self._stream.read()
        if len(footer) < _FOOTER_SIZE or not footer.endswith(_MCAP_MAGIC) or footer[0] != _FOOTER:
            raise StorageError(
                f"truncated: {self._path.name} is cut off before its end (recording interrupted?); "
                f"`mcap recover {self._path.name} -o NEW.mcap` saves what is whole"
            )
        (summary,) = struct.unpack_from("<Q", footer, 9)
        if summary and self._read_summary(summary, size - _FOOTER_SIZE):
            return
        self._schemas.clear()
        self._channels.clear()
        self._counts.clear()
        self._parts.clear()
        self._scan(summary or size - _FOOTER_SIZE)

    def _read_summary(self, start: int, end: int) -> bool:
        """Whether the summary says all that is needed: channels, their counts, and where the chunks are."""
        chunks, counted = 0, False
        for opcode, body in self._records(start, end):
            if opcode in (_SCHEMA, _CHANNEL):
                self._describe(opcode, body)
            elif opcode == _CHUNK_INDEX:
                first_ns, _, offset, length, map_size = struct.unpack_from("<QQQQI", body)
                held = frozenset(number for number, _ in struct.iter_unpack("<HQ", body[36 : 36 + map_size]))
                self._parts.append(_Part(first_ns, offset, length, True, held or None))
            elif opcode == _STATISTICS:
                (chunks,) = struct.unpack_from("<I", body, 22)
                counted = True
                for number, count in struct.iter_unpack("<HQ", body[46:]):
                    self._counts[number] += count
        return counted and bool(self._channels) and chunks == len(self._parts) and chunks > 0

    def _scan(self, end: int) -> None:
        """Everything from the data themselves."""
        loose: _Part | None = None
        position = len(_MCAP_MAGIC)
        for opcode, body in self._records(position, end):
            if opcode in (_SCHEMA, _CHANNEL):
                self._describe(opcode, body)
            elif opcode == _MESSAGE:
                number, _, time_ns = struct.unpack_from("<HIQ", body)
                self._counts[number] += 1
                length = 9 + len(body)
                if loose is None or position != loose.offset + loose.length or loose.length > _LOOSE_BYTES:
                    loose = _Part(time_ns, position, 0, False)
                    self._parts.append(loose)
                loose = replace(loose, length=loose.length + length, start_ns=min(loose.start_ns, time_ns))
                self._parts[-1] = loose
            elif opcode == _CHUNK:
                (first_ns,) = struct.unpack_from("<Q", body)
                held = set()
                for inner, content in _records_in(_chunk_content(body)):
                    if inner in (_SCHEMA, _CHANNEL):
                        self._describe(inner, content)
                    elif inner == _MESSAGE:
                        (number,) = struct.unpack_from("<H", content)
                        self._counts[number] += 1
                        held.add(number)
                self._parts.append(_Part(first_ns, position, 9 + len(body), True, frozenset(held)))
                loose = None
            elif opcode == _DATA_END:
                break
            position += 9 + len(body)

    def _describe(self, opcode: int, body: bytes | memoryview) -> None:
        (number,) = struct.unpack_from("<H", body)
        if opcode == _SCHEMA:
            name, place = _text(body, 2)
            form, place = _text(body, place)
            data, _ = _sized(body, place)
            self._schemas[number] = (name, form, data)
        else:
            (schema,) = struct.unpack_from("<H", body, 2)
            topic, place = _text(body, 4)
            encoding, _ = _text(body, place)
            self._channels[number] = (schema, topic, encoding)

    def _records(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Top-level records; the stream may be used by others between two of them."""
        position = start
        while position + 9 <= end:
            self._stream.seek(position)
            opcode, length = struct.unpack("<BQ", self._stream.read(9))
            if position + 9 + length > end:
                raise ValueError(f"record at byte {position} reaches beyond the end")
            yield opcode, self._read(position + 9, length)
            position += 9 + length

    def _read(self, position: int, length: int) -> bytes:
        """Bytes of the file; Python takes memory for all that is asked for before it sees that there is less."""
        if position + length > self._path.stat().st_size:
            raise ValueError(f"{length} bytes at byte {position} reach beyond the end of the file")
        self._stream.seek(position)
        return self._stream.read(length)

    def _messages_of(self, part: _Part) -> Iterator[tuple[int, int, bytes]]:
        """Channel, time in ns and bytes of each message of a part."""
        data = self._read(part.offset, part.length)
        content = memoryview(data)
        if part.is_chunk:
            if data[:1] != bytes([_CHUNK]):
                raise ValueError(f"expected a chunk at byte {part.offset}, found record {data[:1].hex()}")
            content = memoryview(_chunk_content(data[9:]))
        for opcode, body in _records_in(content):
            if opcode == _MESSAGE:
                number, _, time_ns = struct.unpack_from("<HIQ", body)
                yield number, time_ns, bytes(body[22:])


def _records_in(content: bytes | memoryview) -> Iterator[tuple[int, memoryview]]:
    """Records of a chunk."""
    view = memoryview(content)
    position = 0
    while position < len(view):
        opcode, length = struct.unpack_from("<BQ", view, position)
        end = position + 9 + length
        if end > len(view):
            raise ValueError(f"record at byte {position} of a chunk reaches beyond its end")
        yield opcode, view[position + 9 : end]
        position = end


def _chunk_content(body: bytes) -> bytes:
    """Unpacked records of a chunk."""
    _, _, size, checksum = struct.unpack_from("<QQQI", body)
    compression, place = _text(body, 28)
    (packed_size,) = struct.unpack_from("<Q", body, place)
    packed = body[place + 8 : place + 8 + packed_size]
    if size > MAX_UNPACKED_BYTES:
        raise ValueError(f"chunk: expected at most {MAX_UNPACKED_BYTES} bytes when unpacked, it states {size}")
    if compression == "":
        content = packed
    elif compression == "zstd":
        content = _inflated(packed, size)
    elif compression == "lz4":
        content = bytes(lz4.frame.LZ4FrameDecompressor().decompress(packed, max_length=size + 1))
    else:
        raise ValueError(f"chunk compression: expected zstd, lz4 or none, got {compression!r}")
    if len(content) != size:
        raise ValueError(f"chunk: expected {size} bytes, got {len(content)}")
    if checksum and zlib.crc32(content) != checksum:
        raise ValueError("chunk: the checksum does not fit")
    return content


def _sized(body: bytes | memoryview, place: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<I", body, place)
    end = place + 4 + length
    if end > len(body):
        raise ValueError("a text reaches beyond its record")
    return bytes(body[place + 4 : end]), end


def _text(body: bytes | memoryview, place: int) -> tuple[str, int]:
    data, end = _sized(body, place)
    return data.decode("utf-8", "replace"), end


class _ValueKindError(ValueError):
    """A value of another type than its column's."""


def _typed(row: tuple[Any, ...], *kinds: type) -> tuple[Any, ...]:
    """A row whose values are of the types that they should be; SQLite keeps whatever it is given in any column.

    Raises:
        _ValueKindError: if one is not.
    """
    for value, kind in zip(row, kinds, strict=True):
        if not isinstance(value, kind):
            raise _ValueKindError(f"expected a value of type {kind.__name__}, found one of {type(value).__name__}")
    return row


_LEFT_OVER = {
    "-wal": "a write-ahead log was left over; its messages are read, too",
    "-journal": "a rollback journal was left over; what was being written when it ended is taken back",
}
"""What SQLite leaves beside a file that was not closed, by the end of its name."""


class SqliteFile:
    """A .db3 file of any version of rosbag2; a log or journal that was left over is heeded, in a copy."""

    def __init__(self, path: Path, scratch: Path, notes: list[str]) -> None:
        self._path = path
        self._require_whole(path)
        left = [(path.with_name(path.name + end), said) for end, said in _LEFT_OVER.items()]
        left = [(log, said) for log, said in left if log.is_file() and log.stat().st_size > 0]
        if left:
            notes += [f"{log.name}: {said} (recorder killed?)" for log, said in left]
            copy = scratch / path.name
            for source in (path, *(log for log, _ in left)):
                shutil.copyfile(source, scratch / source.name)
            target = f"file:{quote(str(copy))}"
        else:
            # Nothing is locked or written, whatever the folder allows.
            target = f"file:{quote(str(path.resolve()))}?immutable=1"
        self._base = sqlite3.connect(target, uri=True, check_same_thread=False)
        self._base.text_factory = lambda text: text.decode("utf-8", "replace")
        try:
            self.topics = self._read_topics()
        except (sqlite3.Error, _ValueKindError, UnicodeDecodeError) as error:  # SQLite's own words may be damaged, too
            self._base.close()
            raise self._damage(error) from None

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()

    def messages(self, numbers: set[int]) -> Iterator[tuple[int, int, bytes]]:
        """See `StorageFile`."""
        places = ",".join("?" * len(numbers))
        query = f"SELECT timestamp, topic_id, data FROM messages WHERE topic_id IN ({places}) ORDER BY timestamp, id"
        try:
            for row in self._base.execute(query, tuple(numbers)):
                yield _typed(row, int, int, bytes)
        except (sqlite3.Error, _ValueKindError, UnicodeDecodeError) as error:
            raise self._damage(error) from None

    def _require_whole(self, path: Path) -> None:
        with path.open("rb") as stream:
            head = stream.read(100)
        if len(head) == 100:
            page_bytes, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
            expected = pages * (65536 if page_bytes == 1 else page_bytes)
            if path.stat().st_size >= expected:
                return
        raise StorageError(
            f"truncated: {path.name} is cut off before its end; `sqlite3 {path.name} .recover | sqlite3 NEW.db3` saves "
            "what is whole"
        )

    def _damage(self, error: Exception) -> StorageError:
        return StorageError(
            f"truncated or damaged: {self._path.name} ({error}); "
            f"`sqlite3 {self._path.name} .recover | sqlite3 NEW.db3` saves what is whole"
        )

    def _read_topics(self) -> list[StoredTopic]:
        tables = {row[0] for row in self._base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"topics", "messages"} <= tables:
            found = ", ".join(sorted(tables)) or "no tables"
            raise StorageError(f"not a recording: expected tables topics and messages, found {found}")
        definitions: dict[str, tuple[str, bytes]] = {}
        if "message_definitions" in tables:
            query = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            rows = (_typed(row, str, str, str) for row in self._base.execute(query))
            definitions = {kind: (form, text.encode()) for kind, form, text in rows}
        counts = dict(self._base.execute("SELECT topic_id, count(*) FROM messages GROUP BY topic_id"))
        query = "SELECT id, name, type, serialization_format FROM topics ORDER BY id"
        return [
            StoredTopic(number, name, kind, encoding, *definitions.get(kind, ("", b"")), counts.get(number, 0))
            for number, name, kind, encoding in (_typed(row, int, str, str, str) for row in self._base.execute(query))
        ]
