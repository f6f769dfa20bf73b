"""The loop under Lightning: the same updates, after a kill and in two processes as well."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file

from pair_drive_core.models import PairModel
from pair_drive_core.models.presets import tiny_config
from pair_drive_core.training.augmentation import AugmentationConfig
from pair_drive_core.training.imitation import ImitationConfig, ImitationTask
from pair_drive_core.training.lightning_runner import LightningRunner
from pair_drive_core.training.loop import FolderRunner, run_task
from pair_drive_core.training.optimisation import OptimiserConfig
from pair_drive_core.training.run_folder import RunFolder
from pair_drive_core.training.samples import DrivingSamples
from pair_drive_core.training.trainer_config import Precision, TrainerConfig

pytestmark = pytest.mark.timeout(400)  # the first test that is run waits for Lightning to load


@pytest.fixture
def samples(features, reference):
    order = [0, 1, 2, 0]
    parts = [features[i : i + 1] for i in order]
    return DrivingSamples.from_features(parts, reference[order], torch.zeros(4, 32, 32, dtype=torch.uint8))


def task_of(samples, updates=6, batch_size=4, statistics=True):
    torch.manual_seed(0)
    plain = AugmentationConfig(0.0, 0.0, 0.0, 0.0)
    optimiser = OptimiserConfig(learning_rate=1e-3, warm_up=0.0, max_gradient_norm=1e6)
    config = ImitationConfig(updates, batch_size, bev_weight=0.0, optimiser=optimiser, augmentation=plain)
    task = ImitationTask(PairModel(tiny_config()).imitation, samples, config)
    task.course = dataclasses.replace(task.course, statistics=statistics)
    return task


def weights(task):
    return {name: value.clone() for name, value in task.module.state_dict().items()}


def test_lightning_makes_the_updates_that_the_loop_makes_and_tells_of_them(samples, tmp_path):
    one, other = task_of(samples), task_of(samples)
    folder = RunFolder(tmp_path)
    folder.describe({"seed": 0}, "pair-drive train", 0)
    history = LightningRunner(tmp_path, TrainerConfig())(one, 3, folder)
    assert history == run_task(other, 3)
    assert all(torch.equal(weights(other)[name], value) for name, value in weights(one).items())
    assert list((tmp_path / "tensorboard" / "imitation").glob("events*"))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [line["L1 m"] for line in lines] == pytest.approx(history)
    assert json.loads((tmp_path / "about.json").read_text())["command"] == "pair-drive train"
    assert [path.name for path in folder.draw()] == ["imitation.png"]
    assert (tmp_path / "imitation.png").stat().st_size > 1000


class KilledError(Exception):
    """What ends a training in the middle."""


@pytest.mark.parametrize("before", [LightningRunner, FolderRunner])
def test_a_killed_training_ends_like_one_that_was_not(samples, tmp_path, before):
    whole = task_of(samples)
    run_task(whole, 3)

    def kill(stage, done, total, values):
        if done == 4:
            raise KilledError

    runner = before(tmp_path, TrainerConfig(save_every=2) if before is LightningRunner else 2)
    with pytest.raises(KilledError):
        runner(task_of(samples), 3, kill)
    resumed, updates = task_of(samples), []
    history = LightningRunner(tmp_path, TrainerConfig())(resumed, 3, lambda _, done, *__: updates.append(done))
    assert len(history) == 6
    # The fourth update was made, but its state not yet written; what is made again is the same.
    assert updates == [3, 4, 5, 6]
    assert all(torch.equal(weights(whole)[name], value) for name, value in weights(resumed).items())


def gradients_after_one_update(samples, folder, devices):
    task = task_of(samples, updates=1, statistics=False)
    history = LightningRunner(folder, TrainerConfig(devices=devices))(task, 3)
    state = torch.load(folder / "imitation.pt", weights_only=True)
    # AdamW's first moment after the first step is a tenth of the gradient.
    moments = state["optimiser"]["state"].values()
    return torch.cat([moment["exp_avg"].flatten() * 10.0 for moment in moments]), history[0]


def test_two_processes_find_the_gradient_that_one_finds(samples, tmp_path):
    one, whole = gradients_after_one_update(samples, tmp_path / "one", 1)
    two, share = gradients_after_one_update(samples, tmp_path / "two", 2)
    assert one.norm() > 0.1
    # The first process saw half of the batch, and its plans of it.
    assert abs(share - whole) > 0.1
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-5 * float(one.norm()))


def test_mixed_precision_learns_as_well(samples, tmp_path):
    task = task_of(samples)
    history = LightningRunner(tmp_path, TrainerConfig(precision=Precision.MIXED))(task, 3)
    exact = run_task(task_of(samples), 3)
    assert history != exact
    assert history == pytest.approx(exact, rel=0.02)
    assert all(value.dtype != torch.bfloat16 for value in weights(task).values())


def test_a_state_of_another_training_is_refused(samples, tmp_path):
    FolderRunner(tmp_path)(task_of(samples), 3)
    with pytest.raises(ValueError, match=r"imitation.pt: expected the state of .*'seed': 4.*, got that of .*'seed': 3"):
        FolderRunner(tmp_path)(task_of(samples), 4)


def test_a_batch_without_a_finite_step_is_kept_and_a_run_of_them_ends_the_training(samples, tmp_path):
    bad = dataclasses.replace(samples, human=samples.human * float("nan"))
    with pytest.raises(ValueError, match="training diverged"):
        FolderRunner(tmp_path)(task_of(bad, updates=9), 3)
    files = sorted((tmp_path / "refused_batches").glob("*.safetensors"))
    assert [file.name for file in files] == [f"update_{number:06d}.safetensors" for number in range(5)]
    kept = load_file(files[0])
    assert set(kept) == {"index", "camera", "lidar", "ground", "status", "human"}
    torch.testing.assert_close(kept["status"], samples.status[kept["index"]])
