"""The three networks of a plan as functions of tensors alone: what is exported, and what every backend computes.

`look` is both branches' encoders with the imitation plan, `step` the tree's policy at all nodes of one level, `reward`
the reward world model on all leaves. The last two take any number of trajectories. The tree between them is a few
hundred small operations that stay in torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pair_drive_core.models.bev_backbone import BevFeatures
from pair_drive_core.models.diffusion_drive import DiffusionDrive
from pair_drive_core.models.features import STATUS_SIZE, Features
from pair_drive_core.models.pair_model import PairModel
from pair_drive_core.policies.parallel import EagerNetworks
from pair_drive_core.scene import PLAN_STEPS

TRAJECTORIES = "trajectories"
"""Name of the axis that may be of any length."""
_EXAMPLES = 7
"""Trajectories of the example inputs; any number that is no other axis's length."""


class UnsupportedModelError(ValueError):
    """A model that cannot be written as graphs."""


@dataclass(frozen=True)
class Graph:
    """One network.

    Attributes:
        name: of its file.
        module: tensors to tensors, in evaluation mode.
        inputs: examples by name, in order.
        outputs: names, in order.
        dynamic: inputs, and their axis, that hold as many entries as there are trajectories.
        variadic: whether the module takes all inputs as one list.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    dynamic: Mapping[str, int]
    variadic: bool = False


def bev_tensors(bev: BevFeatures) -> dict[str, Tensor]:
    """F_BEV as tensors by name; layers where there are some."""
    found = {"bev_map": bev.bev_map, "tokens": bev.tokens, "status": bev.status}
    if bev.layers is not None and bev.best_progress is not None:
        found |= {"layers": bev.layers, "best_progress": bev.best_progress}
    return found


def bev_of(tensors: Mapping[str, Tensor]) -> BevFeatures:
    """F_BEV from what `bev_tensors` gave."""
    return BevFeatures(
        tensors["bev_map"],
        tensors["tokens"],
        tensors["status"],
        tensors.get("layers"),
        tensors.get("best_progress"),
    )


class _Look(nn.Module):
    def __init__(self, model: PairModel) -> None:
        super().__init__()
        self.model = model
        self._networks = EagerNetworks(model)

    def forward(self, camera: Tensor, lidar: Tensor, ground: Tensor, status: Tensor) -> tuple[Tensor, ...]:
        bev, reference = self._networks.look(Features(camera, lidar, ground, status))
        parts = bev_tensors(bev)
        del parts["status"]  # an input already
        return (*parts.values(), reference)


class _Step(nn.Module):
    def __init__(self, model: PairModel) -> None:
        super().__init__()
        self.policy = model.reinforcement.sampler.policy

    def forward(self, bev_map: Tensor, tokens: Tensor, poses: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        judged: tuple[Tensor, Tensor] = self.policy(BevFeatures(bev_map, tokens, tokens[:, 0]), poses, level)
        return judged


class _Reward(nn.Module):
    def __init__(self, model: PairModel, names: Sequence[str]) -> None:
        super().__init__()
        self.reward = model.reinforcement.reward
        self._names = tuple(names)

    def forward(self, *given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        *parts, poses = given
        predicted = self.reward.predict(bev_of(dict(zip(self._names, parts, strict=True))), poses)
        return predicted.sub_scores, predicted.reward, predicted.confidence


def example_features(model: PairModel, seed: int = 0) -> Features:
    """Made-up inputs of one moment, of the model's sizes."""
    config = model.config.features
    generator = torch.Generator().manual_seed(seed)
    side = (config.lidar_size_px, config.lidar_size_px)
    status = torch.zeros(1, STATUS_SIZE)
    status[0, 1], status[0, 4] = 1.0, 8.0
    return Features(
        torch.rand(1, 3, config.image_height_px, config.image_width_px, generator=generator),
        torch.rand(1, 1 + len(config.lidar_past_s), *side, generator=generator),
        torch.rand(1, 3 if config.ground_image else 0, *side, generator=generator),
        status,
    )


@torch.no_grad()
def graphs_of(model: PairModel) -> tuple[Graph, Graph, Graph]:
    """`look`, `step` and `reward` of a model, for one moment at a time.

    Raises:
        UnsupportedModelError: if its imitation branch draws at random while it plans.
    """
    if isinstance(model.imitation, DiffusionDrive):
        raise UnsupportedModelError("expected an imitation branch that draws nothing at random, got DiffusionDrive")
    features = example_features(model)
    bev, reference = EagerNetworks(model).look(features)
    parts = bev_tensors(bev)
    seen = tuple(name for name in parts if name != "status")
    poses = reference.unsqueeze(1).repeat(1, _EXAMPLES, 1, 1).reshape(1, _EXAMPLES, PLAN_STEPS, 3)
    level = torch.zeros(_EXAMPLES, dtype=torch.int64)
    look = Graph(
        "look",
        _Look(model),
        {"camera": features.camera, "lidar": features.lidar, "ground": features.ground, "status": features.status},
        (*seen, "reference"),
        {},
    )
    step = Graph(
        "step",
        _Step(model),
        {"bev_map": parts["bev_map"], "tokens": parts["tokens"], "poses": poses, "level": level},
        ("log_intention", "mean"),
        {"poses": 1, "level": 0},
    )
    reward = Graph(
        "reward",
        _Reward(model, tuple(parts)),
        {**parts, "poses": poses},
        ("sub_scores", "reward", "confidence"),
        {"poses": 1},
        variadic=True,
    )
    return look, step, reward
