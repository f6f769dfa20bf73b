"""Sub-scores from either backend: the native kernel or torch."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pair_drive_core.scene import SceneError
from pair_drive_core.scoring.candidates import CandidateKind
from pair_drive_core.scoring.native.index import NativeIndex, index_scenes
from pair_drive_core.scoring.native.sub_scores import native_sub_scores
from pair_drive_core.scoring.prepared import PreparedScenes
from pair_drive_core.scoring.rollouts import on_earth
from pair_drive_core.scoring.sub_scores import SubScores, concatenate, sub_scores
from pair_drive_core.simulation import interpolate_plans, simulate_poses

Backend = Literal["auto", "torch", "native"]
"""Who computes the sub-scores; "auto" is the native kernel on the CPU where it is built, else torch."""

CHUNK_CPU = 512
CHUNK_CUDA = 16384
"""Rollouts that torch scores at a time; about 0.4 MB each in float32 (see docs/scoring.md)."""


def native_index(prepared: PreparedScenes, backend: Backend) -> NativeIndex | None:
    """The kernel's index of the scenes if that backend is to be used, else None.

    Raises:
        SceneError: if the backend is unknown, or is "native" and cannot be used.
    """
    if backend not in ("auto", "torch", "native"):
        raise SceneError(f"backend: expected 'auto', 'torch' or 'native', got {backend!r}")
    usable = backend != "torch" and prepared.device.type == "cpu"
    index = index_scenes(prepared) if usable else None
    if backend == "native" and index is None:
        reason = "there is no compiled kernel (python -m pair_drive_core.scoring.native.build)"
        raise SceneError(f"backend 'native': {reason if usable else f'the scenes are on {prepared.device}'}")
    return index


def chunk_size(chunk: int | None, device: torch.device) -> int:
    """How many rollouts torch scores at a time.

    Raises:
        SceneError: if the wish is not positive.
    """
    if chunk is not None:
        if chunk < 1:
            raise SceneError(f"score: expected a chunk of at least 1 rollout, got {chunk}")
        return chunk
    return CHUNK_CUDA if device.type == "cuda" else CHUNK_CPU


@torch.no_grad()
def sub_scores_of(
    prepared: PreparedScenes,
    candidates: Tensor,
    kind: CandidateKind = CandidateKind.PLANS,
    backend: Backend = "auto",
    chunk: int | None = None,
) -> SubScores:
    """Every sub-score that a candidate has by itself: no EP, no human filter, no total.

    Args:
        prepared: S scenes.
        candidates: (S, K, ...) as `kind` says, finite, like the scenes in type and device.
        kind: plans, paths to be driven, or driven states.
        backend: who computes.
        chunk: rollouts that torch scores at a time.

    Raises:
        SceneError: if the shape does not fit or the backend cannot be used.
    """
    if candidates.ndim != 4 or candidates.shape[0] != len(prepared) or tuple(candidates.shape[2:]) != kind.shape:
        expected = f"({len(prepared)}, K, {kind.shape[0]}, {kind.shape[1]})"
        raise SceneError(f"candidates: expected shape {expected} for {kind.name}, got {tuple(candidates.shape)}")
    index = native_index(prepared, backend)
    if index is not None:
        return native_sub_scores(index, prepared, candidates, kind)
    if kind is CandidateKind.PLANS:
        start, times = prepared.ego[:, :3], (prepared.sample_index, prepared.sample_weight)
        candidates = interpolate_plans(candidates, start, *times, prepared.origin)
    width = max(1, chunk_size(chunk, prepared.device) // max(len(prepared), 1))
    return concatenate([_torch_sub_scores(prepared, part, kind) for part in torch.split(candidates, width, dim=1)], 1)


def _torch_sub_scores(prepared: PreparedScenes, candidates: Tensor, kind: CandidateKind) -> SubScores:
    """Drive paths unless they are driven already, and judge them."""
    if kind is not CandidateKind.STATES:
        candidates = simulate_poses(candidates, prepared.ego[:, None], prepared.vehicle)
    return sub_scores(on_earth(candidates, prepared.ego), prepared)
