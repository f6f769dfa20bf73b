"""`pair-drive score-vectors`: score vector files and compare with the official results where they hold them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, cast, get_args

import numpy as np
import numpy.typing as npt
import torch
import typer
from rich.console import Console
from rich.table import Table

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.datasets.vectors import OfficialResults, VectorFile, is_vector_file, read_vector_file
from pair_drive_core.scene import SceneError
from pair_drive_core.scoring import Metric, PdmScores, prepare_scenes, score
from pair_drive_core.scoring.backends import Backend

DTYPES = {"float64": torch.float64, "float32": torch.float32}
EP_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
SCENES_AT_ONCE = 16


def score_vectors(
    paths: Annotated[list[Path], typer.Argument(help="Vector files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Where to write <stem>/sub, <stem>/score and <stem>/sim_states.")],
    metric: Annotated[Metric, typer.Option(help="v1 is PDMS, v2 is EPDMS.")] = Metric.V2,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    backend: Annotated[str, typer.Option(help="auto, torch or native.")] = "auto",
) -> None:
    """Score the candidates of vector files from their inputs alone and print how well official results agree.

    In folders, archives that hold no scene are passed over. Files that cannot be read or scored do not stop the others;
    they are named at the end, and the exit code is 2.
    """
    how = _How(metric, _number_type(dtype), _device(device), _backend(backend))
    console = Console()
    files, bad = _read(_find(paths, console))
    results, table, failed = _score_all(files, how)
    bad += failed
    if not results:
        raise SceneError("no file could be scored: " + "; ".join(bad))
    _write(out, results)
    console.print(f"wrote {len(results) // 3} scenes to {out}")
    if table.compared:
        console.print(table.render(metric, dtype))
    else:
        console.print("no official results in the files")
    if bad:
        raise SceneError(f"{len(bad)} of {len(bad) + len(results) // 3} files could not be scored: " + "; ".join(bad))


@dataclass(frozen=True)
class _How:
    """How to score: metric, type of the numbers, device and who computes."""

    metric: Metric
    dtype: torch.dtype
    device: torch.device
    backend: Backend


def _backend(name: str) -> Backend:
    for known in get_args(Backend):
        if name == known:
            return cast(Backend, known)
    raise ValueError(f"--backend: expected {', '.join(get_args(Backend))}, got {name}")


def _number_type(dtype: str) -> torch.dtype:
    if dtype not in DTYPES:
        raise ValueError(f"--dtype: expected {' or '.join(DTYPES)}, got {dtype}")
    return DTYPES[dtype]


def _device(device: str) -> torch.device:
    kind = device.split(":")[0]
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"--device: expected cpu or cuda, got {device}")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: this machine has no usable CUDA device; available: cpu")
    return torch.device(device)


def _find(paths: Sequence[Path], console: Console) -> list[Path]:
    """Files to read, in order of name within folders.

    Raises:
        FileNotFoundError: if a path does not exist.
        SceneError: if a folder holds no vector file, or two files have the same stem.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path}: expected a vector file or a folder, there is none")
        if path.is_file():
            found.append(path)
            continue
        archives = sorted(path.glob("*.npz"))
        other = [archive for archive in archives if _is_other_archive(archive)]
        if other:
            console.print(f"passed over (no scene inside): {', '.join(archive.name for archive in other)}")
        inside = [archive for archive in archives if archive not in other]
        if not inside:
            raise SceneError(f"{path}: expected vector files (*.npz) in the folder, found none")
        found += inside
    stems: dict[str, Path] = {}
    for path in found:
        if path.stem in stems:
            raise SceneError(f"expected different file names, got {stems[path.stem]} and {path}")
        stems[path.stem] = path
    return found


def _is_other_archive(path: Path) -> bool:
    """Whether an archive is readable and holds something else; unreadable ones are reported when they are read."""
    try:
        return not is_vector_file(path)
    except SceneError:
        return False


def _read(paths: Sequence[Path]) -> tuple[list[VectorFile], list[str]]:
    files, bad = [], []
    for path in paths:
        file, problem = _try_read(path)
        if file is None:
            bad.append(problem)
        else:
            files.append(file)
    return files, bad


def _try_read(path: Path) -> tuple[VectorFile | None, str]:
    try:
        return read_vector_file(path), ""
    except SceneError as error:
        return None, str(error)


def _score_all(
    files: Sequence[VectorFile], how: _How
) -> tuple[dict[str, npt.NDArray[np.float64]], _Agreement, list[str]]:
    """Score files in groups of equal numbers of candidates; a group with a bad file is scored one by one."""
    results: dict[str, npt.NDArray[np.float64]] = {}
    table, bad = _Agreement.empty(how.metric, EP_TOLERANCE[how.dtype]), []
    for group in _groups(files):
        if _try_group(group, how, results, table):
            bad += [problem for file in group if (problem := _try_group([file], how, results, table))]
    return results, table, bad


def _try_group(
    group: Sequence[VectorFile],
    how: _How,
    results: dict[str, npt.NDArray[np.float64]],
    table: _Agreement,
) -> str:
    """Score some files; what is wrong with them, or nothing."""
    try:
        _score_group(group, how, results, table)
    except SceneError as error:
        return f"{group[0].stem}: {error}"
    return ""


def _groups(files: Sequence[VectorFile]) -> list[list[VectorFile]]:
    by_shape: dict[tuple[int, ...], list[VectorFile]] = {}
    for file in files:
        by_shape.setdefault(tuple(file.candidates.shape), []).append(file)
    return [
        group[first : first + SCENES_AT_ONCE]
        for group in by_shape.values()
        for first in range(0, len(group), SCENES_AT_ONCE)
    ]


def _score_group(
    group: Sequence[VectorFile],
    how: _How,
    results: dict[str, npt.NDArray[np.float64]],
    table: _Agreement,
) -> None:
    prepared = prepare_scenes([file.scene(how.metric) for file in group], how.metric, how.dtype, how.device)
    plans = torch.stack([file.candidates for file in group]).to(device=how.device, dtype=how.dtype)
    scores = score(prepared, plans, how.metric, backend=how.backend)
    table.backend = scores.backend
    states = scores.states.double()
    states[..., :2] += prepared.origin[:, None, None, :]
    for i, file in enumerate(group):
        ours = {
            "sub": scores.sub[i].double().cpu().numpy(),
            "score": scores.total[i].double().cpu().numpy(),
            "sim_states": states[i].cpu().numpy(),
        }
        results.update({f"{file.stem}/{key}": value for key, value in ours.items()})
        official = file.official(how.metric)
        if official is not None:
            table.add(official, ours["sub"], ours["score"], ours["sim_states"], _steps(scores, i))


def _steps(scores: PdmScores, scene: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Steps of the first at-fault collision and of the first time-to-collision violation, each (K,)."""
    names = scores.names
    nc, ttc = (scores.step[scene, :, names.index(name)].cpu().numpy() for name in ("NC", "TTC"))
    return nc, ttc


@dataclass
class _Agreement:
    """Counts of what differs from the official results.

    Attributes:
        names: rows of the table.
        tolerance: of each row.
        compared: candidates that there were official results for.
        counts: numbers compared, a row.
        different: numbers beyond the tolerance, a row.
        largest: largest difference, a row.
        backend: who computed.
    """

    names: list[str]
    tolerance: npt.NDArray[np.float64]
    compared: int
    counts: npt.NDArray[np.int64]
    different: npt.NDArray[np.int64]
    largest: npt.NDArray[np.float64]
    backend: str = ""

    @staticmethod
    def empty(metric: Metric, ep_tolerance: float) -> _Agreement:
        names = [*metric.sub_score_names, "NC step", "TTC step", "score", "states"]
        loose = {"EP", "score", "states"}
        tolerance = np.array([ep_tolerance if name in loose else 0.0 for name in names])
        zeros = np.zeros(len(names), dtype=np.int64)
        return _Agreement(names, tolerance, 0, zeros.copy(), zeros.copy(), np.zeros(len(names)))

    def add(
        self,
        official: OfficialResults,
        sub: npt.NDArray[np.float64],
        total: npt.NDArray[np.float64],
        states: npt.NDArray[np.float64],
        steps: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    ) -> None:
        """Compare one file."""
        differences = [*np.abs(sub - official.sub).T]
        differences += [np.abs(steps[0] - official.collision_index), np.abs(steps[1] - official.ttc_index)]
        differences.append(np.abs(total - official.total))
        if official.states is not None:
            apart = np.abs(states - official.states)
            # Headings of -pi and pi are the same.
            apart[..., 2] = np.minimum(apart[..., 2], np.abs(apart[..., 2] - 2.0 * np.pi))
            differences.append(apart.max(axis=(-1, -2)))
        self.compared += len(total)
        for row, difference in enumerate(differences):
            self.counts[row] += len(difference)
            self.different[row] += int((difference > self.tolerance[row]).sum())
            self.largest[row] = max(self.largest[row], float(difference.max(initial=0.0)))

    def render(self, metric: Metric, dtype: str) -> Table:
        """The agreement table."""
        table = Table(title=f"agreement with the official results, {metric.value}, {dtype}, {self.backend}")
        for column in ("", "candidates", "different", "tolerance", "largest difference"):
            table.add_column(column, justify="left" if not column else "right")
        for row, name in enumerate(self.names):
            tolerance = f"{self.tolerance[row]:.0e}" if self.tolerance[row] else "equal"
            table.add_row(name, str(self.counts[row]), str(self.different[row]), tolerance, f"{self.largest[row]:.1e}")
        return table


def _write(out: Path, results: dict[str, npt.NDArray[np.float64]]) -> None:
    """Write all results as one NumPy archive."""
    buffer = io.BytesIO()
    np.savez(buffer, **results)  # type: ignore[arg-type]
    write_bytes(out, buffer.getvalue())
