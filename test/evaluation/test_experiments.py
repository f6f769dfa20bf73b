"""`make experiments-smoke`: every scheme and every imitation policy end to end on a tiny town, and the table."""

import dataclasses
import json

import pytest

from pair_drive_core.evaluation.experiment_table import BEGIN, END, read_runs, write_table
from pair_drive_core.evaluation.experiments import ExperimentSettings, all_experiments, run_experiment
from pair_drive_core.models import load_checkpoint
from pair_drive_core.models.presets import tiny_config
from pair_drive_core.training.augmentation import AugmentationConfig
from pair_drive_core.training.imitation import ImitationConfig
from pair_drive_core.training.optimisation import OptimiserConfig
from pair_drive_core.training.policy_optimisation import PolicyTrainingConfig
from pair_drive_core.training.reinforcement import ReinforcementTrainingConfig
from pair_drive_core.training.reward_model import RewardModelTrainingConfig
from pair_drive_core.training.schemes import SchemeSettings
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
    for experiment in all_experiments([0]):
        run_experiment(experiment, settings, folder, {"command": "make experiments-smoke"})
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
    assert run_experiment(experiment, settings, results, {}) == path
    assert path.stat().st_mtime_ns == before


def test_joined_plans_come_from_both_runs_and_are_trained_by_neither(results, settings):
    """PaIR on a new imitation policy: the policy's plan is leaf 0, the branch is the parallel run's to the last bit."""
    run, alone = read(results, "pair_on.ego_status.seed0"), read(results, "il.ego_status.seed0")
    assert run["history"] == {}
    assert run["held_out"]["imitation"] == alone["held_out"]["plan"]
    parallel = load_checkpoint(settings_path(settings, "parallel.transfuser.seed0"))
    assert run["margin"] == parallel.model.config.join.margin


def settings_path(settings, name):
    from pathlib import Path

    return Path(settings.folder) / name / "model.safetensors"


def test_the_table_is_written_between_its_marks(results, tmp_path):
    page = tmp_path / "results.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_table(page, read_runs(results))
    lines = page.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert "old" not in lines
    assert len(lines) == 6 + len(NAMES)
    parallel = next(line for line in lines if line.startswith("| parallel | transfuser | 1 |"))
    assert "[" in parallel
    page.write_text("no marks")
    with pytest.raises(ValueError, match="expected the lines"):
        write_table(page, [])
