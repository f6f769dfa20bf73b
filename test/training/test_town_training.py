"""Town scenes as samples and rewards, and a whole small training from nothing to a checkpoint."""

import dataclasses

import pytest
import torch

from pair_drive_core.models import PairModel, RewardFormula, load_checkpoint
from pair_drive_core.models.presets import tiny_config
from pair_drive_core.town.data.splits import TownSplit
from pair_drive_core.training import run
from pair_drive_core.training.calibration import Calibration
from pair_drive_core.training.imitation import ImitationConfig
from pair_drive_core.training.reinforcement import ReinforcementTrainingConfig
from pair_drive_core.training.reward_model import RewardModelTrainingConfig
from pair_drive_core.training.run import train
from pair_drive_core.training.settings import TrainingSettings
from pair_drive_core.training.simulated_rewards import SimulatedRewards
from pair_drive_core.training.town_evaluation import constant_velocity, evaluate
from pair_drive_core.training.town_samples import TownDataConfig, collect_town_samples

FEW = TownDataConfig(first_town=4, scenes=5, scenes_a_town=5, simulated_s=8.0, full_picture_share=0.5)


@pytest.fixture(scope="module")
def town():
    return collect_town_samples(FEW, tiny_config().features, seed=0)


@pytest.fixture(scope="module")
def rewards(town):
    return SimulatedRewards(town.scenes, RewardFormula.PDMS)


def test_samples_and_scenes_go_together(town):
    assert len(town) == len(town.samples) == 5
    for i, scene in enumerate(town.scenes):
        assert torch.equal(town.samples.human[i], scene.human.poses.float())
        assert town.samples.status[i, 4] == pytest.approx(float(scene.ego.velocity[0]), abs=1e-4)
    assert len({scene.token for scene in town.scenes}) == 5
    features = town.samples.features(torch.arange(5))
    assert features.camera.shape == (5, 3, 32, 64)
    assert (features.camera.std(dim=(1, 2, 3)) > 0.05).all()
    assert (features.lidar.sum(dim=(1, 2, 3)) > 1).all()


def test_same_seed_same_samples(town):
    again = collect_town_samples(FEW, tiny_config().features, seed=0)
    assert torch.equal(again.samples.camera, town.samples.camera)
    assert torch.equal(again.samples.human, town.samples.human)
    other = collect_town_samples(FEW, tiny_config().features, seed=1)
    assert not torch.equal(other.samples.human, town.samples.human)


def test_displaced_moments_show_and_score_the_ego_aside(town):
    aside = collect_town_samples(dataclasses.replace(FEW, displaced_share=1.0), tiny_config().features, seed=0)
    plain = {scene.token: i for i, scene in enumerate(town.scenes)}
    moved = 0
    for i, scene in enumerate(aside.scenes):
        assert torch.equal(aside.samples.human[i], scene.human.poses.float())
        if scene.token in plain:
            before = town.scenes[plain[scene.token]]
            distance = float((scene.ego.pose - before.ego.pose)[:2].norm())
            assert distance <= 1.2 + 1e-6
            assert (distance > 0.0) == (float(before.ego.velocity.norm()) > 2.0)
            same_picture = torch.equal(aside.samples.camera[i], town.samples.camera[plain[scene.token]])
            assert same_picture == (distance == 0.0)
            moved += distance > 0.0
    assert moved > 0


def test_rewards_tell_driving_from_leaving_the_road(town, rewards):
    human = town.samples.human
    aside = human + torch.tensor([0.0, 30.0, 0.0])
    scored = rewards(torch.arange(5), torch.stack((human, aside), dim=1))
    assert scored.total.shape == (5, 2)
    assert scored.sub_scores.shape == (5, 2, 5)
    assert scored.total[:, 0].mean() > 0.6
    assert (scored.total[:, 0] > scored.total[:, 1]).float().mean() > 0.6


def test_scenes_are_found_by_their_place(town, rewards):
    order = torch.tensor([4, 0, 2])
    one_by_one = rewards(torch.arange(5), town.samples.human.unsqueeze(1)).total
    assert torch.equal(rewards(order, town.samples.human[order].unsqueeze(1)).total, one_by_one[order])


def test_report_orders_what_must_be_ordered(town, rewards):
    """The best leaf by simulation can be no worse than the imitation plan or the reward model's choice."""
    torch.manual_seed(0)
    model = PairModel(tiny_config()).eval()
    results = evaluate(model, town.samples, rewards)
    with torch.no_grad():
        imitated = model.imitation(town.samples.features(torch.arange(5)))
    assert results["imitation"].score == pytest.approx(
        float(rewards(torch.arange(5), imitated.unsqueeze(1)).total.mean()), abs=1e-6
    )
    assert set(results) == {"human", "constant velocity", "imitation", "pair", "best leaf"}
    assert results["best leaf"].score >= results["imitation"].score
    assert results["best leaf"].score >= results["pair"].score
    assert results["human"].displacement_m == 0.0
    assert set(results["human"].sub_scores) == {"NC", "DAC", "EP", "TTC", "C"}


def test_constant_velocity_goes_straight(town):
    plans = constant_velocity(town.samples)
    assert plans[..., 1:].abs().max() == 0
    torch.testing.assert_close(plans[:, 1, 0], town.samples.status[:, 4:6].norm(dim=-1))


def small_training(folder):
    return TrainingSettings(
        checkpoint=str(folder / "model.safetensors"),
        model=tiny_config(group_size=6),
        town=FEW,
        calibration=dataclasses.replace(FEW, split=TownSplit.VAL, scenes=3, full_picture_share=0.0),
        held_out=dataclasses.replace(FEW, split=TownSplit.TEST, scenes=3, full_picture_share=0.0),
        imitation=ImitationConfig(epochs=1, batch_size=4),
        reward_model=RewardModelTrainingConfig(epochs=1, batch_size=4, candidates=4),
        reinforcement=ReinforcementTrainingConfig(epochs=1, batch_size=4),
    )


def test_a_whole_training(tmp_path):
    settings = small_training(tmp_path)
    stages = []
    report = train(settings, "pair-drive train", lambda stage, *_: stages.append(stage))
    order = ["town", "calibration", "held-out", "references", "imitation", "reward model", "reinforcement"]
    assert list(dict.fromkeys(stages)) == order
    loaded = load_checkpoint(report.checkpoint)
    assert dataclasses.replace(loaded.model.config, join=settings.model.join) == settings.model
    assert loaded.model.config.join.margin in loaded.training["calibrations"]["reinforcement"]["margins"]
    assert loaded.training["command"] == "pair-drive train"
    assert loaded.training["settings"]["town"]["scenes"] == 5
    assert loaded.training["held_out"]["pdms"]["pair"]["score"] == pytest.approx(report.results["pdms"]["pair"].score)
    assert set(report.results) == {"pdms", "epdms"}


@pytest.mark.parametrize("better", [False, True])
def test_a_training_keeps_what_reinforcement_made_only_if_it_is_no_worse(tmp_path, monkeypatch, town, better):
    """Everything that costs time is left out; reinforcement moves one weight."""
    calibrations = [Calibration((0.0, 0.1), (0.1, 0.5)), Calibration((0.0, 0.1), (0.6 if better else 0.4, 0.2))]

    def moves(branch, *_):
        with torch.no_grad():
            branch.sampler.log_std.fill_(7.0)

    monkeypatch.setattr(run, "collect_town_samples", lambda *_: town)
    monkeypatch.setattr(run, "SimulatedRewards", lambda *_: None)
    monkeypatch.setattr(run, "train_imitation", lambda *_: None)
    monkeypatch.setattr(run, "train_reward_model", lambda *_: None)
    monkeypatch.setattr(run, "evaluate", lambda *_: {})
    monkeypatch.setattr(run, "train_reinforcement", moves)
    monkeypatch.setattr(run, "calibrate_margin", lambda *_: calibrations.pop(0))
    settings = dataclasses.replace(small_training(tmp_path), copy_backbone=better)
    loaded = load_checkpoint(run.train(settings, "x").checkpoint)
    assert bool((loaded.model.reinforcement.sampler.log_std == 7.0).all()) is better
    assert loaded.model.config.join.margin == (0.0 if better else 0.1)
    branches = loaded.model.imitation, loaded.model.reinforcement
    weights, copies = (list(branch.backbone.parameters()) for branch in branches)
    assert all(map(torch.equal, weights, copies)) is better, "a copy only if it is asked for"
