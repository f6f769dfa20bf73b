"""The best way that works on this machine, and what was lost where a better one did not."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import torch
from torch import Tensor

from pair_drive_core.models.bev_backbone import BevFeatures
from pair_drive_core.models.features import Features
from pair_drive_core.models.pair_model import PairModel
from pair_drive_core.models.reward_world_model import PredictedReward
from pair_drive_core.policies.parallel import EagerNetworks, Networks
from pair_drive_core.policies.runtime.errors import BackendError
from pair_drive_core.policies.runtime.graphs import UnsupportedModelError
from pair_drive_core.policies.runtime.onnx_export import export_onnx, model_digest
from pair_drive_core.policies.runtime.onnx_networks import OnnxNetworks

_LOG = logging.getLogger(__name__)


class Backend(str, Enum):
    """How the networks are computed."""

    AUTO = "auto"
    """By onnxruntime where it is installed and `pair-drive export` has written the model's graphs, else eagerly."""
    EAGER = "eager"
    """Operation by operation; what all others are compared with."""
    ONNX = "onnx"
    """By onnxruntime; graphs that are not there are exported first."""
    TENSORRT = "tensorrt"
    """By engines on a GPU; not implemented: falls back."""
    COMPILED = "compiled"
    """By code that a compiler made; not implemented: falls back."""


@dataclass(frozen=True)
class BackendState:
    """What computes, for reports.

    Attributes:
        wanted: asked for.
        used: what the newest plan was computed by.
        lost: why it is not what was wanted; empty where nothing was lost.
        fallbacks: how often another backend had to take the place of a failing one.
    """

    wanted: str
    used: str
    lost: str = ""
    fallbacks: int = 0


def cache_root() -> Path:
    """Where graphs are kept across starts: in PAIR_DRIVE_CACHE, else in `pair_drive` of the user's cache folder."""
    own, base = os.environ.get("PAIR_DRIVE_CACHE", ""), os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(own) if own else (Path(base) if base else Path.home() / ".cache") / "pair_drive"
    return folder / "graphs"


def graphs_folder(model: PairModel) -> Path:
    """Where the graphs of a model are kept."""
    return cache_root() / model_digest(model)


class RuntimeNetworks:
    """Networks that go on eagerly where a faster backend is missing, does not fit or fails; said once, counted.

    Args:
        model: in evaluation mode.
        device: where it is.
        wanted: which backend.
        folder: of the exported graphs; None takes the cache's.
        threads: of a backend that has threads of its own; None takes torch's.
    """

    def __init__(
        self,
        model: PairModel,
        device: torch.device,
        wanted: Backend = Backend.AUTO,
        folder: Path | None = None,
        threads: int | None = None,
    ) -> None:
        self._eager = EagerNetworks(model)
        self._fast: Networks | None = None
        self._wanted, self._device = wanted, device
        self._lost, self._fallbacks = "", 0
        try:
            self._fast = self._open(model, folder, threads or torch.get_num_threads())
        except (BackendError, UnsupportedModelError) as error:
            self._lose(error)

    @property
    def backend(self) -> str:
        """See `Networks`."""
        return (self._fast or self._eager).backend

    @property
    def state(self) -> BackendState:
        """What computes."""
        return BackendState(self._wanted.value, self.backend, self._lost, self._fallbacks)

    def look(self, features: Features) -> tuple[BevFeatures, Tensor]:
        """See `Networks`."""
        if self._fast is not None and len(features) == 1:
            try:
                return self._fast.look(features)
            except BackendError as error:
                self._lose(error)
        return self._eager.look(features)

    def judge(self, bev: BevFeatures, poses: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """See `Networks`."""
        if self._fast is not None and len(poses) == 1:
            try:
                return self._fast.judge(bev, poses, level)
            except BackendError as error:
                self._lose(error)
        return self._eager.judge(bev, poses, level)

    def predict(self, bev: BevFeatures, poses: Tensor) -> PredictedReward:
        """See `Networks`."""
        if self._fast is not None and len(poses) == 1:
            try:
                return self._fast.predict(bev, poses)
            except BackendError as error:
                self._lose(error)
        return self._eager.predict(bev, poses)

    def _open(self, model: PairModel, folder: Path | None, threads: int) -> Networks | None:
        """The backend that is wanted; None is eager."""
        if self._wanted is Backend.EAGER:
            return None
        if self._wanted in (Backend.TENSORRT, Backend.COMPILED):
            raise BackendError(f"backend {self._wanted.value!r} is not there; available: auto, eager, onnx")
        if self._device.type != "cpu":
            if self._wanted is Backend.AUTO:
                return None
            raise BackendError(f"backend 'onnx' computes on the CPU, got device {self._device}")
        digest = model_digest(model)
        place = folder or cache_root() / digest
        try:
            return OnnxNetworks(place, digest, threads)
        except FileNotFoundError:
            if self._wanted is Backend.AUTO:
                _LOG.info("planning eagerly: no graphs in %s; `pair-drive export` writes them", place)
                return None
        export_onnx(model, place)
        return OnnxNetworks(place, digest, threads)

    def _lose(self, error: Exception) -> None:
        """Go on eagerly; the first time say what was lost."""
        self._fast = None
        self._fallbacks += 1
        if not self._lost:
            self._lost = str(error)
            _LOG.warning("planning eagerly, slower than backend %r would: %s", self._wanted.value, error)
