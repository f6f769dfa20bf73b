"""The networks by onnxruntime, on the CPU, from exported graphs."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pair_drive_core.models.bev_backbone import BevFeatures
from pair_drive_core.models.features import Features
from pair_drive_core.models.reward_world_model import PredictedReward
from pair_drive_core.policies.runtime.errors import BackendError
from pair_drive_core.policies.runtime.graphs import bev_of, bev_tensors
from pair_drive_core.policies.runtime.onnx_export import read_manifest


class OnnxNetworks:
    """See `Networks`; float32, one moment at a time.

    Args:
        folder: that `export_onnx` wrote.
        model: digest of the model that the graphs must be of.
        threads: that each network may take.

    Raises:
        FileNotFoundError: if nothing was exported there.
        BackendError: if onnxruntime is missing or the graphs do not fit.
    """

    def __init__(self, folder: Path, model: str, threads: int = 1) -> None:
        try:
            runtime: Any = importlib.import_module("onnxruntime")
            state: Any = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
        except ImportError as error:
            raise BackendError(f"onnxruntime is not installed ({error}); pip install '.[onnx]'") from None
        read_manifest(folder, model)
        raised = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
        self._raised: tuple[type[Exception], ...] = (*raised, RuntimeError, MemoryError, ValueError)
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        # Threads that spin for work would take the core that the rest of the vehicle's software needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._sessions = {
                name: runtime.InferenceSession(
                    str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"]
                )
                for name in ("look", "step", "reward")
            }
        except self._raised as error:
            raise BackendError(f"onnxruntime cannot load {folder}: {error}") from error
        self._inputs = {name: [i.name for i in s.get_inputs()] for name, s in self._sessions.items()}
        self._outputs = {name: [o.name for o in s.get_outputs()] for name, s in self._sessions.items()}

    @property
    def backend(self) -> str:
        """See `Networks`."""
        return "onnx"

    def look(self, features: Features) -> tuple[BevFeatures, Tensor]:
        """See `Networks`."""
        given = {
            "camera": features.camera,
            "lidar": features.lidar,
            "ground": features.ground,
            "status": features.status,
        }
        found = self._run("look", given)
        reference = found.pop("reference")
        return bev_of({**found, "status": features.status}), reference

    def judge(self, bev: BevFeatures, poses: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """See `Networks`."""
        found = self._run("step", {"bev_map": bev.bev_map, "tokens": bev.tokens, "poses": poses, "level": level})
        return found["log_intention"], found["mean"]

    def predict(self, bev: BevFeatures, poses: Tensor) -> PredictedReward:
        """See `Networks`."""
        found = self._run("reward", {**bev_tensors(bev), "poses": poses})
        return PredictedReward(found["sub_scores"], found["reward"], found["confidence"])

    def _run(self, name: str, given: dict[str, Tensor]) -> dict[str, Tensor]:
        fed: dict[str, npt.NDArray[Any]] = {
            key: np.ascontiguousarray(given[key].numpy(force=True)) for key in self._inputs[name]
        }
        try:
            found: Sequence[npt.NDArray[Any]] = self._sessions[name].run(None, fed)
        except self._raised as error:
            raise BackendError(f"onnxruntime failed in {name!r}: {' '.join(str(error).split())[:300]}") from error
        return {key: torch.from_numpy(value) for key, value in zip(self._outputs[name], found, strict=True)}
