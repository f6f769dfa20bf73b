"""`make experiments-smoke`: every scheme and every imitation policy end to end on a tiny town, and the table."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from pair_drive_core.evaluation.experiment_table import BEGIN, END, read_runs, write_table
from pair_drive_core.evaluation.experiments import (
    Experiment,
    ExperimentSettings,
    Laboratory,
    Policy,
    all_experiments,
    judge_given,
    run_experiment,
)
from pair_drive_core.models import PairModel, load_checkpoint, save_checkpoint
from pair_drive_core.models.presets import tiny_config
from pair_drive_core.training.augmentation import AugmentationConfig, augment
from pair_drive_core.training.calibration import MARGINS
from pair_drive_core.training.imagined import load_imagined
from pair_drive_core.training.imitation import ImitationConfig
from pair_drive_core.training.optimisation import OptimiserConfig
from pair_drive_core.training.policy_optimisation import PolicyTrainingConfig
from pair_drive_core.training.reinforcement import ReinforcementTrainingConfig
from pair_drive_core.training.reward_model import RewardModelTrainingConfig
from pair_drive_core.training.schemes import Scheme, SchemeSettings
from pair_drive_core.training.shard_samples import ShardSamples
from pair_drive_core.training.town_shards import MomentConfig, ShardConfig, make_shards

FAST = OptimiserConfig(learning_rate=5e-3, weight_decay=0.0)
PLAIN = AugmentationConfig(0.0, 0.0, 0.0, 0.0)
pytestmark = pytest.mark.timeout(600)  # fourteen runs, all in the first test's fixture
NAMES = [experiment.name for experiment in all_experiments([0])]


def small_model():
    tiny = tiny_config(group_size=6)
    backbone = dataclasses.replace(tiny.imitation.backbone, world_width=8, bev_from_stem=True, bev_classes=0)
    return dataclasses.replace(
        tiny,
        imitation=dataclasses.replace(tiny.imitation, backbone=backbone),
        reinforcement=dataclasses.replace(tiny.reinforcement, backbone=backbone),
    )


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    root, model = tmp_path_factory.mktemp("experiments"), small_model()
    moments = MomentConfig(scenes_a_town=6, simulated_s=8.0, full_picture_share=0.0, displaced_share=0.0)
    for name, layout in (("train", 4), ("calibration", 40_004), ("held_out", 50_004)):
        make_shards(root / name, ShardConfig(layout, 1, 0, moments, model.features))
    return ExperimentSettings(
        folder=str(root / "runs"),
        train=str(root / "train"),
        calibration=str(root / "calibration"),
        held_out=str(root / "held_out"),
        towns=1,
        model=model,
        anchors=3,
        schemes=SchemeSettings(
            budget=24,
            imitation=ImitationConfig(batch_size=6, bev_weight=0.1, optimiser=FAST, augmentation=PLAIN),
            reward_model=RewardModelTrainingConfig(
                batch_size=6, candidates=6, bev_weight=0.1, optimiser=FAST, augmentation=PLAIN
            ),
            reinforcement=ReinforcementTrainingConfig(batch_size=6, extra_candidates=0, optimiser=FAST),
            policy=PolicyTrainingConfig(batch_size=6, group_size=10, optimiser=FAST),
        ),
    )


@pytest.fixture(scope="module")
def results(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    laboratory, about = Laboratory(settings), {"command": "make experiments-smoke"}
    judge_given(laboratory, folder, about)
    for experiment in all_experiments([0]):
        run_experiment(experiment, laboratory, folder, about)
    return folder


def read(results, name):
    return json.loads((results / f"{name}.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_every_run_comes_to_an_end_with_a_score_for_each_scene(results, settings, name):
    run = read(results, name)
    assert run["command"] == "make experiments-smoke"
    for metric in ("PDMS", "EPDMS"):
        scores = run["held_out"]["plan"][metric]
        assert len(scores["scenes"]) == 6
        assert all(0.0 <= score <= 1.0 for score in scores["scenes"])
        assert scores["mean"] == pytest.approx(sum(scores["scenes"]) / 6, abs=1e-3)
    for stage, values in run["history"].items():
        if stage in ("imitation", "reward model"):
            assert values[-1] < values[0], stage


def test_rewards_rise_where_nothing_else_teaches(results):
    rewards = read(results, "rl.transfuser.seed0")["history"]["policy"]
    assert len(rewards) == 12
    assert sum(rewards[-4:]) > sum(rewards[:4])


def test_a_run_that_is_there_is_not_made_again(results, settings):
    path = results / "il.ego_status.seed0.json"
    before = path.stat().st_mtime_ns
    experiment = next(e for e in all_experiments([0]) if e.name == "il.ego_status.seed0")
    assert run_experiment(experiment, Laboratory(settings), results, {}) == path
    assert path.stat().st_mtime_ns == before


def test_joined_plans_come_from_both_runs_and_are_trained_by_neither(results, settings):
    """PaIR on a new imitation policy: the policy's plan is leaf 0, the branch is the parallel run's to the last bit."""
    run, alone = read(results, "pair_on.ego_status.seed0"), read(results, "il.ego_status.seed0")
    assert run["history"] == {}
    assert run["held_out"]["imitation"] == alone["held_out"]["plan"]
    assert run["margin"] in MARGINS


def test_pair_follows_the_human_and_the_baselines_stand_beside(results):
    """The human's own plan is leaf 0, so that only a leaf that is predicted to be better takes its place."""
    run, human = read(results, "pair_on.human.seed0"), read(results, "given.human")
    assert run["held_out"]["human"]["EPDMS"] == human["held_out"]["plan"]["EPDMS"]
    assert read(results, "given.pdm-closed")["held_out"]["plan"]["PDMS"]["mean"] > 0.9


def settings_path(settings, name):
    return Path(settings.folder) / name / "model.safetensors"


def test_the_table_is_written_between_its_marks(results, tmp_path):
    page = tmp_path / "results.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_table(page, read_runs(results))
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert "old" not in lines
    assert len(lines) == 6 + len(NAMES) + 3 + 3 + 5  # baselines; a gap, a head; the other schemes
    parallel = next(line for line in lines if line.startswith("| parallel | transfuser | 1 |"))
    assert "[" in parallel
    assert any(line.startswith("| one_shot | transfuser | 1 |") and line.count("[") == 2 for line in lines)
    page.write_text("no marks")
    with pytest.raises(ValueError, match="expected the lines"):
        write_table(page, [])


def test_a_shared_backbone_looks_once_and_learns_nothing(settings, tmp_path):
    torch.manual_seed(0)
    seeing = PairModel(small_model()).eval()
    save_checkpoint(tmp_path / "seeing.safetensors", seeing, {})
    off = {"bev_weight": 0.0, "batch_size": 6, "optimiser": FAST, "augmentation": PLAIN}
    schemes = dataclasses.replace(
        settings.schemes,
        budget=12,
        imitation=ImitationConfig(**off),
        reward_model=RewardModelTrainingConfig(candidates=6, **off),
    )
    places = {"perception": str(tmp_path / "seeing.safetensors"), "folder": str(tmp_path / "runs")}
    shared = dataclasses.replace(settings, schemes=schemes, **places)
    laboratory = Laboratory(shared)
    run = Experiment(Scheme.PARALLEL, Policy.TRANSFUSER, 0)
    report = json.loads(run_experiment(run, laboratory, tmp_path, {}).read_text())
    assert report["perception"] == laboratory.perception_digest != ""
    model = load_checkpoint(settings_path(shared, run.name)).model
    for branch in (model.imitation, model.reinforcement):
        before, after = seeing.imitation.backbone.state_dict(), branch.backbone.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(model.imitation.query, laboratory.build(Policy.TRANSFUSER).imitation.query)
    index, shards = torch.arange(3), ShardSamples.of_folder(Path(shared.train))
    looked = model.imitation(laboratory.train.samples.features(index))
    torch.testing.assert_close(looked, model.imitation(shards.features(index)), atol=2e-2, rtol=0.0)  # kept in 16 bits
    assert {e.policy for e in all_experiments([0], shared_perception=True)}.isdisjoint({Policy.LATENT_TRANSFUSER})
    with pytest.raises(ValueError, match="expected what was imagined of"):
        load_imagined(tmp_path / "runs" / "seen" / "train.safetensors", "another backbone")
    with pytest.raises(ValueError, match="augmentation: expected zeros"):
        augment(laboratory.train.samples.features(index), AugmentationConfig(), torch.Generator())
