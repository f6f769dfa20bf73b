"""Well-known binary (OGC 06-103r4) of strangers, looked at before a library reads it.

Reading is recursive and allocates by the counts in the file, so kinds, depth and counts are checked first.
"""

from __future__ import annotations

import struct

_LINE, _POLYGON, _MULTI = 2, 3, {4: 1, 5: 2, 6: 3}
_POINT = 1
_MAX_DEPTH = 2


def check_wkb(content: bytes) -> None:
    """Check that points, lines, polygons or several of one of them lie in the bytes, whole.

    Raises:
        ValueError: if not.
        struct.error: if the end is missing.
    """
    _end(content, 0, None, _MAX_DEPTH)


def _end(content: bytes, at: int, expected: int | None, depth: int) -> int:
    """First byte after the geometry at `at`."""
    order = "<" if content[at : at + 1] == b"\1" else ">"
    kind, dimensions = _kind(*struct.unpack_from(f"{order}I", content, at + 1))
    if depth == 0 or (expected is not None and kind != expected):
        raise ValueError(f"expected geometry of kind {expected} in another, got {kind}")
    at += 5
    if kind == _POINT:
        return _inside(content, at + 8 * dimensions)
    (count,) = struct.unpack_from(f"{order}I", content, at)
    at += 4
    if kind == _LINE:
        return _inside(content, at + 8 * dimensions * count)
    if kind == _POLYGON:
        for _ in range(count):
            (points,) = struct.unpack_from(f"{order}I", content, at)
            at = _inside(content, at + 4 + 8 * dimensions * points)
        return at
    for _ in range(count):
        at = _end(content, at, _MULTI[kind], depth - 1)
    return at


def _kind(code: int) -> tuple[int, int]:
    """Kind of geometry and numbers a point, of ISO's thousands or of the high bits of extended WKB."""
    extra = (code >> 31) + (code >> 30 & 1)
    plain = code & 0x0FFFFFFF
    if code & 0x20000000 or plain >= 4000:
        raise ValueError(f"expected plain geometry, got kind {code:#x}")
    extra += (0, 1, 1, 2)[plain // 1000]
    kind = plain % 1000
    if kind not in (_POINT, _LINE, _POLYGON, *_MULTI) or extra > 2:
        raise ValueError(f"expected points, lines or polygons, got geometry of kind {kind}")
    return kind, 2 + extra


def _inside(content: bytes, end: int) -> int:
    if end > len(content):
        raise ValueError(f"expected geometry of {end} bytes, got {len(content)}")
    return end
