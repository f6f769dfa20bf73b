"""A whole small training of the layered recipe, its resumption, and its settings."""

import dataclasses
from pathlib import Path

import pytest
import torch

from pair_drive_core.models import PairModel, RewardFormula, RewardModelConfig, RewardReader, load_checkpoint
from pair_drive_core.models.configuration import config_from_mapping
from pair_drive_core.models.features import Features
from pair_drive_core.models.presets import tiny_config
from pair_drive_core.training.candidate_scores import CandidateConfig
from pair_drive_core.training.layered_run import LayeredSettings, TownRange, teach_reading, train_layered
from pair_drive_core.training.loop import Loop, LoopFiles
from pair_drive_core.training.perception import PerceptionConfig, PerceptionTask
from pair_drive_core.training.reading import ReadingConfig
from pair_drive_core.training.settings import read_mapping
from pair_drive_core.training.shard_samples import ShardSamples
from pair_drive_core.training.town_shards import MomentConfig
from pair_drive_core.training.warm_start import take_over, take_over_reinforcement

CONFIGS = Path(__file__).resolve().parents[2] / "config"


def layered_config():
    tiny = tiny_config(group_size=5)
    backbone = dataclasses.replace(
        tiny.imitation.backbone, lidar_sweeps=2, world_width=8, bev_from_stem=True, bev_classes=0
    )
    features = dataclasses.replace(tiny.features, lidar_past_s=(0.5,), lidar_ahead_m=16.0)
    reward = RewardModelConfig(RewardFormula.EPDMS, RewardReader.LAYERS, width=8, hidden=16)
    return dataclasses.replace(
        tiny,
        features=features,
        imitation=dataclasses.replace(tiny.imitation, backbone=backbone),
        reinforcement=dataclasses.replace(tiny.reinforcement, backbone=backbone, reward=reward),
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layered")
    return LayeredSettings(
        threads=1,
        folder=str(folder),
        checkpoint=str(folder / "a.safetensors"),
        model=layered_config(),
        moments=MomentConfig(simulated_s=8.0, full_picture_share=0.0),
        town=TownRange(4, 1, 6),
        calibration=TownRange(40_004, 1, 3),
        held_out=TownRange(50_004, 1, 3),
        perception=PerceptionConfig(updates=6, batch_size=3, save_every=2, warm_up=2),
        reading_towns=1,
        candidates=CandidateConfig(around_human=2, around_plan=2, disturbed=1, around_disturbed=2),
        reading=ReadingConfig(epochs=2, batch_size=3, candidates=8),
    )


@pytest.fixture(scope="module")
def report(settings):
    return train_layered(settings, "pair-drive train --config x.yaml")


def test_a_checkpoint_comes_out_and_plans(settings, report):
    loaded = load_checkpoint(report.checkpoint)
    assert loaded.model.config.features.lidar_past_s == (0.5,)
    assert loaded.training["command"] == "pair-drive train --config x.yaml"
    assert set(loaded.training["held_out"]) == {"human", "root", "pair", "best leaf"}
    best, pair = report.results["best leaf"], report.results["pair"]
    assert best.epdms >= pair.epdms
    low, high = pair.gain_epdms[1:]
    assert low <= pair.gain_epdms[0] <= high
    imitation, branch = loaded.model.imitation.backbone, loaded.model.reinforcement.backbone
    assert all(torch.equal(a, b) for a, b in zip(imitation.parameters(), branch.parameters(), strict=True))


def test_a_reward_model_that_reads_both_learns_from_the_same_moments(settings, report):
    reward = dataclasses.replace(settings.model.reinforcement.reward, reader=RewardReader.BOTH, heads=2)
    reinforcement = dataclasses.replace(settings.model.reinforcement, reward=reward)
    both = dataclasses.replace(settings, model=dataclasses.replace(settings.model, reinforcement=reinforcement))
    torch.manual_seed(0)
    model = PairModel(both.model)
    before = model.reinforcement.reward.look.in_proj_bias.clone()
    losses = teach_reading(model, ShardSamples.of_folder(Path(settings.folder) / "train"), both)
    assert len(losses) == settings.reading.epochs
    assert not torch.equal(model.reinforcement.reward.look.in_proj_bias, before)


def test_a_killed_training_ends_like_one_that_was_not(settings, report, tmp_path):
    samples = ShardSamples.of_folder(Path(settings.folder) / "train")
    torch.manual_seed(0)
    network = PairModel(settings.model).imitation
    start = {name: value.clone() for name, value in network.state_dict().items()}

    def train(path, stop_after):
        network.load_state_dict(start)
        loop = Loop(PerceptionTask(network, samples, settings.perception), 0, LoopFiles(path))
        loop.begin()
        for _ in range(stop_after):
            loop.update_once(loop.optimiser.step)
        loop.save()
        network.load_state_dict(start)
        Loop(PerceptionTask(network, samples, settings.perception), 0, LoopFiles(path)).run()
        return {name: value.clone() for name, value in network.state_dict().items()}

    whole, killed = train(tmp_path / "a.pt", 0), train(tmp_path / "b.pt", 4)
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


def test_a_state_of_before_there_was_one_loop_is_taken_up(settings, report, tmp_path):
    samples = ShardSamples.of_folder(Path(settings.folder) / "train")
    torch.manual_seed(0)
    task = PerceptionTask(PairModel(settings.model).imitation, samples, settings.perception)
    loop = Loop(task, 0, LoopFiles(tmp_path / "new.pt"))
    loop.begin()
    loop.update_once(loop.optimiser.step)
    old = {
        "model": task.module.state_dict(),
        "optimiser": loop.optimiser.state_dict(),
        "average": loop.average,
        "generator": torch.Generator().get_state(),
        "order": torch.arange(3),
        "update": 4,
    }
    torch.save(old, tmp_path / "old.pt")
    stages = []
    Loop(task, 0, LoopFiles(tmp_path / "old.pt")).run(lambda _, done, *__: stages.append(done))
    assert stages == [5, 6]


def test_a_branch_that_is_taken_over_plans_as_before_whatever_the_past_was():
    torch.manual_seed(0)
    config = layered_config()
    plain = dataclasses.replace(config.imitation.backbone, lidar_sweeps=1, world_width=0)
    earlier = PairModel(
        dataclasses.replace(
            config,
            features=dataclasses.replace(config.features, lidar_past_s=()),
            imitation=dataclasses.replace(config.imitation, backbone=plain),
            reinforcement=dataclasses.replace(config.reinforcement, backbone=plain, reward=RewardModelConfig()),
        )
    ).eval()
    model = PairModel(config).eval()
    anew = take_over(model, earlier)
    assert all(name.startswith("backbone.world.") for name in anew)
    with pytest.raises(ValueError, match=r"reinforcement branch of the start: expected all weights, \['backbone.world"):
        take_over_reinforcement(model, earlier)
    features = Features(torch.rand(2, 3, 32, 64), torch.rand(2, 2, 32, 32), torch.rand(2, 0, 32, 32), torch.rand(2, 8))
    present = dataclasses.replace(features, lidar=features.lidar[:, :1])
    assert torch.allclose(model.imitation(features), earlier.imitation(present), atol=1e-5)


def test_a_reinforcement_branch_is_taken_over_and_judges_as_before():
    torch.manual_seed(0)
    tiny = tiny_config(group_size=5)
    backbone = dataclasses.replace(tiny.imitation.backbone, lidar_sweeps=2)
    earlier = PairModel(tiny).eval()
    model = PairModel(
        dataclasses.replace(
            tiny,
            features=dataclasses.replace(tiny.features, lidar_past_s=(0.5,)),
            imitation=dataclasses.replace(tiny.imitation, backbone=backbone),
            reinforcement=dataclasses.replace(tiny.reinforcement, backbone=backbone),
        )
    ).eval()
    take_over_reinforcement(model, earlier)
    features = Features(torch.rand(2, 3, 32, 64), torch.rand(2, 2, 32, 32), torch.rand(2, 0, 32, 32), torch.rand(2, 8))
    present = dataclasses.replace(features, lidar=features.lidar[:, :1])
    poses = torch.rand(2, 3, 8, 3)
    one = model.reinforcement.reward.predict(model.reinforcement.backbone(features), poses).reward
    other = earlier.reinforcement.reward.predict(earlier.reinforcement.backbone(present), poses).reward
    assert torch.allclose(one, other, atol=1e-5)


def test_the_losses_of_a_small_set_fall(settings, report):
    samples = ShardSamples.of_folder(Path(settings.folder) / "train")
    torch.manual_seed(0)
    config = dataclasses.replace(
        settings.perception, updates=40, learning_rate=5e-3, batch_size=6, past_drop=0.0, image_noise=0.0
    )
    loop = Loop(PerceptionTask(PairModel(settings.model).imitation, samples, config), 0)
    loop.begin()
    values = [loop.update_once(loop.optimiser.step) for _ in range(40)]
    for name in ("L1 m", "layers", "edge"):
        assert values[-1][name] < 0.7 * values[0][name], name


def test_the_settings_that_ship_are_read_and_wrong_ones_named():
    settings = []
    for name in ("train_nano.yaml", "train_nano_fine.yaml"):
        values = read_mapping(CONFIGS / name)
        assert values.pop("recipe") == "layers"
        settings.append(config_from_mapping(LayeredSettings, values))
        assert sum(p.numel() for p in PairModel(settings[-1].model).parameters()) < 8_000_000
    shipped, fine = settings
    assert not shipped.reads_layers
    assert fine.reads_layers
    with pytest.raises(ValueError, match="reading_towns: expected 1 to 144, got 145"):
        dataclasses.replace(shipped, reading_towns=145)
    with pytest.raises(ValueError, match="start: expected a checkpoint"):
        dataclasses.replace(shipped, start="")
    with pytest.raises(ValueError, match=r"perception\.updates: expected at least 1, got 0"):
        PerceptionConfig(updates=0)
