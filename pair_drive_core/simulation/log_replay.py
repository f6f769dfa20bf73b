"""Recorded objects replayed at 10 Hz: linear interpolation between 2 Hz key frames.

The rules are those of the official metric cache (`_interpolate_gt_observation`, `StateInterpolator`): an object exists
between its first and last observation, gaps in between are bridged, and an object that was observed only once stands
still at **all** steps.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from pair_drive_core.geometry import normalise_angle
from pair_drive_core.scene import SceneError, TrackedObjects

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

STEPS_PER_KEY_FRAME = 5
"""10 Hz steps between two key frames."""
KEY_FRAME_INTERVAL_S = 0.5
_TWO_PI = 2.0 * np.pi


def replay_objects(objects: TrackedObjects, key_frames: int) -> TrackedObjects:
    """Interpolate key frames to 10 Hz as the official log replay does.

    Objects are sorted by the key frame in which they appear first, which is the official row order; objects that appear
    in none of the `key_frames` are left out. Static objects get zero velocity, as the official ones have none.

    Args:
        objects: key frames at 2 Hz from t0 on; must hold at least `key_frames` rows.
        key_frames: how many key frames the metric looks at (9 in v2, 11 in v1.1).

    Returns:
        Tracks at 0.1 s with `5 * (key_frames - 1) + 1` rows.

    Raises:
        SceneError: if there are too few key frames or they are not 0.5 s apart.
    """
    rows = objects.states.shape[0]
    if rows < key_frames:
        raise SceneError(f"TrackedObjects.states: expected at least {key_frames} key frames, got {rows}")
    if abs(objects.interval_s - KEY_FRAME_INTERVAL_S) > 1e-9:
        raise SceneError(f"TrackedObjects.interval_s: expected key frames every 0.5 s, got {objects.interval_s} s")
    present = objects.present[:key_frames].numpy()
    keep = np.flatnonzero(present.any(0))
    keep = keep[np.argsort(present[:, keep].argmax(0), kind="stable")]
    states = objects.states[:key_frames].to(torch.float64).numpy()[:, keep].copy()
    is_agent = objects.is_agent.numpy()[keep]
    states[:, ~is_agent, 3:] = 0.0
    track, exists = interpolate_key_frames(states, present[:, keep])
    index = torch.from_numpy(keep)
    return replace(
        objects,
        tokens=tuple(objects.tokens[i] for i in keep),
        types=objects.types[index],
        sizes=objects.sizes[index],
        states=torch.from_numpy(track),
        present=torch.from_numpy(exists),
        interval_s=0.1,
    )


def interpolate_key_frames(states: FloatArray, present: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Interpolate key frames of many objects at once.

    Args:
        states: (F, N, 5), x, y, heading, vx, vy; ignored where not present.
        present: (F, N); every object must be present at least once.

    Returns:
        States (T, N, 5) with T = 5 (F - 1) + 1, zero where absent, heading in [-pi, pi]; and (T, N) presence.
    """
    frames, count = present.shape
    before, after = _neighbours(present)
    states = _unwrap_headings(states, present)
    step = np.arange(STEPS_PER_KEY_FRAME * (frames - 1) + 1)
    low = before[step // STEPS_PER_KEY_FRAME]
    high = after[-(-step // STEPS_PER_KEY_FRAME)]
    exists = (low >= 0) & (high < frames)
    once = present.sum(0) == 1
    only = present.argmax(0)
    low = np.where(once, only, np.where(exists, low, 0))
    high = np.where(once, only, np.where(exists, high, 0))
    column = np.arange(count)
    start, end = states[low, column], states[high, column]
    span = np.maximum(high - low, 1) * KEY_FRAME_INTERVAL_S
    offset = step[:, None] * 0.1 - low * KEY_FRAME_INTERVAL_S
    offset = np.where(high > low, offset, 0.0)
    track = (end - start) / span[..., None] * offset[..., None] + start
    # The official interpolator normalises the heading, but hands out an object seen once exactly as it was seen.
    track[..., 2] = np.where(once, track[..., 2], normalise_angle(track[..., 2]))
    exists = exists | once
    return np.where(exists[..., None], track, 0.0), exists


def _neighbours(present: BoolArray) -> tuple[IntArray, IntArray]:
    """For each key frame the last observation at or before it (-1: none) and the first at or after it (F: none)."""
    frames = present.shape[0]
    index = np.arange(frames)[:, None]
    before = np.maximum.accumulate(np.where(present, index, -1), axis=0)
    after = np.minimum.accumulate(np.where(present, index, frames)[::-1], axis=0)[::-1]
    return before, after


def _unwrap_headings(states: FloatArray, present: BoolArray) -> FloatArray:
    """Remove jumps of more than pi between consecutive observations (the rule of `numpy.unwrap`)."""
    out = states.copy()
    out[..., 2] = np.where(present, states[..., 2], 0.0)
    least = np.where(present, states[..., 2], np.inf).min(0)
    most = np.where(present, states[..., 2], -np.inf).max(0)
    turned = np.flatnonzero(most - least >= np.pi)
    if turned.shape[0]:
        out[:, turned, 2] = _unwrapped(states[:, turned, 2], present[:, turned])
    return out


def _unwrapped(headings: FloatArray, present: BoolArray) -> FloatArray:
    """(F, N) headings, zero where not present."""
    out = np.empty_like(headings)
    last_raw = np.zeros(headings.shape[1])
    shift = np.zeros(headings.shape[1])
    seen = np.zeros(headings.shape[1], dtype=bool)
    for frame in range(headings.shape[0]):
        here, raw = present[frame], headings[frame]
        jump = raw - last_raw
        turn = np.mod(jump + np.pi, _TWO_PI) - np.pi
        turn = np.where((turn == -np.pi) & (jump > 0), np.pi, turn)
        correction = np.where(np.abs(jump) < np.pi, 0.0, turn - jump)
        shift = np.where(here & seen, shift + correction, shift)
        out[frame] = np.where(here, raw + shift, 0.0)
        last_raw = np.where(here, raw, last_raw)
        seen |= here
    return out
