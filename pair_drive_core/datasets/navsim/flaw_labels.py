"""What the driver of a log does wrong, in a file beside the data set: NAVSIM's own format has no place for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.navsim.log import NavsimLog

FLAW_FOLDER = "flaw_labels"
"""Folder of the labels; `<split>/<log>.json` in it. The official devkit looks for nothing there."""


def write_flaw_labels(log: NavsimLog, path: Path) -> None:
    """Write the labels of a log: a JSON object from frame tokens to flaws, only of frames that have some.

    A log without flaws has no file; equal labels give equal bytes.

    Args:
        log: frames with their flaws.
        path: `flaw_labels/<split>/<log>.json`.
    """
    labels = {frame.token: list(frame.flaws) for frame in log.frames if frame.flaws}
    if labels:
        write_bytes(path, (json.dumps(labels, indent=1, sort_keys=True) + "\n").encode())
    else:
        path.unlink(missing_ok=True)


def with_flaw_labels(log: NavsimLog, path: Path) -> NavsimLog:
    """A log with the labels that lie beside it; without a file, as for real data, the log as it is.

    Args:
        log: frames as the log's own file has them.
        path: `flaw_labels/<split>/<log>.json`.

    Raises:
        DatasetError: naming the file, if it breaks the format or names frames that are not in the log.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return log
    labels = _labels(content, path)
    unknown = sorted(labels.keys() - {frame.token for frame in log.frames})
    if unknown:
        raise DatasetError(path, f"{len(unknown)} of {len(labels)} frames are not in the log, first {unknown[:3]}")
    return replace(log, frames=tuple(replace(frame, flaws=labels.get(frame.token, ())) for frame in log.frames))


def _labels(content: bytes, path: Path) -> Mapping[str, tuple[str, ...]]:
    """Flaws by frame token."""
    expected = "expected a JSON object {frame token: [flaw, ...]}"
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DatasetError(path, f"{expected}, got {len(content)} bytes that are not JSON ({error})") from error
    if not isinstance(document, dict):
        raise DatasetError(path, f"{expected}, got {type(document).__name__}")
    for token, flaws in document.items():
        if not isinstance(flaws, list) or not all(isinstance(flaw, str) and flaw for flaw in flaws):
            raise DatasetError(path, f"{expected}, got {flaws!r:.80} for frame {token}")
    return {token: tuple(flaws) for token, flaws in document.items()}
