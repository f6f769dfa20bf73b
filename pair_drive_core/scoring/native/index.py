"""Prepared scenes as the kernel's index, and candidates scored with it."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pair_drive_core.scene import PLAN_STEPS, STATE_SIZE, SceneError
from pair_drive_core.scene.validation import require_dtype
from pair_drive_core.scoring.candidates import CandidateKind
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.scoring.native.library import BATCH_ARRAYS, Batch, Request, load
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.rollouts import MAX_COORDINATE_M
from pair_drive_core.scoring.sub_scores import SubScores
from pair_drive_core.simulation.sampling import SIMULATION_STEPS

VALUE_NAMES = ("NC", "DAC", "DDC", "TLC", "TTC", "LK", "HC", "progress")
"""Columns of `RawScores.values`; in V1 the column HC holds C, and TLC and LK are 1."""
EVENT_NAMES = (
    "collision_step",
    "off_road_step",
    "oncoming_step",
    "red_light_step",
    "ttc_step",
    "lane_step",
    "collision_object",
    "ttc_object",
    "red_light_row",
    "comfort_bits",
)
"""Columns of `RawScores.events`: steps and rows, -1 = none; bits of the six comfort bounds in the official order."""


@dataclass(frozen=True)
class RawScores:
    """What the kernel answers, before progress is normalised and the human filter applied.

    Attributes:
        values: (S, K, 8) float64, columns `VALUE_NAMES`; progress in m.
        events: (S, K, 10) int32, columns `EVENT_NAMES`.
        valid: (S, K) bool, False for rollouts that left the world and were judged as if the vehicle stood still.
        states: (S, K, 41, 11), local frames; None where not asked for.
        areas: (S, K, 41) uint8, bits 1 multiple lanes, 2 not drivable, 4 oncoming, 8 centre in an intersection; None
            where not asked for.
    """

    values: Tensor
    events: Tensor
    valid: Tensor
    states: Tensor | None = None
    areas: Tensor | None = None


class NativeIndex:
    """The kernel's index of S scenes: grids of the map, boxes of the objects, segments of the centre line.

    It costs about 0.2 MB a scene (0.6 MB for a large real map). Scoring needs about 20 kB a thread, whatever the number
    of candidates, plus 104 bytes a candidate for the results (and 3.6 kB a candidate if its states are asked for).
    """

    def __init__(self, library: ctypes.CDLL, prepared: PreparedScenes, threads: int = 1) -> None:
        """Build the index.

        Args:
            library: the loaded kernel.
            prepared: scenes on any device, in any dtype.
            threads: how many scenes are indexed at once.

        Raises:
            SceneError: if the packed arrays do not fit together, or hold NaN or infinity.
            MemoryError: if the index does not fit into memory.
        """
        arrays = {name: _kernel_array(getattr(prepared, name)) for name in BATCH_ARRAYS}
        _check_batch(prepared, arrays)
        vehicle = prepared.vehicle
        batch = Batch(
            2 if prepared.metric is Metric.V2 else 1,
            len(prepared),
            arrays["object_states"].shape[1],
            vehicle.width_m,
            vehicle.front_length_m,
            vehicle.rear_length_m,
            vehicle.wheel_base_m,
            *(arrays[name].ctypes.data for name in BATCH_ARRAYS),
        )
        self.baselines: SubScores | None = None  # of reference and human, kept by `native_baselines`
        self._library = library
        self._owners: tuple[NativeIndex, ...] = ()
        self._scenes = len(prepared)
        self._handles = (ctypes.c_void_p * self._scenes)()
        if library.pair_drive_index(ctypes.byref(batch), max(threads, 1), self._handles) != 0:
            raise MemoryError(f"no memory for the native index of {self._scenes} scenes")
        weakref.finalize(self, library.pair_drive_release, self._handles, self._scenes)

    @classmethod
    def joined(cls, rows: Sequence[tuple[NativeIndex, int]]) -> NativeIndex:
        """An index of scenes that are indexed already; nothing is built or copied.

        Args:
            rows: for each scene an index that holds it and its place there; at least one, repeats are allowed.
        """
        new = cls.__new__(cls)
        new.baselines = None
        new._library = rows[0][0]._library
        new._scenes = len(rows)
        new._handles = (ctypes.c_void_p * new._scenes)(*(index._handles[place] for index, place in rows))
        new._owners = tuple({id(index): index for index, _ in rows}.values())  # whoever built them releases them
        return new

    def __len__(self) -> int:
        """Number of scenes."""
        return self._scenes

    def score(
        self,
        candidates: Tensor,
        kind: CandidateKind = CandidateKind.PLANS,
        threads: int | None = None,
        states_dtype: torch.dtype | None = None,
        with_areas: bool = False,
    ) -> RawScores:
        """Score K candidates in each scene.

        Every candidate is scored alone; neither its neighbours nor the number of threads change its result.

        Args:
            candidates: (S, K, ...) as `kind` says, finite.
            kind: what the candidates are given as.
            threads: CPU threads; as many as torch uses by default.
            states_dtype: float32 or float64: return the driven states in this type.
            with_areas: return the map areas at every step.

        Raises:
            SceneError: if the shape does not fit.
        """
        if candidates.ndim != 4 or candidates.shape[0] != self._scenes or tuple(candidates.shape[2:]) != kind.shape:
            expected = f"({self._scenes}, K, {kind.shape[0]}, {kind.shape[1]})"
            raise SceneError(f"candidates: expected shape {expected} for {kind.name}, got {tuple(candidates.shape)}")
        source = candidates.detach().to(device="cpu", dtype=torch.float64).contiguous()
        count = source.shape[1]
        values = torch.empty(self._scenes, count, len(VALUE_NAMES), dtype=torch.float64)
        events = torch.empty(self._scenes, count, len(EVENT_NAMES), dtype=torch.int32)
        valid = torch.empty(self._scenes, count, dtype=torch.bool)
        states = areas = None
        if states_dtype is not None:
            require_dtype("states_dtype", torch.empty(0, dtype=states_dtype), torch.float32, torch.float64)
            states = torch.empty(self._scenes, count, SIMULATION_STEPS, STATE_SIZE, dtype=states_dtype)
        if with_areas:
            areas = torch.empty(self._scenes, count, SIMULATION_STEPS, dtype=torch.uint8)
        request = Request(
            count,
            int(kind),
            source.data_ptr(),
            torch.get_num_threads() if threads is None else max(threads, 1),
            MAX_COORDINATE_M,
            values.data_ptr(),
            events.data_ptr(),
            valid.data_ptr(),
            None if states is None else states.data_ptr(),
            states_dtype is torch.float32,
            None if areas is None else areas.data_ptr(),
        )
        if count and self._library.pair_drive_score(self._handles, self._scenes, ctypes.byref(request)) != 0:
            raise MemoryError("no memory for the native scorer's threads")
        return RawScores(values, events, valid, states, areas)


_indices: dict[int, NativeIndex] = {}


def index_scenes(prepared: PreparedScenes) -> NativeIndex | None:
    """The index of prepared scenes, built at the first call and kept as long as `prepared` lives.

    Returns:
        None where there is no compiled kernel.
    """
    library = load()
    if library is None:
        return None
    key = id(prepared)
    index = _indices.get(key)
    if index is None:
        index = _indices[key] = NativeIndex(library, prepared, torch.get_num_threads())
        weakref.finalize(prepared, _indices.pop, key, None)
    return index


def _kernel_array(tensor: Tensor) -> npt.NDArray[np.generic]:
    """A contiguous array of the type that the kernel reads: float64, int64 or bytes."""
    wanted = torch.float64 if tensor.is_floating_point() else tensor.dtype
    array: npt.NDArray[np.generic] = tensor.detach().to(device="cpu", dtype=wanted).contiguous().numpy()
    return array


def _check_batch(prepared: PreparedScenes, arrays: dict[str, npt.NDArray[np.generic]]) -> None:
    """Check that no index or offset points outside of its array, and that all numbers are finite.

    Raises:
        SceneError: naming the field at fault.
    """
    scenes = len(prepared)
    rows = {name: array.shape[0] for name, array in arrays.items()}
    _check_offsets("history_offsets", arrays, scenes, rows["history"])
    _check_offsets("object_offsets", arrays, scenes, rows["object_states"])
    _check_offsets("polygon_offsets", arrays, scenes, rows["polygon_layers"])
    _check_offsets("ring_offsets", arrays, rows["polygon_layers"], rows["ring_points"])
    _check_offsets("centerline_offsets", arrays, scenes, rows["centerline"])
    _check_offsets("red_offsets", arrays, scenes, rows["red_on"])
    _check_offsets("red_ring_offsets", arrays, rows["red_on"], rows["red_points"])
    steps, count = arrays["object_states"].shape[1], rows["object_states"]
    needed = SIMULATION_STEPS if prepared.metric is Metric.V2 else SIMULATION_STEPS + 9
    if steps < needed:
        raise SceneError(f"PreparedScenes.object_states: expected at least {needed} steps, got {steps}")
    shapes = {
        "origin": (scenes, 2),
        "ego": (scenes, STATE_SIZE),
        "sample_index": (scenes, SIMULATION_STEPS),
        "sample_weight": (scenes, SIMULATION_STEPS),
        "history": (rows["history"], STATE_SIZE),
        "has_history": (scenes,),
        "object_states": (count, steps, 5),
        "object_present": (count, steps),
        "object_size": (count, 2),
        "object_is_agent": (count,),
        "object_stopped": (count,),
        "polygon_on_route": (rows["polygon_layers"],),
        "ring_points": (rows["ring_points"], 2),
        "centerline": (rows["centerline"], 3),
        "red_on": (rows["red_on"], SIMULATION_STEPS),
        "red_points": (rows["red_points"], 2),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise SceneError(f"PreparedScenes.{name}: expected shape {shape}, got {arrays[name].shape}")
    index = arrays["sample_index"]
    if index.size and not (int(index.min()) >= 0 and int(index.max()) < PLAN_STEPS):
        raise SceneError(f"PreparedScenes.sample_index: expected values from 0 to {PLAN_STEPS - 1}, got {index.max()}")
    _check_finite(arrays)


def _check_finite(arrays: dict[str, npt.NDArray[np.generic]]) -> None:
    """Check that numbers which the kernel turns into cells, bounds and filters are numbers.

    Raises:
        SceneError: naming the field at fault.
    """
    present = arrays["object_present"].astype(np.bool_)
    for name, array in arrays.items():
        if array.dtype != np.float64:
            continue
        floats = array.astype(np.float64, copy=False)
        wrong = ~np.isfinite(floats if name != "object_states" else floats[present])
        if wrong.any():
            raise SceneError(f"PreparedScenes.{name}: expected finite numbers, got {int(wrong.sum())} that are not")


def _check_offsets(name: str, arrays: dict[str, npt.NDArray[np.generic]], count: int, rows: int) -> None:
    offsets = arrays[name].astype(np.int64)
    good = (
        offsets.shape == (count + 1,)
        and offsets[0] == 0
        and offsets[-1] == rows
        and bool((np.diff(offsets) >= 0).all())
    )
    if not good:
        raise SceneError(
            f"PreparedScenes.{name}: expected {count + 1} non-decreasing offsets from 0 to {rows}, got "
            f"{offsets[:4].tolist()}.. of shape {offsets.shape}"
        )
