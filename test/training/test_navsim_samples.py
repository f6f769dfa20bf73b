"""Training from a data set on disk: the same losses as from the town that it was exported from."""

import numpy as np
import pytest
import torch

from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.navsim.dataset import NavsimDataset
from pair_drive_core.models import PairModel, RewardFormula, build_features
from pair_drive_core.models.presets import tiny_config
from pair_drive_core.town import SceneCutter, Town, TownSensors, TownSimulator
from pair_drive_core.town.data.navsim_export import TownExport, export_towns
from pair_drive_core.training.augmentation import AugmentationConfig
from pair_drive_core.training.bev_targets import paint_bev
from pair_drive_core.training.imitation import ImitationConfig, train_imitation
from pair_drive_core.training.navsim_samples import (
    NavsimDataConfig,
    NavsimSamples,
    NavsimTrainingData,
    StreamedRewards,
)
from pair_drive_core.training.optimisation import OptimiserConfig
from pair_drive_core.training.reinforcement import ReinforcementTrainingConfig
from pair_drive_core.training.reward_model import RewardModelTrainingConfig
from pair_drive_core.training.run import train
from pair_drive_core.training.samples import DrivingSamples
from pair_drive_core.training.settings import TrainingSettings
from pair_drive_core.training.simulated_rewards import SimulatedRewards

EXPORT = TownExport((20001,), 1, vehicles=1, seconds=9.0, width_px=480)
CONFIG = tiny_config().features


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    export_towns(EXPORT, root)
    split = next(root.rglob("train_test_split/towntest.yaml"))
    return NavsimDataConfig(str(root), str(split)).open()


@pytest.fixture(scope="module")
def streamed(dataset):
    return NavsimSamples(dataset, CONFIG)


@pytest.fixture(scope="module")
def town(dataset):
    """The same moments straight from the town, in memory, and their scenes."""
    simulator = TownSimulator(Town.build(EXPORT.layouts[0]), EXPORT.seed)
    simulator.run(EXPORT.seconds)
    cutter, sensors = SceneCutter(simulator), TownSensors(simulator)
    start = simulator.moments[0].time_s
    steps = [round((window.now.timestamp_us / 1e6 - start) / 0.1) for window in dataset]
    scenes = [cutter.scene_at(step, 0) for step in steps]
    parts = [build_features(cutter.agent_input(sensors, step, 0, width_px=480), CONFIG) for step in steps]
    bev = np.stack([paint_bev(scene, CONFIG.lidar_size_px, CONFIG.lidar_range_m) for scene in scenes])
    human = torch.stack([scene.human.poses for scene in scenes])
    return DrivingSamples.from_features(parts, human, torch.from_numpy(bev)), scenes


def test_the_same_moments_are_read(streamed, town):
    samples, _ = town
    assert len(streamed) == len(samples) >= 4
    assert len(set(streamed.tokens)) == len(streamed)
    torch.testing.assert_close(streamed.human, samples.human, rtol=0, atol=1e-3)
    index = torch.tensor([2, 0])
    mine, theirs = streamed.features(index), samples.features(index)
    torch.testing.assert_close(mine.status, theirs.status, rtol=0, atol=1e-3)
    assert (mine.camera - theirs.camera).abs().mean() < 0.02
    assert (mine.lidar - theirs.lidar).abs().mean() < 0.01


def test_the_losses_are_those_of_the_town(streamed, town):
    def train(samples):
        torch.manual_seed(0)
        config = ImitationConfig(
            epochs=6,
            batch_size=4,
            bev_weight=0.1,
            optimiser=OptimiserConfig(learning_rate=5e-3),
            augmentation=AugmentationConfig(0.0, 0.0, 0.0, 0.0),
        )
        network = PairModel(tiny_config()).imitation
        return train_imitation(network, samples, config, torch.Generator().manual_seed(0))

    from_disk, from_town = train(streamed), train(town[0])
    assert from_town[-1] < 0.9 * from_town[0]
    assert from_disk == pytest.approx(from_town, rel=0.05)


def test_rewards_are_those_of_the_town(streamed, town):
    samples, scenes = town
    index = torch.tensor([1, 3])
    plans = torch.stack((samples.human[index], samples.human[index] + torch.tensor([0.0, 3.0, 0.0])), dim=1)
    mine = StreamedRewards(streamed, RewardFormula.PDMS)(index, plans)
    theirs = SimulatedRewards(scenes, RewardFormula.PDMS)(index, plans)
    torch.testing.assert_close(mine.total, theirs.total, rtol=0, atol=0.02)


def test_a_data_set_without_scenes_is_refused(dataset):
    from dataclasses import replace

    none = replace(dataset.scene_filter, tokens=("0" * 16,))
    with pytest.raises(DatasetError, match="expected at least one scene to learn from, got none"):
        NavsimSamples(NavsimDataset(dataset.folders, none), CONFIG)


def test_a_whole_training_reads_a_data_set(dataset, tmp_path):
    root = dataset.folders.maps.parent
    split = str(next(root.rglob("train_test_split/towntest.yaml")))
    settings = TrainingSettings(
        checkpoint=str(tmp_path / "model.safetensors"),
        model=tiny_config(group_size=5),
        navsim=NavsimTrainingData(str(root), split, split, split),
        imitation=ImitationConfig(epochs=1, batch_size=4),
        reward_model=RewardModelTrainingConfig(epochs=1, batch_size=4, candidates=2),
        reinforcement=ReinforcementTrainingConfig(epochs=1, batch_size=4, updates=1),
    )
    report = train(settings, "pair-drive train navsim.root=DIR")
    assert 0.0 <= report.results["pdms"]["pair"].score <= report.results["pdms"]["best leaf"].score + 1e-6
    with pytest.raises(ValueError, match="expected values for train, calibration, held_out, got none"):
        NavsimTrainingData("DIR")
