"""Names of files that come out of other files: they may not lead anywhere else."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pair_drive_core.datasets.errors import DatasetError


def path_inside(folder: Path, relative: str, source: Path | str) -> Path:
    """The path of a file that another file names.

    Args:
        folder: where it must lie.
        relative: its path in there.
        source: the file that names it, for messages.

    Raises:
        DatasetError: if the path is absolute, leaves the folder or is no path.
    """
    parts = PurePosixPath(relative).parts
    if not parts or relative.startswith("/") or ".." in parts or "\\" in relative or "\0" in relative:
        raise DatasetError(source, f"expected a path inside {folder}, got {relative[:200]!r}")
    return folder / relative


_LONGEST_BYTES = 240
"""File systems take 255; an ending is still to come."""


def plain_name(name: str, source: Path | str) -> str:
    """The name of a file or folder, without any path.

    Args:
        name: what another file says.
        source: that file, for messages.

    Raises:
        DatasetError: if it holds more than a name, or is longer than a file system takes.
    """
    size = len(name.encode(errors="surrogatepass"))
    if size > _LONGEST_BYTES:
        raise DatasetError(source, f"expected a name of at most {_LONGEST_BYTES} bytes, got {size}: {name[:40]!r}..")
    if name in ("", ".", "..") or any(c in name for c in "/\\\0"):
        raise DatasetError(source, f"expected a plain name, got {name[:200]!r}")
    return name
