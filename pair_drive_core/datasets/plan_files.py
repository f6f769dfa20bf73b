"""Plans that another program made, by scene: NPZ, NPY, safetensors and Parquet files."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.scene import PLAN_INTERVAL_S, PLAN_STEPS

HORIZON_S = PLAN_STEPS * PLAN_INTERVAL_S
"""What the metric drives; a plan that ends earlier cannot be scored."""
INTERVAL_KEY = "interval_s"
"""Array (NPZ), metadata (safetensors) or column (Parquet) that holds the time between two poses."""
_POSES_KEY = "poses"
_MOST_POSES = 1000
_MOST_ARRAY_BYTES = 2**26
"""Largest array in an NPZ archive; a plan takes 200 bytes."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TimedPlans:
    """K plans for one scene.

    Attributes:
        poses: (K, P, 3), ego frame at t0; m, rad; the first pose is `interval_s` after t0.
        interval_s: time between two poses.
    """

    poses: FloatArray
    interval_s: float

    def problem(self) -> str | None:
        """What keeps the metric from driving them; None where nothing does. Numbers are not looked at."""
        poses, interval_s = self.poses, self.interval_s
        if poses.ndim != 3 or poses.shape[0] < 1 or poses.shape[2] != 3 or not 1 <= poses.shape[1] <= _MOST_POSES:
            shape = poses.shape[1:] if poses.ndim == 3 and poses.shape[0] == 1 else poses.shape
            return f"expected poses of shape (P, 3) or (K, P, 3) with x, y, heading, got {shape}"
        horizon_s = poses.shape[1] * interval_s
        if not 0 < interval_s < math.inf or abs(horizon_s - HORIZON_S) > interval_s / 2 + 1e-9:
            return (
                f"expected {HORIZON_S:g} s of poses, got {poses.shape[1]} poses every {interval_s:g} s "
                f"({horizon_s:g} s); is the frame rate right?"
            )
        return None


Plans = Mapping[str, TimedPlans]


def read_plan_files(path: Path, interval_s: float | None = None) -> dict[str, TimedPlans]:
    """Plans of a file, or of all such files in a folder.

    An archive maps scene tokens to arrays (P, 3) or (K, P, 3). A file `<token>.npy`, or `<token>.npz` with the array
    `poses`, holds the plans of one scene. A Parquet table has the columns `token` and `poses` (3 P numbers, pose by
    pose); several rows of one token are an error.

    Args:
        path: file or folder.
        interval_s: time between poses; None takes what the file says, or else 0.5 s.

    Raises:
        FileNotFoundError: if there is nothing.
        DatasetError: naming file and token: torn files, wrong shapes, a token that occurs twice.
    """
    files = sorted(entry for entry in path.iterdir() if entry.suffix in _READERS) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise FileNotFoundError(f"{path}: no plans there; expected files {', '.join(_READERS)}")
    plans: dict[str, TimedPlans] = {}
    home: dict[str, Path] = {}
    for file in files:
        if file.suffix not in _READERS:
            raise DatasetError(file, f"expected a file of plans ({', '.join(_READERS)}), got {file.suffix or 'none'}")
        for token, array, told in _READERS[file.suffix](file):
            if token in plans:
                raise DatasetError(file, f"two plans for scene {token}; the other is in {home[token].name}")
            known = next((value for value in (interval_s, told) if value is not None), PLAN_INTERVAL_S)
            plans[token] = _plans(file, token, array, known)
            home[token] = file
    if not plans:
        raise DatasetError(path, "expected plans, got none")
    return plans


def _plans(path: Path, token: str, array: npt.NDArray[Any], interval_s: float) -> TimedPlans:
    if array.dtype.kind not in "fiu":
        raise DatasetError(path, f"plan of scene {token}: expected numbers, got {array.dtype}")
    poses = array.astype(np.float64)
    plans = TimedPlans(poses[None] if poses.ndim == 2 else poses, interval_s)
    problem = plans.problem()
    if problem is not None:
        raise DatasetError(path, f"plan of scene {token}: {problem}")
    return plans


_Row = tuple[str, npt.NDArray[Any], float | None]


def _from_npy(path: Path) -> Iterator[_Row]:
    try:
        yield path.stem, np.load(path, allow_pickle=False), None
    except (ValueError, EOFError) as error:
        raise DatasetError(path, f"expected an array of numbers ({error})") from error


def _from_npz(path: Path) -> Iterator[_Row]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            _require_small(path, archive.zip.infolist())
            told = float(archive[INTERVAL_KEY]) if INTERVAL_KEY in archive.files else None
            for name in archive.files:
                if name != INTERVAL_KEY:
                    array = archive[name]
                    if not isinstance(array, np.ndarray):
                        raise DatasetError(path, f"{name}: expected an array of numbers, got other content")
                    yield (path.stem if name == _POSES_KEY else name), array, told
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(path, f"expected an archive of arrays of numbers ({error})") from error


def _require_small(path: Path, entries: Sequence[zipfile.ZipInfo]) -> None:
    """A small archive may claim to hold gigabytes.

    Raises:
        DatasetError: naming the array.
    """
    for entry in entries:
        if entry.file_size > _MOST_ARRAY_BYTES:
            raise DatasetError(
                path, f"{entry.filename}: expected at most {_MOST_ARRAY_BYTES} bytes in an array, got {entry.file_size}"
            )


def _from_safetensors(path: Path) -> Iterator[_Row]:
    content = path.read_bytes()
    try:
        arrays = safetensors.numpy.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        text = header.get("__metadata__", {}).get(INTERVAL_KEY)
        told = None if text is None else float(text)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise DatasetError(path, f"expected a safetensors file ({error})") from error
    for name, array in arrays.items():
        yield name, array, told


def _from_parquet(path: Path) -> Iterator[_Row]:
    if importlib.util.find_spec("pyarrow") is None:
        raise ValueError(f"{path}: Parquet needs the extra: pip install 'pair-drive-core[parquet]'")
    arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    try:
        table = parquet.read_table(path).to_pydict()
    except (arrow.ArrowException, OSError) as error:
        raise DatasetError(path, f"expected a Parquet table ({error})") from error
    missing = [name for name in ("token", _POSES_KEY) if name not in table]
    if missing:
        raise DatasetError(path, f"expected the columns token and poses, missing {missing}; it has {sorted(table)}")
    for row, token in enumerate(table["token"]):
        try:
            numbers = np.array(table[_POSES_KEY][row], dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise DatasetError(path, f"plan of scene {token}: expected numbers ({error})") from error
        poses = numbers.reshape(-1, 3) if numbers.ndim == 1 and numbers.size % 3 == 0 else numbers
        told = table[INTERVAL_KEY][row] if INTERVAL_KEY in table else None
        if told is not None and not isinstance(told, (int, float)):
            raise DatasetError(path, f"plan of scene {token}: expected seconds as {INTERVAL_KEY}, got {told!r}")
        yield str(token), poses, None if told is None else float(told)


_READERS: Mapping[str, Callable[[Path], Iterator[_Row]]] = {
    ".npz": _from_npz,
    ".npy": _from_npy,
    ".safetensors": _from_safetensors,
    ".parquet": _from_parquet,
}
