"""Training samples read from shards: pictures and layers stay on disk until a batch asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pair_drive_core.datasets.cache.codec import decode_scene
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.models.bev_backbone import BevBackbone, BevFeatures
from pair_drive_core.models.features import Features
from pair_drive_core.scene import Scene
from pair_drive_core.training.town_shards import read_index
from pair_drive_core.training.world_loss import WorldTargets, world_loss
from pair_drive_core.training.world_painting import unpack_world

_IN_MEMORY = ("status", "human", "best_progress", "scene_ends")


class ShardSamples:
    """Moments of all shards in a folder, in the order of their towns; reads like `DrivingSamples`.

    Attributes:
        status: (S, 8), as in `Features`.
        human: (S, 8, 3), the demonstrated trajectory, ego frame at t0; m, rad.
        best_progress: (S,), how far PDM-Closed gets along the route in 4 s, m.
        town: (S,) int64, which shard each moment is of.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        """Open shards.

        Raises:
            DatasetError: if there is none, one is torn, or they were made by different recipes.
        """
        if not folders:
            raise DatasetError(Path(), "expected at least one shard, got none; make them first")
        recipes = {str(read_index(folder)["recipe"]): folder for folder in folders}
        if len(recipes) > 1:
            one, other = list(recipes.values())[:2]
            raise DatasetError(other, f"shards of different recipes: {', '.join(sorted(recipes))} (another is {one})")
        self.folders = tuple(folders)
        small = {name: [np.load(folder / f"{name}.npy") for folder in folders] for name in _IN_MEMORY}
        counts = [len(part) for part in small["status"]]
        self._first = np.concatenate(([0], np.cumsum(counts)))
        self._scene_ends = small["scene_ends"]
        self._open: dict[tuple[int, str], npt.NDArray[Any]] = {}
        self.status = torch.from_numpy(np.concatenate(small["status"]))
        self.human = torch.from_numpy(np.concatenate(small["human"]))
        self.best_progress = torch.from_numpy(np.concatenate(small["best_progress"]))
        self.town = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))

    @staticmethod
    def of_folder(root: Path, limit: int | None = None) -> ShardSamples:
        """All whole shards of a folder, or the first few."""
        return ShardSamples(ShardSamples.folders_of(root)[:limit])

    @staticmethod
    def folders_of(root: Path) -> list[Path]:
        """Whole shards of a folder, by number of their towns."""
        return sorted(path.parent for path in root.glob("town_*/index.json"))

    def __len__(self) -> int:
        """Number of moments."""
        return int(self._first[-1])

    def features(self, index: Tensor) -> Features:
        """Network inputs of some moments."""
        camera, lidar, ground = (self._pictures(name, index) for name in ("camera", "lidar", "ground"))
        return Features(camera, lidar, ground, self.status[index])

    def world(self, index: Tensor, coarser: int = 1) -> WorldTargets:
        """What the network shall imagine at some moments; see `unpack_world`."""
        flags = torch.from_numpy(self._rows("flags", index).astype(np.int32))
        layers, known = unpack_world(flags, torch.from_numpy(self._rows("line", index)), coarser)
        return WorldTargets(layers, known, self.best_progress[index])

    def auxiliary_loss(self, backbone: BevBackbone, bev: BevFeatures, index: Tensor) -> Tensor:
        """Of the imagined layers, and of the number that says how far PDM-Closed gets."""
        imagined = backbone.imagine(bev)
        coarser = round(self._array(0, "lidar").shape[-1] / imagined.logits.shape[-1])
        terms = world_loss(imagined, self.world(index, coarser))
        return torch.stack(list(terms.values())).sum()

    def scene(self, index: int) -> Scene:
        """The scene of a moment, with PDM-Closed's plan, without its lane graph."""
        shard, row = self._place(index)
        ends = self._scene_ends[shard]
        packed = self._array(shard, "scenes")[int(ends[row - 1]) if row else 0 : int(ends[row])]
        return decode_scene(packed.tobytes(), validate=False)

    def _pictures(self, name: str, index: Tensor) -> Tensor:
        return torch.from_numpy(self._rows(name, index)).float() / 255.0

    def _rows(self, name: str, index: Tensor) -> npt.NDArray[Any]:
        places = [self._place(int(i)) for i in index]
        return np.stack([self._array(shard, name)[row] for shard, row in places])

    def _place(self, index: int) -> tuple[int, int]:
        shard = int(np.searchsorted(self._first, index, side="right")) - 1
        return shard, index - int(self._first[shard])

    def _array(self, shard: int, name: str) -> npt.NDArray[Any]:
        key = (shard, name)
        if key not in self._open:
            self._open[key] = np.load(self.folders[shard] / f"{name}.npy", mmap_mode="r")
        return self._open[key]
