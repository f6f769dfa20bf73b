"""Recordings of strangers: what they hold is not believed, and never takes more memory than it may."""

import struct

import pytest
from backports import zstd

from pair_drive_core.evaluation import bag_files
from pair_drive_core.evaluation.bag_reader import BagError, open_bag


def read(path):
    with open_bag(path) as bag:
        return [bag.decode(stored) for stored in bag.stored(set(bag.topics))]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE topics SET name = x'2fe4e4'",
        "UPDATE topics SET name = CAST(x'2fe4e4' AS TEXT)",
        "UPDATE topics SET type = 7",
        "UPDATE messages SET data = 1000000000000",
        "UPDATE messages SET data = 'text'",
        "UPDATE messages SET timestamp = 'soon'",
        "UPDATE message_definitions SET encoded_message_definition = x'2fe4'",
        "PRAGMA writable_schema = 1; UPDATE sqlite_master SET name = CAST(x'e4' AS TEXT) WHERE name = 'topics'",
    ],
)
def test_a_database_of_other_values_is_refused_or_read(small_bags, small_bag, tmp_path, change):
    path = small_bag(frames=1).write(tmp_path / "bag", "sqlite3")
    with small_bags.database(path) as base:
        base.executescript(change)
    try:
        assert read(path)
    except BagError as error:
        assert "bag" in str(error)


def test_a_message_that_unpacks_to_more_than_it_may_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(bag_files, "MAX_UNPACKED_BYTES", 1000)
    two_frames = zstd.compress(bytes(600)) + zstd.compress(bytes(400))
    assert bag_files.unpack(two_frames) == bytes(1000)
    for packed in (zstd.compress(bytes(10**8)), two_frames + zstd.compress(b"x"), zstd.compress(bytes(500))[:-2]):
        with pytest.raises(bag_files.MessageError, match="cannot be unpacked"):
            bag_files.unpack(packed)


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("stated", [10, 1000, 2**40])
def test_a_chunk_gives_what_it_states_or_is_refused(compression, stated):
    content = bytes(1000)
    pack = {"zstd": zstd.compress, "lz4": bag_files.lz4.frame.compress}[compression]
    name, packed = compression.encode(), pack(content)
    head = struct.pack("<QQQI", 0, 0, stated, 0) + struct.pack("<I", len(name)) + name
    body = head + struct.pack("<Q", len(packed)) + packed
    if stated == len(content):
        assert bag_files._chunk_content(body) == content
    else:
        with pytest.raises(ValueError, match="expected"):
            bag_files._chunk_content(body)


@pytest.mark.parametrize("where", ["record", "chunk index"])
def test_an_mcap_file_that_states_more_than_it_holds_is_damaged(small_bags, small_bag, tmp_path, where):
    path = small_bags.file_of(small_bag(frames=1).write(tmp_path / "bag"))
    content = bytearray(path.read_bytes())
    (summary,) = struct.unpack_from("<Q", content, len(content) - 28)
    if where != "chunk index":
        # The summary is said to begin far behind the end, and a record before it to reach there.
        struct.pack_into("<Q", content, len(content) - 28, 2**50)
    if where == "record":
        struct.pack_into("<Q", content, 9, 2**45)
    if where == "chunk index":
        at = summary
        while content[at] != 0x08:
            at += 9 + struct.unpack_from("<Q", content, at + 1)[0]
        struct.pack_into("<Q", content, at + 9 + 24, 2**45)
    path.write_bytes(content)
    with pytest.raises(BagError, match="damaged"):
        read(path)
