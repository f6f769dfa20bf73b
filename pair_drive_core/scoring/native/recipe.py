"""What the kernel is compiled from and how: the one place for its sources and flags, and for the stamp it bears.

`setup.py` runs this file alone, so it needs the standard library only. The flags keep floating-point results the same
on every machine: no fused multiply-add, no fast-math, no code for one processor only.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
SOURCES = ("kernel.cpp",)
FLAGS = ("-std=c++17", "-O3", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-pthread")
LINK_FLAGS = ("-pthread",)
ABI = 4
"""Of the structures in `library`; raised whenever they change together with kernel.h."""

_PREFIX = b"pair-drive kernel stamp "
_STAMP_LENGTH = 64


def headers() -> tuple[Path, ...]:
    """The header files."""
    return tuple(sorted(FOLDER.glob("*.h*")))


def stamp(extra_flags: Sequence[str] = ()) -> str:
    """Hash of sources, flags and interface: what a library must bear to be one of these sources.

    Args:
        extra_flags: that it is compiled with beyond `FLAGS`.
    """
    digest = hashlib.sha256(f"{ABI} {FLAGS} {LINK_FLAGS} {tuple(extra_flags)}".encode())
    for path in (*(FOLDER / name for name in SOURCES), *headers()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def stamp_flag(extra_flags: Sequence[str] = ()) -> str:
    """The compiler flag that puts the stamp into the library."""
    return f"-DPAIR_DRIVE_STAMP={stamp(extra_flags)}"


def stamp_of(library: Path) -> str | None:
    """The stamp that a file bears, read without loading it; None where there is none.

    Raises:
        OSError: if the file cannot be read.
    """
    with library.open("rb") as file:
        if not library.stat().st_size:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            start = content.find(_PREFIX) + len(_PREFIX)
            if start < len(_PREFIX):
                return None
            return content[start : start + _STAMP_LENGTH].decode("ascii", errors="replace")
