"""Submission files of the NAVSIM leaderboard: a pickle of the devkit's trajectories, read and written.

Read through the restricted reader, with inert records in place of the devkit's classes; written opcode by opcode. So
neither the devkit nor any code of a file is needed or run.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.navsim.pickled_records import PickledRecord
from pair_drive_core.datasets.navsim.restricted_unpickler import load_restricted
from pair_drive_core.datasets.navsim.stand_ins import Budget, Maker
from pair_drive_core.datasets.plan_files import Plans, TimedPlans

TRAJECTORY = ("navsim.common.dataclasses", "Trajectory")
SAMPLING = ("nuplan.planning.simulation.trajectory.trajectory_sampling", "TrajectorySampling")
AUTHOR_KEYS = ("team_name", "authors", "email", "institution", "country / region")
"""Who submits; texts or lists of texts."""
_ONE_STAGE, _FIRST, _SECOND = "predictions", "first_stage_predictions", "second_stage_predictions"
_RECORD_BYTES = 160


def _record(name: str, args: tuple[object, ...], budget: Budget) -> PickledRecord:
    budget.charge(_RECORD_BYTES)
    return PickledRecord(name, args)


_STAND_INS: Mapping[tuple[str, str], Maker] = {name: partial(_record, name[1]) for name in (TRAJECTORY, SAMPLING)}


@dataclass(frozen=True)
class Submission:
    """What somebody hands in.

    Attributes:
        first: plans by scene; in one-stage submissions all of them.
        second: plans by second-stage scene; None in one-stage submissions.
        about: who submits, by `AUTHOR_KEYS`.
    """

    first: Plans
    second: Plans | None = None
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def plans(self) -> dict[str, TimedPlans]:
        """All plans of both stages."""
        return {**self.first, **(self.second or {})}


def read_submission(path: Path) -> Submission:
    """Read the pickle that the devkit's `run_create_submission_pickle` writes, of either version.

    Raises:
        FileNotFoundError: naming the file.
        UntrustedPickleError: if it names a class that submissions do not have.
        DatasetError: naming file and scene, if it is torn or breaks the format.
    """
    content = load_restricted(path, _STAND_INS)
    if not isinstance(content, dict):
        raise DatasetError(path, f"expected the dictionary of a submission, got {type(content).__name__}")
    about = {key: str(content[key])[:200] for key in AUTHOR_KEYS if isinstance(content.get(key), (str, list))}
    if _ONE_STAGE in content:
        return Submission(_stage(path, content, _ONE_STAGE), None, about)
    if _FIRST not in content:
        raise DatasetError(path, f"expected the key {_ONE_STAGE} or {_FIRST}, got {sorted(map(str, content))}")
    first, second = _stage(path, content, _FIRST), _stage(path, content, _SECOND)
    both = sorted(set(first) & set(second))
    if both:
        raise DatasetError(path, f"two plans for scene {both[0]}, one a stage ({len(both)} such scenes)")
    return Submission(first, second, about)


def _stage(path: Path, content: Mapping[str, object], key: str) -> dict[str, TimedPlans]:
    runs = content.get(key)
    if not isinstance(runs, list) or len(runs) != 1 or not isinstance(runs[0], dict):
        got = f"{len(runs)} of them" if isinstance(runs, list) else type(runs).__name__
        raise DatasetError(path, f"{key}: expected a list of one dictionary (scene to trajectory), got {got}")
    return {str(token): _plan(path, str(token), value) for token, value in runs[0].items()}


def _plan(path: Path, token: str, value: object) -> TimedPlans:
    try:
        if not isinstance(value, PickledRecord) or value.name != TRAJECTORY[1]:
            raise TypeError(f"expected a Trajectory, got {type(value).__name__}")
        poses = np.asarray(value["poses"], dtype=np.float64)
        # A trajectory of the usual sampling may leave it to the class's default.
        sampling = value.fields.get("trajectory_sampling")
        interval_s = 0.5 if sampling is None else float(sampling["interval_length"])
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(path, f"plan of scene {token}: {error}") from error
    plans = TimedPlans(poses[None], interval_s)
    problem = plans.problem()
    if problem is not None:
        raise DatasetError(path, f"plan of scene {token}: {problem}")
    return plans


def write_submission(submission: Submission, path: Path) -> None:
    """Write the leaderboard's pickle, with one plan a scene.

    Raises:
        DatasetError: if a scene has several plans or one of a sampling that cannot be driven.
    """
    write_bytes(path, dump_submission(submission, path))


def dump_submission(submission: Submission, path: Path | str = "submission") -> bytes:
    """The bytes of a submission's file; see `write_submission`."""
    out = _Opcodes()
    out.open_dict()
    for key in AUTHOR_KEYS:
        out.text(key)
        out.text(submission.about.get(key, ""))
    stages = {_ONE_STAGE: submission.first}
    if submission.second is not None:
        stages = {_FIRST: submission.first, _SECOND: submission.second}
    for key, plans in stages.items():
        out.text(key)
        out.open_list()
        out.open_dict()
        for token, plan in plans.items():
            problem = plan.problem() or (None if plan.poses.shape[0] == 1 else f"{plan.poses.shape[0]} plans, not one")
            if problem is not None:
                raise DatasetError(path, f"plan of scene {token}: {problem}")
            out.text(token)
            _dump_trajectory(out, plan)
        out.close_dict()
        out.close_list()
    out.close_dict()
    return out.finished()


def _dump_trajectory(out: _Opcodes, plan: TimedPlans) -> None:
    poses = plan.poses[0].astype("<f4")
    out.new(TRAJECTORY)
    out.open_dict()
    out.text("poses")
    out.array(poses)
    out.text("trajectory_sampling")
    out.new(SAMPLING)
    out.open_dict()
    out.text("num_poses")
    out.integer(poses.shape[0])
    out.text("time_horizon")
    out.number(poses.shape[0] * plan.interval_s)
    out.text("interval_length")
    out.number(plan.interval_s)
    out.close_dict()
    out.build()
    out.close_dict()
    out.build()


class _Opcodes:
    """Writes protocol 4, which every Python since 3.4 reads: texts, numbers, containers, objects without arguments."""

    def __init__(self) -> None:
        self._parts: list[bytes] = [b"\x80\x04"]

    def text(self, value: str) -> None:
        content = value.encode("utf-8", "surrogatepass")
        self._parts.append(b"X" + struct.pack("<I", len(content)) + content)

    def integer(self, value: int) -> None:
        self._parts.append(b"J" + struct.pack("<i", value))

    def number(self, value: float) -> None:
        self._parts.append(b"G" + struct.pack(">d", value))

    def open_dict(self) -> None:
        self._parts.append(b"}(")

    def close_dict(self) -> None:
        self._parts.append(b"u")

    def open_list(self) -> None:
        self._parts.append(b"](")

    def close_list(self) -> None:
        self._parts.append(b"e")

    def name(self, module_and_name: tuple[str, str]) -> None:
        for part in module_and_name:
            self.text(part)
        self._parts.append(b"\x93")

    def new(self, kind: tuple[str, str]) -> None:
        """An object without arguments; its attributes follow as a dictionary, then `build`."""
        self.name(kind)
        self._parts.append(b")\x81")

    def build(self) -> None:
        self._parts.append(b"b")

    def array(self, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
        """An array through numpy's public names, as every numpy reads it."""
        self.name(("numpy", "ndarray"))
        self._parts.append(b"(K\x00\x85")  # mark, (0,)
        self.text("b")
        self._parts.append(b"tR(K\x01")  # ndarray((0,), "b"); its state: version,
        for size in values.shape:
            self.integer(size)
        self._parts.append({1: b"\x85", 2: b"\x86", 3: b"\x87"}[values.ndim])
        self.name(("numpy", "dtype"))
        self.text("f4")
        self._parts.append(b"\x89\x88\x87R(K\x03")  # dtype("f4", False, True); its state:
        self.text("<")
        self._parts.append(b"NNN" + 2 * (b"J" + struct.pack("<i", -1)) + b"K\x00tb")
        content = values.astype("<f4").tobytes()
        self._parts.append(b"\x89B" + struct.pack("<I", len(content)) + content + b"tb")

    def finished(self) -> bytes:
        """All of it."""
        return b"".join((*self._parts, b"."))
