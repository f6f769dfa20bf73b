"""How far what a backend computes lies from the float32 eager plan, scene by scene."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pair_drive_core.models.features import Features
from pair_drive_core.models.pair_model import PairModel
from pair_drive_core.policies.parallel import EagerNetworks, Networks, choose
from pair_drive_core.policies.runtime.errors import BackendError
from pair_drive_core.policies.runtime.graphs import example_features
from pair_drive_core.policies.runtime.onnx_export import model_digest
from pair_drive_core.policies.runtime.onnx_networks import OnnxNetworks

SAME_LEAF_SHARE = 0.99
"""Of the scenes, that the same leaf must be chosen in."""
APART_M = 0.05
"""How far the plan of another leaf may end from the eager one."""
_SAME_M = 0.01
"""Leaves nearer than this everywhere are the same leaf, whatever their number."""


@dataclass(frozen=True)
class Agreement:
    """A backend beside the eager networks.

    Attributes:
        backend: which.
        scenes: compared.
        same_leaf: share of the scenes in which the same leaf was chosen.
        apart_m: greatest distance, at 4 s, of plans from different leaves; 0 where there are none.
        reward: greatest difference of the chosen leaf's predicted reward.
        reference_m: greatest distance of the imitation plans.
    """

    backend: str
    scenes: int
    same_leaf: float
    apart_m: float
    reward: float
    reference_m: float

    @property
    def holds(self) -> bool:
        """Whether the backend may take the eager networks' place."""
        return self.same_leaf >= SAME_LEAF_SHARE and self.apart_m <= APART_M

    def text(self) -> str:
        """One line."""
        return (
            f"{self.backend} beside eager float32, {self.scenes} scenes: same leaf in {100 * self.same_leaf:.1f} %, "
            f"others at most {self.apart_m:.3f} m apart at 4 s; imitation plans {self.reference_m:.1e} m, "
            f"rewards {self.reward:.1e} apart at most"
        )


@torch.inference_mode()
def agreement(
    model: PairModel,
    networks: Networks,
    moments: Iterable[Features],
    watch: Callable[[Tensor, Tensor], None] | None = None,
) -> Agreement:
    """Plan in moments, one after the other, with a backend and eagerly.

    Args:
        model: in evaluation mode, on the CPU.
        networks: of the same model.
        moments: each of one moment.
        watch: told both plans of each moment, (8, 3), the eager one first.

    Raises:
        ValueError: if there is no moment.
    """
    eager, join = EagerNetworks(model), model.config.join
    same, apart_m, reward, reference_m, count = 0, 0.0, 0.0, 0.0, 0
    for features in moments:
        plans, rewards, references = [], [], []
        for way in (eager, networks):
            bev, reference = way.look(features)
            choice = choose(model.reinforcement, bev, reference, join, None, way)
            index = int(choice.chosen[0])
            plans.append(choice.leaves[0, index])
            rewards.append(float(choice.predicted.reward[0, index]))
            references.append(reference[0])
        if watch is not None:
            watch(plans[0], plans[1])
        gap = (plans[0] - plans[1])[:, :2].norm(dim=-1)
        near = bool(gap.amax() < _SAME_M)
        same += near
        apart_m = max(apart_m, 0.0 if near else float(gap[-1]))
        reward = max(reward, abs(rewards[0] - rewards[1]))
        reference_m = max(reference_m, float((references[0] - references[1])[:, :2].norm(dim=-1).amax()))
        count += 1
    if not count:
        raise ValueError("expected at least one moment to compare, got none")
    return Agreement(networks.backend, count, same / count, apart_m, reward, reference_m)


def check_export(model: PairModel, folder: Path, scenes: int) -> Agreement:
    """Compare exported graphs with torch on made-up scenes.

    Args:
        model: that was exported.
        folder: that `export_onnx` wrote.
        scenes: how many.

    Raises:
        BackendError: if they differ by more than the guard allows, or onnxruntime is missing.
    """
    networks = OnnxNetworks(folder, model_digest(model))
    found = agreement(model, networks, (example_features(model, seed) for seed in range(scenes)))
    if not found.holds:
        raise BackendError(f"expected the graphs to plan as torch does, got: {found.text()}")
    return found
