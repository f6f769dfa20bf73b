"""The best way that works on this machine, and what was lost where a better one did not."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum

from torch import Tensor

from pair_drive_core.models.bev_backbone import BevFeatures
from pair_drive_core.models.features import Features
from pair_drive_core.models.pair_model import PairModel
from pair_drive_core.models.reward_world_model import PredictedReward
from pair_drive_core.policies.parallel import EagerNetworks, Networks
from pair_drive_core.policies.runtime.errors import BackendError

_LOG = logging.getLogger(__name__)


class Backend(str, Enum):
    """How the networks are computed."""

    AUTO = "auto"
    """The fastest that is there and agrees with `eager`: so far `eager`."""
    EAGER = "eager"
    """Operation by operation; what all others are compared with."""
    ONNX = "onnx"
    """By onnxruntime; not there yet: falls back."""
    TENSORRT = "tensorrt"
    """By engines on a GPU; not there yet: falls back."""
    COMPILED = "compiled"
    """By code that a compiler made; not there yet: falls back."""


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


class RuntimeNetworks:
    """Networks that go on eagerly where a faster backend is missing, does not fit or fails; said once, counted.

    Args:
        model: in evaluation mode.
        wanted: which backend.
        fast: computes for one moment in another way than eagerly; None where there is no such way.
    """

    def __init__(self, model: PairModel, wanted: Backend = Backend.AUTO, fast: Networks | None = None) -> None:
        self._eager = EagerNetworks(model)
        self._fast = fast
        self._wanted = wanted
        self._lost, self._fallbacks = "", 0
        if fast is None and wanted not in (Backend.AUTO, Backend.EAGER):
            self._lose(BackendError(f"backend {wanted.value!r} is not there; available: auto, eager"))

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

    def _lose(self, error: Exception) -> None:
        """Go on eagerly; the first time say what was lost."""
        self._fast = None
        self._fallbacks += 1
        if not self._lost:
            self._lost = str(error)
            _LOG.warning("planning eagerly, slower than backend %r would: %s", self._wanted.value, error)
