"""Object tracks of official metric caches, turned back from 10 Hz into key frames."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from pair_drive_core.datasets.navsim.log_file import plain_text
from pair_drive_core.datasets.navsim.pickled_records import PickledRecord
from pair_drive_core.scene import OBJECT_STATE_SIZE, ObjectType, TrackedObjects

_STRIDE = 5
"""Steps of 0.1 s between two key frames."""
_INTERVAL_S = 0.5
_BOX = struct.Struct("<BIII10d")
"""Well-known binary of a polygon of one closed ring of five points, little-endian, as shapely writes boxes."""
_BOX_HEADER = (1, 3, 1, 5)
_State = Sequence[float]


def tracks_of_main(observation: PickledRecord, current: PickledRecord) -> TrackedObjects:
    """Tracks of navsim main, which stores the interpolated objects themselves.

    Args:
        observation: of the metric cache.
        current: the objects that were seen at t0. An object that was seen once only, and later, stands at all steps;
            here it is present in the last key frame alone, so that traffic which starts from what is seen at t0 does
            not know it, as officially.
    """
    kinds: dict[str, ObjectType] = {}
    sizes: dict[str, _State] = {}
    frames: list[dict[str, _State]] = []
    steps = observation["detections_tracks"]
    for tracks in steps[::_STRIDE]:
        at_once: dict[str, _State] = {}
        for entry in tracks["tracked_objects"]["tracked_objects"]:
            token = _token(entry)
            if token not in kinds:
                kinds[token], sizes[token] = _kind(entry), _size(entry)
            at_once[token] = _state(entry, kinds[token])
        frames.append(at_once)
    seen_now = {_token(entry) for entry in current["tracked_objects"]["tracked_objects"]}
    for token in kinds:
        if token not in seen_now and token in frames[0]:
            for at_once in frames[:-1]:
                at_once.pop(token, None)
    return _tracks(kinds, sizes, frames)


def tracks_of_v11(observation: PickledRecord) -> TrackedObjects:
    """Tracks of branch v1.1, which stores shapes, and of each object the box and velocity that it was first seen with.

    The velocity, of which PDMS asks only whether an object stood when it was first seen, is the same in all rows.
    """
    unique: Mapping[str, PickledRecord] = observation["unique_objects"]
    kinds = {plain_text(token): _kind(entry) for token, entry in unique.items()}
    sizes = {plain_text(token): _size(entry) for token, entry in unique.items()}
    first = {plain_text(token): _state(entry, _kind(entry)) for token, entry in unique.items()}
    frames: list[dict[str, _State]] = []
    order: dict[str, ObjectType] = {}
    for occupancy in observation["occupancy_maps"][::_STRIDE]:
        names, shapes = occupancy.args[:2]
        at_once: dict[str, _State] = {}
        for name, shape in zip(names, shapes, strict=True):
            token = plain_text(name)
            order.setdefault(token, kinds[token])
            at_once[token] = [*_box(shape), *first[token][3:]]
        frames.append(at_once)
    return _tracks(order, sizes, frames)


def _token(entry: PickledRecord) -> str:
    return plain_text(entry["metadata"]["track_token"])


def _kind(entry: PickledRecord) -> ObjectType:
    """NuPlan numbers the classes as NAVSIM does."""
    return ObjectType(int(entry["tracked_object_type"].args[0]))


def _size(entry: PickledRecord) -> _State:
    box = entry["box"]
    return [float(box["length"]), float(box["width"]), float(box["height"])]


def _state(entry: PickledRecord, kind: ObjectType) -> _State:
    center = entry["box"]["center"]
    moves = [0.0, 0.0]
    if kind.is_agent:
        velocity = entry["velocity"]
        moves = [float(velocity["x"]), float(velocity["y"])]
    return [float(center["x"]), float(center["y"]), float(center["heading"]), *moves]


def _box(shape: bytes) -> _State:
    """Centre and heading of a box from its corners: front left, rear left, rear right, front right."""
    if not isinstance(shape, bytes) or len(shape) != _BOX.size:
        raise ValueError("expected the shape of a box: one closed ring of four corners")
    numbers = _BOX.unpack(shape)
    if numbers[:4] != _BOX_HEADER:
        raise ValueError("expected the shape of a box: one closed ring of four corners")
    corners = np.array(numbers[4:12]).reshape(4, 2)
    center = corners.mean(0)
    forward = corners[0] - corners[1] + corners[3] - corners[2]
    return [float(center[0]), float(center[1]), float(np.arctan2(forward[1], forward[0]))]


def _tracks(
    kinds: Mapping[str, ObjectType], sizes: Mapping[str, _State], frames: Sequence[Mapping[str, _State]]
) -> TrackedObjects:
    place = {token: i for i, token in enumerate(kinds)}
    states = np.zeros((len(frames), len(place), OBJECT_STATE_SIZE))
    present = np.zeros((len(frames), len(place)), dtype=bool)
    for step, at_once in enumerate(frames):
        for token, state in at_once.items():
            states[step, place[token]] = state
            present[step, place[token]] = True
    return TrackedObjects(
        tuple(kinds),
        torch.tensor([int(kind) for kind in kinds.values()], dtype=torch.int64),
        torch.tensor([list(sizes[token]) for token in kinds], dtype=torch.float64).reshape(-1, 3),
        torch.from_numpy(states),
        torch.from_numpy(present),
        _INTERVAL_S,
    )
