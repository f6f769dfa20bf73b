"""Planners on a benchmark: the human and the baselines, learned branches, sources, the command."""

import json
import shutil
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pair_drive_core.cli.main import app
from pair_drive_core.datasets.cache.builder import build_scene_cache
from pair_drive_core.datasets.cache.jobs import CacheSettings
from pair_drive_core.datasets.cache.scene_cache import SceneCache
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.navsim.blobs import encode_jpeg, read_jpeg
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders
from pair_drive_core.datasets.navsim.log import NavsimLog
from pair_drive_core.datasets.navsim.log_file import read_log, write_log
from pair_drive_core.datasets.navsim.scene_filter import read_split
from pair_drive_core.evaluation.benchmark import run_benchmark
from pair_drive_core.evaluation.benchmark_scenes import BenchmarkScene, cached_scenes, navsim_scenes, town_scenes
from pair_drive_core.planning import pdm_references
from pair_drive_core.scene import SceneError
from pair_drive_core.scoring import Metric, score
from pair_drive_core.town.data.navsim_export import TownExport, export_towns
from pair_drive_core.town.data.splits import TownSplit


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    export_towns(TownExport((20001,), 1, vehicles=2, seconds=8.0, sensors=False), root)
    return root


@pytest.fixture(scope="module")
def dataset(data):
    split = read_split(data / "train_test_split" / "towntest.yaml")
    return NavsimDataset(NavsimFolders.of(data, split.data_split), split.scene_filter)


@pytest.fixture(scope="module")
def report(dataset):
    return run_benchmark(navsim_scenes(dataset))


def test_every_planner_is_scored_in_every_scene(report, dataset):
    assert [p.name for p in report.planners] == ["human", "constant velocity", "PDM-Closed"]
    assert report.scenes == 8
    for planner in report.planners:
        assert list(planner.totals) == dataset.tokens()
        names = [*Metric.V2.sub_score_names, "EC", "EPDMS"]
        assert list(planner.means) == names
        assert all(0.0 <= value <= 1.0 for value in planner.means.values())
    human, straight, _ = report.planners
    assert human.means["EPDMS"] > straight.means["EPDMS"]


def test_sub_scores_are_those_of_the_scorer(report, dataset):
    scenes = [dataset.scene(w) for w in dataset]
    plans = torch.stack([s.human.poses for s in scenes]).unsqueeze(1)
    expected = score(scenes, plans, Metric.V2, reference=pdm_references(scenes, Metric.V2)).sub[:, 0].mean(0)
    means = report.planners[0].means
    torch.testing.assert_close(torch.tensor([means[n] for n in Metric.V2.sub_score_names]).double(), expected.double())


def test_extended_comfort_counts_where_there_is_a_frame_before(report, dataset):
    """Two drives of four frames: the first frame of each has none; its total leaves the term out."""
    scenes = [dataset.scene(w) for w in dataset]
    plans = torch.stack([s.human.poses for s in scenes]).unsqueeze(1)
    without = score(scenes, plans, Metric.V2, reference=pdm_references(scenes, Metric.V2)).total[:, 0]
    totals = torch.tensor(list(report.planners[0].totals.values()), dtype=torch.float64)
    torch.testing.assert_close(totals[[0, 4]], without[[0, 4]].double())


def test_a_cache_gives_the_same_scores(report, dataset, tmp_path):
    build_scene_cache(CacheSettings(dataset.folders, dataset.scene_filter), tmp_path)
    again = run_benchmark(cached_scenes(SceneCache(tmp_path)))
    assert [p.totals for p in again.planners] == [p.totals for p in report.planners]


def test_pdms_has_its_own_columns(dataset):
    report = run_benchmark(navsim_scenes(dataset), Metric.V1)
    assert list(report.planners[0].means) == [*Metric.V1.sub_score_names, "PDMS"]
    assert report.total_name == "PDMS"


class Copycat:
    """A learned planner of two leaves: the reference drives on, the choice stands still."""

    def __init__(self):
        self.inputs = []

    def plan(self, agent_input):
        self.inputs.append(agent_input)
        along = torch.arange(1, 9) * 0.5 * float(agent_input.now.velocity[0])
        leaves = torch.zeros(2, 8, 3)
        leaves[0, :, 0] = along
        return SimpleNamespace(poses=leaves[1], candidates=SimpleNamespace(poses=leaves, imitation_index=0))


def test_both_branches_of_a_learned_planner_are_judged():
    planner = Copycat()
    scenes = list(town_scenes(TownSplit.TEST, 3))
    report = run_benchmark(scenes, Metric.V1, planner)
    by_name = {p.name: p for p in report.planners}
    assert len(planner.inputs) == 3
    assert planner.inputs[0].validate().lidar is not None
    assert list(by_name) == ["human", "constant velocity", "PDM-Closed", "imitation", "pair"]
    assert by_name["imitation"].means["EP"] == pytest.approx(by_name["constant velocity"].means["EP"], abs=1e-6)
    assert by_name["pair"].means["NC"] == 1.0


def test_towns_are_always_the_same():
    first, second = (list(town_scenes(TownSplit.VAL, 2)) for _ in range(2))
    assert [s.scene.token for s in first] == [s.scene.token for s in second]
    assert first[0].log_name == first[1].log_name
    with pytest.raises(SceneError, match="at least one"):
        next(town_scenes(TownSplit.VAL, 0))


def test_a_missing_and_a_torn_picture_leave_out_their_scenes_alone(tmp_path):
    """On request; the other scenes are scored, and the files are named."""
    whole, first, second = town_scenes(TownSplit.TEST, 3)
    gone, torn = tmp_path / "gone.jpg", tmp_path / "torn.jpg"
    torn.write_bytes(encode_jpeg(np.zeros((64, 64, 3), dtype=np.uint8))[:100])
    scenes = [replace(first, sense=partial(read_jpeg, gone)), whole, replace(second, sense=partial(read_jpeg, torn))]
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        run_benchmark(scenes, learned=Copycat())
    skipped = []
    report = run_benchmark(scenes, learned=Copycat(), skipped=skipped)
    assert report.scenes == 1
    assert [row.token for row in report.planners[0].rows] == [whole.scene.token]
    assert [entry.token for entry in skipped] == [first.scene.token, second.scene.token]
    assert ("gone.jpg" in skipped[0].problem, "torn.jpg" in skipped[1].problem) == (True, True)


def test_a_planner_sees_an_empty_sweep_where_there_is_none():
    """Second-stage scenes have no point cloud; the plan is made, scored and counted."""
    planner = Copycat()
    first, second = town_scenes(TownSplit.TEST, 2)
    follower = replace(second, sense=lambda: replace(second.sense(), lidar=None), second_stage=True)
    report = run_benchmark([first, follower], learned=planner)
    seen = [entry.validate().lidar.points.shape for entry in planner.inputs]
    assert seen[0][0] > 0
    assert seen[1] == (0, 4)
    assert (report.blind, report.to_json()["without_lidar"]) == (1, 1)
    assert all(not planner.unscored for planner in report.planners)


def test_what_is_missing_is_named(dataset):
    scene = dataset.scene(dataset.tokens()[0])
    with pytest.raises(SceneError, match="at least one scene"):
        run_benchmark([])
    with pytest.raises(SceneError, match=f"{scene.token}.*sensors"):
        run_benchmark([BenchmarkScene(scene, "log", None)], learned=Copycat())
    with pytest.raises(SceneError, match=f"{scene.token}.*demonstration"):
        run_benchmark([BenchmarkScene(replace(scene, human=None), "log", None)])


def test_the_command_prints_one_table_and_writes_json(data, tmp_path):
    out = tmp_path / "report.json"
    split = data / "train_test_split" / "towntest.yaml"
    command = ["evaluate", "--data", str(data), "--split", str(split), "--out", str(out)]
    output = CliRunner().invoke(app, command, catch_exceptions=False).output
    assert "EPDMS on 8 scenes" in output
    assert "constant velocity" in output
    written = json.loads(out.read_text())
    assert written["scenes"] == 8
    assert len(written["planners"][0]["totals"]) == 8


@pytest.mark.parametrize(
    ("options", "problem", "kind"),
    [
        ([], "one source", ValueError),
        (["--town", "test", "--cache", "x"], "one source", ValueError),
        (["--data", "x"], "one source", ValueError),
        (["--cache", "nowhere"], "no scene cache", FileNotFoundError),
        (["--data", "x", "--split", "nowhere.yaml"], r"nowhere\.yaml", FileNotFoundError),
        (["--town", "test", "--checkpoint", "nowhere.safetensors"], r"nowhere\.safetensors", FileNotFoundError),
    ],
)
def test_bad_options_are_named(options, problem, kind):
    with pytest.raises(kind, match=problem):
        CliRunner().invoke(app, ["evaluate", *options], catch_exceptions=False)


def test_unreadable_scenes_stop_or_are_listed(data, tmp_path):
    root = shutil.copytree(data, tmp_path / "data")
    split = root / "train_test_split" / "towntest.yaml"
    path = sorted((root / "navsim_logs" / "test").glob("*.pkl"))[0]
    log = read_log(path)
    frames = [replace(f, annotations=None) if f.frame_idx == 15 else f for f in log.frames]
    write_log(NavsimLog(log.name, tuple(frames)), path)
    command = ["evaluate", "--data", str(root), "--split", str(split)]
    with pytest.raises(DatasetError, match="no annotations"):
        CliRunner().invoke(app, command, catch_exceptions=False)
    output = CliRunner().invoke(app, [*command, "--skip-bad"], catch_exceptions=False).output
    assert "skipped 2:" in output
    assert "on 6 scenes" in output
