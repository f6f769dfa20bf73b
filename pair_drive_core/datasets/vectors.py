"""Test vectors of the official scorer: one file holds a scene, candidates and, mostly, the official results.

The format is described by its makers in a document called VECTORS.md ("nv-scene-1"): NumPy archives without pickled
objects. Inputs and official results are kept apart here; a scorer gets the inputs only.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pair_drive_core.scene import (
    EgoHistory,
    EgoState,
    MapPolygons,
    PackedRings,
    Route,
    Scene,
    SceneError,
    TrackedObjects,
    TrafficLights,
    Trajectory,
)
from pair_drive_core.scoring import Metric

Arrays = Mapping[str, npt.NDArray[np.generic]]

_INPUTS: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "t0_us": ("iu", ()),
    "hist_time_us": ("iu", ("H",)),
    "hist_pose": ("f", ("H", 3)),
    "hist_vel": ("f", ("H", 2)),
    "hist_acc": ("f", ("H", 2)),
    "ego_steering_angle": ("f", ()),
    "ego_steering_rate": ("f", ()),
    "ego_yaw_rate": ("f", ()),
    "ego_yaw_acc": ("f", ()),
    "map_token": ("U", ("M",)),
    "map_layer": ("iu", ("M",)),
    "map_xy": ("f", ("V", 2)),
    "map_off": ("iu", ("M+1",)),
    "map_on_route": ("b", ("M",)),
    "route_lane_ids": ("U", ("lanes",)),
    "centerline": ("f", ("C", 3)),
    "obj_token": ("U", ("N",)),
    "obj_type": ("iu", ("N",)),
    "obj_size": ("f", ("N", 3)),
    "key_token": ("U", ("n",)),
    "key_state": ("f", ("F", "n", 5)),
    "red_token": ("U", ("R",)),
    "red_on": ("b", ("T", "R")),
    "red_xy": ("f", ("P", 2)),
    "red_off": ("iu", ("R+1",)),
    "human_local": ("f", (8, 3)),
    "cands": ("f", ("K", "L", 3)),
}
"""Inputs of a file with the kinds of dtype and the shape that are expected; equal names mean equal sizes."""
_REFERENCE = {Metric.V1: "v11_pdm_ref", Metric.V2: "v2_pdm_ref"}
_RESULTS = {
    Metric.V1: ("v11_sub", "v11_score", "v11_coll_idx", "v11_ttc_idx"),
    Metric.V2: ("v2_sub", "v2_score_ec_nan", "v2_coll_idx", "v2_ttc_idx"),
}


@dataclass(frozen=True)
class OfficialResults:
    """What the official scorer answered; for comparison only.

    Attributes:
        sub: (K, n), columns of `Metric.sub_score_names`; in V2 after the human filter.
        total: (K,), in V2 without extended comfort.
        states: (K, 41, 11), simulated states, global frame; None where the file has none.
        collision_index: (K,), step of the first at-fault collision, -1 where there is none.
        ttc_index: (K,), first step of a time-to-collision violation, -1 where there is none.
    """

    sub: npt.NDArray[np.float64]
    total: npt.NDArray[np.float64]
    states: npt.NDArray[np.float64] | None
    collision_index: npt.NDArray[np.int64]
    ttc_index: npt.NDArray[np.int64]


@dataclass(frozen=True)
class VectorFile:
    """One file of test vectors.

    Attributes:
        stem: the file's name without its ending.
        arrays: all arrays of the file by key.
    """

    stem: str
    arrays: Arrays = field(repr=False)

    @property
    def candidates(self) -> torch.Tensor:
        """(K, 8, 3) float64, plans in the ego frame at t0; m, rad."""
        return _tensor(self.arrays["cands"])

    def official(self, metric: Metric) -> OfficialResults | None:
        """The official results for a metric; None where the file holds none."""
        if any(key not in self.arrays for key in _RESULTS[metric]):
            return None
        sub, total, collision, ttc = (self.arrays[key] for key in _RESULTS[metric])
        states = self.arrays.get("sim_states")
        return OfficialResults(
            sub.astype(np.float64),
            total.astype(np.float64),
            None if states is None else states.astype(np.float64),
            collision.astype(np.int64),
            ttc.astype(np.int64),
        )

    def scene(self, metric: Metric) -> Scene:
        """The scene as inputs of a metric; only the PDM-Closed reference depends on it.

        Raises:
            SceneError: if the arrays do not fit together.
        """
        data = self.arrays
        pose, velocity, acceleration = (_tensor(data[key]) for key in ("hist_pose", "hist_vel", "hist_acc"))
        scalars = [_tensor(data[f"ego_{key}"]) for key in ("steering_angle", "steering_rate", "yaw_rate", "yaw_acc")]
        reference = data.get(_REFERENCE[metric])
        return Scene(
            token=self.stem,
            time_us=int(data["t0_us"]),
            ego=EgoState(pose[-1], velocity[-1], acceleration[-1], *scalars),
            history=EgoHistory(torch.from_numpy(data["hist_time_us"].astype(np.int64)), pose, velocity, acceleration),
            objects=_objects(data),
            map=MapPolygons(
                tuple(map(str, data["map_token"])),
                torch.from_numpy(data["map_layer"].astype(np.int64)),
                _rings(data, "map_xy", "map_off"),
                torch.from_numpy(data["map_on_route"].astype(bool)),
            ),
            route=Route(tuple(map(str, data["route_lane_ids"])), _tensor(data["centerline"])),
            lights=TrafficLights(
                tuple(map(str, data["red_token"])),
                torch.from_numpy(data["red_on"].astype(bool)),
                _rings(data, "red_xy", "red_off"),
            ),
            human=Trajectory(_tensor(data["human_local"])),
            reference=None if reference is None else _tensor(reference),
        ).validate()


def read_vector_file(path: Path) -> VectorFile:
    """Read one file.

    Raises:
        FileNotFoundError: if there is no such file.
        SceneError: if it is not a NumPy archive, holds pickled objects or lacks an input.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a vector file, there is none")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (ValueError, zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise SceneError(f"{path}: expected a NumPy archive without pickled objects: {error}") from error
    missing = [key for key in _INPUTS if key not in arrays]
    if missing:
        raise SceneError(f"{path}: expected a vector file of format nv-scene-1, missing {', '.join(missing)}")
    _check_inputs(path, arrays)
    return VectorFile(path.stem, arrays)


def is_vector_file(path: Path) -> bool:
    """Whether a file of the right kind holds scene and candidates; archives of other contents do not.

    Raises:
        SceneError: if it is not a NumPy archive.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return "cands" in archive.files and "key_state" in archive.files
    except (ValueError, zipfile.BadZipFile, EOFError, AttributeError) as error:
        raise SceneError(f"{path}: expected a NumPy archive without pickled objects: {error}") from error


def _check_inputs(path: Path, arrays: Arrays) -> None:
    """Check dtypes and shapes of all inputs against each other."""
    sizes: dict[str, tuple[str, int]] = {}
    for key, (kinds, shape) in _INPUTS.items():
        array = arrays[key]
        wanted = [sizes[axis][1] if isinstance(axis, str) and axis in sizes else axis for axis in shape]
        fits = array.ndim == len(wanted) and all(
            isinstance(w, str) or w == size for w, size in zip(wanted, array.shape, strict=False)
        )
        if not fits or (array.dtype.kind not in kinds and array.size > 0):
            raise SceneError(
                f"{path}: {key}: expected dtype kind {' or '.join(kinds)} and shape {tuple(wanted)}, "
                f"got {array.dtype} {array.shape}"
            )
        for axis, size in zip(shape, array.shape, strict=True):
            if isinstance(axis, str):
                sizes.setdefault(axis, (key, size))


def _objects(data: Arrays) -> TrackedObjects:
    """Key frames of all tracks; a track's class and size are those of its first row in the file."""
    row: dict[str, int] = {}
    for i, token in enumerate(map(str, data["obj_token"])):
        row.setdefault(token, i)
    tokens = tuple(map(str, data["key_token"]))
    unknown = [token for token in tokens if token not in row]
    if unknown:
        raise SceneError(f"key_token: expected tracks listed in obj_token, got {unknown[:3]}")
    states = data["key_state"].astype(np.float64)
    if states.ndim != 3 or states.shape[1:] != (len(tokens), 5):
        raise SceneError(f"key_state: expected shape (F, {len(tokens)}, 5), got {states.shape}")
    present = ~np.isnan(states).any(axis=-1)
    states[~present] = 0.0
    index = np.array([row[token] for token in tokens], dtype=np.int64)
    return TrackedObjects(
        tokens,
        torch.from_numpy(data["obj_type"].astype(np.int64)[index]),
        torch.from_numpy(data["obj_size"].astype(np.float64)[index]),
        torch.from_numpy(states),
        torch.from_numpy(present),
        interval_s=0.5,
    )


def _rings(data: Arrays, points: str, offsets: str) -> PackedRings:
    return PackedRings(_tensor(data[points]), torch.from_numpy(data[offsets].astype(np.int64)))


def _tensor(array: npt.NDArray[np.generic]) -> torch.Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float64))
