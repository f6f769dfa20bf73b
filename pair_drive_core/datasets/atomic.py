"""Files that are either whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file under a temporary name of its own in the same folder and rename it into place.

    Several threads and processes may write one path: each reader sees one of their contents, whole. When this returns,
    content and name are on the disk.

    Args:
        path: where the file shall be; missing folders are made.
        content: all of it.

    Raises:
        OSError: if it cannot be written; then nothing of it is left, and what was there before still is.
    """
    with whole_file(path) as partial:
        partial.write_bytes(content)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of a file, to be written within the block; see `write_bytes`.

    Args:
        path: where the file shall be; missing folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name[:64]}.{secrets.token_hex(8)}.partial")
    try:
        yield partial
        _sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Bring a file's content, or a folder's names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
