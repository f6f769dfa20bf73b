"""Find and load the compiled kernel."""

from __future__ import annotations

import ctypes
import functools
import logging
import sysconfig
from pathlib import Path

from pair_drive_core.scoring.native import LIBRARY
from pair_drive_core.scoring.native.recipe import FOLDER, stamp, stamp_of

_LOG = logging.getLogger(__name__)
_POINTER, _INT, _DOUBLE = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double

BATCH_ARRAYS = (
    "origin",
    "ego",
    "sample_index",
    "sample_weight",
    "history",
    "history_offsets",
    "has_history",
    "object_states",
    "object_present",
    "object_size",
    "object_is_agent",
    "object_stopped",
    "object_offsets",
    "polygon_layers",
    "polygon_on_route",
    "polygon_offsets",
    "ring_points",
    "ring_offsets",
    "centerline",
    "centerline_offsets",
    "red_on",
    "red_offsets",
    "red_points",
    "red_ring_offsets",
)
"""Fields of `PreparedScenes` that the kernel reads, in the order of `PairDriveBatch` in kernel.h."""


class Batch(ctypes.Structure):
    """`PairDriveBatch` of kernel.h."""

    _fields_ = [
        ("version", _INT),
        ("scenes", _INT),
        ("object_steps", _INT),
        ("width", _DOUBLE),
        ("front_length", _DOUBLE),
        ("rear_length", _DOUBLE),
        ("wheel_base", _DOUBLE),
        *((name, _POINTER) for name in BATCH_ARRAYS),
    ]


class Request(ctypes.Structure):
    """`PairDriveRequest` of kernel.h."""

    _fields_ = [
        ("candidates", _INT),
        ("kind", _INT),
        ("input", _POINTER),
        ("threads", _INT),
        ("max_coordinate", _DOUBLE),
        ("values", _POINTER),
        ("events", _POINTER),
        ("valid", _POINTER),
        ("states", _POINTER),
        ("single_states", _INT),
        ("areas", _POINTER),
    ]


PROPOSAL_ARRAYS = (
    "path_xy",
    "path_heading",
    "path_progress",
    "path_end",
    "start",
    "targets",
    "hit_offsets",
    "hit_rows",
    "hit_progress",
    "box_corners",
    "object_heading",
    "object_speed",
    "light_xy",
    "light_offsets",
)
"""Arrays of `PairDriveProposals` in kernel.h, in its order."""


class ProposalRequest(ctypes.Structure):
    """`PairDriveProposals` of kernel.h."""

    _fields_ = [
        *((name, _INT) for name in ("paths", "points", "speeds", "steps", "searches", "search_interval", "objects")),
        *((name, _DOUBLE) for name in ("step", "ego_speed", "min_gap", "headway")),
        *((name, _DOUBLE) for name in ("max_acceleration", "max_deceleration", "exponent")),
        *((name, _DOUBLE) for name in ("length", "width", "center")),
        *((name, _POINTER) for name in PROPOSAL_ARRAYS),
    ]


def candidates_of_path(folder: Path) -> tuple[Path, ...]:
    """Where a build may have put the library: beside the sources, under its own or the extension module's name."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX") or ".so"
    return folder / LIBRARY, folder / f"kernel{suffix}"


def open_library(path: Path, expected: str | None = None) -> ctypes.CDLL:
    """Load a library and declare its functions. One that was not built from these sources is not even loaded.

    Args:
        path: the library.
        expected: the stamp that it must bear; None takes that of the sources beside this file.

    Raises:
        OSError: if it cannot be loaded, or was built from other sources, with other flags, or is of somebody else.
    """
    wanted, found = expected or stamp(), stamp_of(path)
    if found != wanted:
        got = "none" if found is None else f"{found[:12]!r}"
        raise OSError(f"{path}: expected a kernel of these sources, stamp {wanted[:12]!r}, got {got}; build it anew")
    library = ctypes.CDLL(str(path))
    library.pair_drive_index.argtypes = (ctypes.POINTER(Batch), _INT, _POINTER)
    library.pair_drive_index.restype = _INT
    library.pair_drive_release.argtypes = (_POINTER, _INT)
    library.pair_drive_release.restype = None
    library.pair_drive_score.argtypes = (_POINTER, _INT, ctypes.POINTER(Request))
    library.pair_drive_score.restype = _INT
    library.pair_drive_propose.argtypes = (ctypes.POINTER(ProposalRequest), _POINTER)
    library.pair_drive_propose.restype = _INT
    return library


@functools.lru_cache(maxsize=1)
def load() -> ctypes.CDLL | None:
    """The compiled kernel, or None (with one warning in the log that says how to build it) where none loads."""
    return find(FOLDER)


def find(folder: Path) -> ctypes.CDLL | None:
    """The kernel in a folder: of several builds one that is of these sources; where all are of others, a new one.

    Args:
        folder: where builds put it.

    Returns:
        None where there is none and none can be built; a warning in the log says why.
    """
    present = [path for path in candidates_of_path(folder) if path.exists()]
    refused: list[str] = []
    for path in present:
        library, reason = _try_to_open(path)
        if library is not None:
            return library
        refused.append(reason)
    if present:
        library, reason = _build_anew(folder)
        if library is not None:
            _LOG.warning("built the native kernel anew: %s", "; ".join(refused))
            return library
        refused.append(reason)
    _LOG.warning(
        "scoring runs on the slower torch path: no native kernel in %s%s; build it with "
        "`python -m pair_drive_core.scoring.native.build`",
        folder,
        f" ({'; '.join(refused)})" if refused else "",
    )
    return None


def _try_to_open(path: Path) -> tuple[ctypes.CDLL | None, str]:
    """The library, or None and why not."""
    try:
        return open_library(path), ""
    except (OSError, AttributeError) as error:
        return None, str(error)


def _build_anew(folder: Path) -> tuple[ctypes.CDLL | None, str]:
    """A library of these sources in place of one of others, or None and why not."""
    # `python -m ...native.build` would warn if the package had imported that module before.
    from pair_drive_core.scoring.native.build import BuildError, compile_library

    try:
        return open_library(compile_library(folder)), ""
    except (BuildError, OSError) as error:
        return None, str(error)
