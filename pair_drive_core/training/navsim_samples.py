"""Training samples read from a NAVSIM data set as they are asked for: only poses and status stay in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders, SceneWindow
from pair_drive_core.datasets.navsim.scene_filter import read_split
from pair_drive_core.models.bev_backbone import BevBackbone, BevFeatures
from pair_drive_core.models.features import FeatureConfig, Features, build_features, status_vector
from pair_drive_core.models.reward_world_model import RewardFormula
from pair_drive_core.scene import Scene
from pair_drive_core.training.bev_targets import bev_loss, paint_bev
from pair_drive_core.training.reward_source import Rewards
from pair_drive_core.training.simulated_rewards import SimulatedRewards


@dataclass(frozen=True)
class NavsimDataConfig:
    """Which scenes of which data set.

    Attributes:
        root: of the data set, in the devkit's layout.
        split: file of the benchmark, `train_test_split/<name>.yaml`.
        maps: folder of the maps; empty means `maps` in `root`.
    """

    root: str
    split: str
    maps: str = ""

    def open(self) -> NavsimDataset:
        """The data set."""
        split = read_split(Path(self.split))
        folders = NavsimFolders.of(Path(self.root), split.data_split, Path(self.maps) if self.maps else None)
        return NavsimDataset(folders, split.scene_filter)


@dataclass(frozen=True)
class NavsimTrainingData:
    """The data set that a training takes instead of towns.

    Attributes:
        root: of the data set, in the devkit's layout.
        train: file of the benchmark that is learnt from, such as `train_test_split/navtrain.yaml`.
        calibration: of the one that finds the margin.
        held_out: of the one that is reported on.
        maps: folder of the maps; empty means `maps` in `root`.
    """

    root: str = ""
    train: str = ""
    calibration: str = ""
    held_out: str = ""
    maps: str = ""

    def __post_init__(self) -> None:
        lacking = [name for name in ("root", "train", "calibration", "held_out") if not getattr(self, name)]
        if lacking:
            raise ValueError(f"expected values for {', '.join(lacking)}, got none")

    def samples(self, split: str, features: FeatureConfig) -> NavsimSamples:
        """The moments of one of the benchmarks."""
        return NavsimSamples(NavsimDataConfig(self.root, split, self.maps).open(), features)


class NavsimSamples:
    """Moments of a data set, in the order of its logs; see `Samples`.

    Attributes:
        tokens: names of the scenes.
    """

    def __init__(self, dataset: NavsimDataset, config: FeatureConfig) -> None:
        """Read all logs once for names and demonstrations.

        Raises:
            DatasetError: if there is no scene, or a log breaks the format.
        """
        self._dataset, self._config = dataset, config
        self._places: list[tuple[Path, int]] = []
        tokens: list[str] = []
        human: list[Tensor] = []
        status: list[Tensor] = []
        for windows in dataset.by_log():
            for number, window in enumerate(windows):
                self._places.append((window.log_path, number))
                tokens.append(window.token)
                human.append(window.human.poses.float())
                now = dataset.agent_input(window, cameras=(), with_lidar=False).now
                status.append(status_vector(now))
        if not human:
            raise DatasetError(dataset.folders.logs, "expected at least one scene to learn from, got none")
        self.tokens = tuple(tokens)
        self._human, self._status = torch.stack(human), torch.stack(status)

    @property
    def human(self) -> Tensor:
        """(S, 8, 3), the demonstrated trajectory, ego frame at t0; m, rad."""
        return self._human

    @property
    def status(self) -> Tensor:
        """(S, 8), as in `Features`."""
        return self._status

    def __len__(self) -> int:
        """Number of moments."""
        return len(self._places)

    def features(self, index: Tensor) -> Features:
        """Network inputs of some moments, from pictures and point clouds on disk."""
        ages = self._config.lidar_past_s
        inputs = [self._dataset.agent_input(self._window(int(i)), lidar_ages_s=ages) for i in index]
        return Features.concatenate([build_features(entry, self._config) for entry in inputs])

    def auxiliary_loss(self, backbone: BevBackbone, bev: BevFeatures, index: Tensor) -> Tensor:
        """Of the auxiliary BEV map, painted from the map and the boxes of the moments."""
        size, reach = self._config.lidar_size_px, self._config.lidar_range_m
        painted = [paint_bev(scene, size, reach) for scene in self.scenes(index)]
        return bev_loss(backbone, bev, torch.from_numpy(np.stack(painted)))

    def scenes(self, index: Tensor) -> list[Scene]:
        """What plans in some moments are scored against."""
        return [self._dataset.scene(self._window(int(i))) for i in index]

    def _window(self, place: int) -> SceneWindow:
        path, number = self._places[place]
        return self._dataset.windows(path)[number]


class StreamedRewards:
    """Rewards of scenes that are read when they are asked for; see `SimulatedRewards`."""

    def __init__(self, samples: NavsimSamples, formula: RewardFormula) -> None:
        self._samples, self.formula = samples, formula

    def __call__(self, scenes: Tensor, trajectories: Tensor) -> Rewards:
        """Score (B, K, 8, 3) trajectories of the scenes at B places."""
        simulation = SimulatedRewards(self._samples.scenes(scenes), self.formula)
        return simulation(torch.arange(len(scenes)), trajectories)
