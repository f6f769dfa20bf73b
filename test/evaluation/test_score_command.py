"""Plans of any model, scored as the official scripts do: files, tables, conventions, what is missing or odd."""

import csv
import json
import math
import pickle
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import safetensors.numpy
import torch
from pyarrow import parquet
from typer.testing import CliRunner

from pair_drive_core.cli.main import app
from pair_drive_core.datasets.errors import DatasetError, UntrustedPickleError
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders
from pair_drive_core.datasets.navsim.log import NO_COMMAND, NavsimLog
from pair_drive_core.datasets.navsim.log_file import read_log, write_log
from pair_drive_core.datasets.navsim.scene_filter import Split, read_split, write_split
from pair_drive_core.datasets.navsim.submissions import (
    Submission,
    dump_submission,
    read_submission,
    write_submission,
)
from pair_drive_core.datasets.plan_files import TimedPlans, read_plan_files
from pair_drive_core.evaluation.benchmark import score_scenes
from pair_drive_core.evaluation.benchmark_scenes import BenchmarkScene
from pair_drive_core.evaluation.confidence import bootstrap_interval
from pair_drive_core.evaluation.contestants import ODD_HEADING, ODD_RATE, GivenPlans
from pair_drive_core.evaluation.official_table import official_csv
from pair_drive_core.evaluation.score_settings import ScoreSettings, Traffic
from pair_drive_core.planning import ConstantVelocityPlanner
from pair_drive_core.scene import SceneError
from pair_drive_core.scoring import HumanFilter, Metric
from pair_drive_core.town.data.navsim_export import TownExport, export_towns

OFFICIAL = Path(__file__).parent.parent / "golden" / "devkit"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The town of which test/golden/devkit holds the official tables."""
    root = tmp_path_factory.mktemp("data")
    export_towns(TownExport((20001,), 1, vehicles=2, seconds=8.0, sensors=False), root)
    return root


@pytest.fixture(scope="module")
def scenes(data):
    split = read_split(data / "train_test_split" / "towntest.yaml")
    dataset = NavsimDataset(NavsimFolders.of(data, split.data_split), split.scene_filter)
    return [BenchmarkScene(dataset.scene(window), window.now.log_name, None) for window in dataset]


@pytest.fixture(scope="module")
def straight(scenes):
    """Constant velocity in every scene, in single precision, as the devkit's agent answers."""
    planner = ConstantVelocityPlanner()
    poses = {e.scene.token: planner.plan_scene(e.scene).poses.float().double().numpy()[None] for e in scenes}
    return {token: TimedPlans(plan, 0.5) for token, plan in poses.items()}


def command(data, *more):
    split = data / "train_test_split" / "towntest.yaml"
    return ["score", *map(str, more), "--data", str(data), "--split", str(split)]


def run(arguments):
    return CliRunner().invoke(app, arguments, catch_exceptions=False).output


def table(text):
    rows = list(csv.DictReader(text.splitlines()))
    return {row["token"]: {k: v for k, v in row.items() if k not in ("", "token")} for row in rows}


def assert_same_table(ours, official):
    """Sub-scores exactly, progress and totals within 1e-6."""
    ours, official = table(ours), table(official)
    assert list(next(iter(ours.values()))) == list(next(iter(official.values())))
    assert set(ours) == set(official)
    for token, row in official.items():
        assert ours[token]["valid"] == row["valid"]
        for name, value in row.items():
            if name == "valid":
                continue
            a, b = (math.nan if text == "" else float(text) for text in (ours[token][name], value))
            loose = 1e-6 if "progress" in name or name == "score" or token.startswith(("average", "extended")) else 0.0
            assert a == pytest.approx(b, abs=loose, nan_ok=True), (token, name)


@pytest.mark.parametrize("metric", ["v1", "v2"])
def test_the_table_is_the_official_one(data, straight, tmp_path, metric):
    """Written by the unmodified devkit's own scripts on the same export; see test/golden/README.md."""
    write_submission(Submission(straight), tmp_path / "plans.pkl")
    output = run(command(data, tmp_path / "plans.pkl", "--metric", metric, "--csv", tmp_path / "a.csv"))
    official = (OFFICIAL / f"{metric}_constant_velocity.csv").read_text()
    assert_same_table((tmp_path / "a.csv").read_text(), official)
    assert f"on {len(straight)} scenes" in output
    assert "normalisation single" in output
    assert ("human filter fixed" in output) == (metric == "v2")
    assert "95 % bootstrap" in output


@pytest.mark.parametrize("metric", [Metric.V1, Metric.V2])
def test_the_human_scores_as_officially(scenes, metric):
    plans = {e.scene.token: TimedPlans(e.scene.human.poses.numpy()[None], 0.5) for e in scenes}
    report = score_scenes(scenes, [GivenPlans("human", plans)], ScoreSettings(metric))
    assert_same_table(official_csv(report.planners[0]), (OFFICIAL / f"{metric.value}_human.csv").read_text())


def test_a_submission_of_the_devkit_is_read(straight):
    """Written by the devkit's `run_create_submission_pickle` with its constant-velocity agent on the same export."""
    submission = read_submission(OFFICIAL / "submission.pkl")
    assert submission.about["team_name"] == "t"
    assert set(submission.plans) == set(straight)
    for token, plan in submission.plans.items():
        np.testing.assert_allclose(plan.poses, straight[token].poses, atol=1e-5)


class Trajectory:
    """Stand-in of the devkit's class."""


class TrajectorySampling:
    """Stand-in of nuPlan's class."""


def test_a_written_submission_is_the_devkits(straight):
    """Opened by plain pickle with the devkit's names: attributes, array types and sampling as its own file has them."""

    class Devkit(pickle.Unpickler):
        def find_class(self, module, name):
            kinds = {
                ("navsim.common.dataclasses", "Trajectory"): Trajectory,
                ("nuplan.planning.simulation.trajectory.trajectory_sampling", "TrajectorySampling"): TrajectorySampling,
            }
            return kinds.get((module, name)) or super().find_class(module, name)

    import io

    second = {"a" * 17: next(iter(straight.values()))}
    content = Devkit(io.BytesIO(dump_submission(Submission(straight, second, {"team_name": "x"})))).load()
    assert content["team_name"] == "x"
    assert set(content["second_stage_predictions"][0]) == {"a" * 17}
    for token, trajectory in content["first_stage_predictions"][0].items():
        assert trajectory.poses.dtype == np.float32
        np.testing.assert_array_equal(trajectory.poses, straight[token].poses[0].astype(np.float32))
        sampling = trajectory.trajectory_sampling
        assert (sampling.num_poses, sampling.time_horizon, sampling.interval_length) == (8, 4.0, 0.5)
    assert set(Devkit(io.BytesIO(dump_submission(Submission(straight)))).load()) >= {"predictions", "authors"}


def test_a_pickle_of_foreign_classes_is_refused(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R.")
    with pytest.raises(UntrustedPickleError, match=r"posix\.system"):
        read_submission(tmp_path / "a.pkl")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"predictions": [{}, {}]}))
    with pytest.raises(DatasetError, match=r"one dictionary.*2 of them"):
        read_submission(tmp_path / "a.pkl")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"predictions": [{"t": 3}]}))
    with pytest.raises(DatasetError, match="scene t: expected a Trajectory, got int"):
        read_submission(tmp_path / "a.pkl")


def test_every_kind_of_file_gives_the_same_plans(straight, tmp_path):
    arrays = {token: plan.poses[0] for token, plan in straight.items()}
    np.savez(tmp_path / "a.npz", **arrays)
    safetensors.numpy.save_file(arrays, tmp_path / "a.safetensors", {"interval_s": "0.5"})
    (tmp_path / "each").mkdir()
    for token, poses in arrays.items():
        np.save(tmp_path / "each" / f"{token}.npy", poses)
    for path in ("a.npz", "a.safetensors", "each"):
        plans = read_plan_files(tmp_path / path)
        assert set(plans) == set(straight)
        for token, plan in plans.items():
            np.testing.assert_array_equal(plan.poses, straight[token].poses)
            assert plan.interval_s == 0.5


def test_bad_plan_files_are_named(tmp_path):
    np.savez(tmp_path / "slow.npz", a=np.zeros((40, 3)))
    with pytest.raises(DatasetError, match=r"scene a: expected 4 s of poses, got 40 poses every 0\.5 s.*frame rate"):
        read_plan_files(tmp_path / "slow.npz")
    assert read_plan_files(tmp_path / "slow.npz", 0.1)["a"].poses.shape == (1, 40, 3)
    np.savez(tmp_path / "wide.npz", a=np.zeros((8, 2)))
    with pytest.raises(DatasetError, match=r"scene a.*\(P, 3\)"):
        read_plan_files(tmp_path / "wide.npz")
    (tmp_path / "torn.safetensors").write_bytes(b"1234567890")
    with pytest.raises(DatasetError, match="safetensors"):
        read_plan_files(tmp_path / "torn.safetensors")
    folder = tmp_path / "twice"
    folder.mkdir()
    np.savez(folder / "a.npz", t=np.zeros((8, 3)))
    np.save(folder / "t.npy", np.zeros((8, 3)))
    with pytest.raises(DatasetError, match=r"two plans for scene t; the other is in a\.npz"):
        read_plan_files(folder)
    with pytest.raises(FileNotFoundError, match="no plans"):
        read_plan_files(tmp_path / "gone.npz")


@pytest.mark.parametrize("interval_s", [0.0, -0.5, math.nan, math.inf])
def test_an_interval_that_is_none_is_named_and_never_replaced(tmp_path, straight, interval_s):
    arrays = {token: plan.poses[0] for token, plan in straight.items()}
    np.savez(tmp_path / "told.npz", interval_s=interval_s, **arrays)
    np.savez(tmp_path / "bare.npz", **arrays)
    for name, asked in (("told.npz", None), ("bare.npz", interval_s)):
        with pytest.raises(DatasetError, match="is the frame rate right"):
            read_plan_files(tmp_path / name, asked)


def test_archives_of_something_else_are_named_before_they_unpack(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("a.npy", b"no array")
    with pytest.raises(DatasetError, match="a: expected an array of numbers"):
        read_plan_files(tmp_path / "other.npz")
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(2**26 + 1))
    with pytest.raises(DatasetError, match=r"a\.npy: expected at most 67108864 bytes"):
        read_plan_files(tmp_path / "bomb.npz")


def test_headings_in_degrees_are_counted(scenes, straight):
    """They would be scored as spins without a word."""
    token = scenes[0].scene.token
    turned = {**straight, token: TimedPlans(np.add(straight[token].poses, [0.0, 0.0, 40.0]), 0.5)}
    assert score_scenes(scenes, [GivenPlans("x", turned)]).oddities == {ODD_HEADING: 1}


def test_parquet_tables_are_plans(tmp_path):
    """Columns token and poses, with an interval or without; what does not fit is named."""
    poses = np.arange(24.0).reshape(8, 3)
    rows = {"token": ["a", "b"], "poses": [poses.ravel().tolist(), (2 * poses).ravel().tolist()]}
    parquet.write_table(pyarrow.table(rows), tmp_path / "plans.parquet")
    plans = read_plan_files(tmp_path / "plans.parquet")
    np.testing.assert_array_equal(plans["b"].poses[0], 2 * poses)
    assert plans["a"].interval_s == 0.5
    parquet.write_table(pyarrow.table({**rows, "interval_s": [1.0, 0.1]}), tmp_path / "odd.parquet")
    with pytest.raises(DatasetError, match=r"scene a: expected 4 s of poses, got 8 poses every 1 s"):
        read_plan_files(tmp_path / "odd.parquet")
    parquet.write_table(pyarrow.table({**rows, "token": ["a", "a"]}), tmp_path / "twice.parquet")
    with pytest.raises(DatasetError, match="two plans for scene a"):
        read_plan_files(tmp_path / "twice.parquet")
    parquet.write_table(pyarrow.table({"token": ["a"], "path": [[0.0]]}), tmp_path / "bare.parquet")
    with pytest.raises(DatasetError, match=r"missing \['poses'\]"):
        read_plan_files(tmp_path / "bare.parquet")
    parquet.write_table(pyarrow.table({**rows, "interval_s": [None, 0.5]}), tmp_path / "half.parquet")
    assert {plan.interval_s for plan in read_plan_files(tmp_path / "half.parquet").values()} == {0.5}
    parquet.write_table(pyarrow.table({**rows, "interval_s": ["x", "y"]}), tmp_path / "text.parquet")
    with pytest.raises(DatasetError, match="scene a: expected seconds as interval_s, got 'x'"):
        read_plan_files(tmp_path / "text.parquet")
    (tmp_path / "torn.parquet").write_bytes((tmp_path / "plans.parquet").read_bytes()[:-20])
    with pytest.raises(DatasetError, match="expected a Parquet table"):
        read_plan_files(tmp_path / "torn.parquet")


@pytest.mark.parametrize("pace", [0.2, 0.4, 1.0, 2.0])
def test_plans_at_another_rate_than_they_are_taken_for_are_counted(scenes, straight, pace):
    """Eight poses at 10, 5 or 1 Hz, taken for 2 Hz, would be scored as a crawl or a race without a word."""
    moving = sum(float(entry.scene.ego.velocity[0]) >= 3.0 for entry in scenes)
    assert moving > 2
    other = {t: TimedPlans(p.poses * [pace, pace, 1.0], 0.5) for t, p in straight.items()}
    report = score_scenes(scenes, [GivenPlans("x", other)])
    assert report.oddities == ({} if pace == 1.0 else {ODD_RATE: moving})


def test_plans_at_ten_hertz_score_as_the_same_motion(scenes, straight):
    """A straight plan is the same line at any rate."""
    fine = {}
    for token, plan in straight.items():
        poses = np.zeros((1, 40, 3))
        poses[0, :, 0] = np.arange(1, 41) * plan.poses[0, 0, 0] / 5.0
        fine[token] = TimedPlans(poses, 0.1)
    both = score_scenes(scenes[:3], [GivenPlans("coarse", straight), GivenPlans("fine", fine)])
    coarse, other = both.planners
    for a, b in zip(coarse.rows, other.rows, strict=True):
        np.testing.assert_allclose(a.values, b.values, atol=1e-4)


def test_nothing_is_scored_zero_in_silence(scenes, straight):
    """Missing, NaN and global-frame plans are rows of their own, out of the mean and counted."""
    tokens = [entry.scene.token for entry in scenes]
    broken = dict(straight)
    broken.pop(tokens[0])
    broken[tokens[1]] = replace(straight[tokens[1]], poses=np.full((1, 8, 3), np.nan))
    ego = scenes[2].scene.ego.pose.numpy()
    broken[tokens[2]] = TimedPlans(ego + straight[tokens[2]].poses * [0.1, 0.1, 1.0], 0.5)
    scores = score_scenes(scenes, [GivenPlans("x", broken)]).planners[0]
    assert [row.problem for row in scores.rows[:3]] == [
        "no plan for this scene",
        "the plan holds NaN or infinity",
        next(row.problem for row in scores.rows if row.token == tokens[2]),
    ]
    assert "global frame" in scores.rows[2].problem
    assert all(math.isnan(value) for row in scores.rows[:3] for value in row.values)
    whole = [row.values[-1] for row in scores.rows[3:]]
    assert scores.means["EPDMS"] == pytest.approx(sum(whole) / len(whole))
    written = table(official_csv(scores))
    assert [written[token]["valid"] for token in tokens[:4]] == ["False", "False", "False", "True"]
    assert written["average_all_frames"]["valid"] == "False"
    assert written[tokens[0]]["score"] == ""


def test_several_plans_a_scene_are_each_scored_alone_or_together(scenes, straight):
    pair = {t: TimedPlans(np.concatenate((p.poses * 0.5, p.poses)), 0.5) for t, p in straight.items()}
    alone = score_scenes(scenes[:2], [GivenPlans("x", straight)]).planners[0]
    slow, fast = score_scenes(scenes[:2], [GivenPlans("x", pair)]).planners
    assert (slow.name, fast.name) == ("x 0", "x 1")
    assert [row.values for row in fast.rows] == [row.values for row in alone.rows]
    together = score_scenes(scenes[:2], [GivenPlans("x", pair)], ScoreSettings(normalisation="batch"))
    ep = together.planners[0].columns.index("EP")
    assert all(a.values[ep] <= b.values[ep] for a, b in zip(together.planners[0].rows, slow.rows, strict=True))


def test_conventions_change_what_they_say(scenes, straight):
    def of(**changes):
        return score_scenes(scenes, [GivenPlans("x", straight)], ScoreSettings(**changes)).planners[0]

    fixed, old, off = (of(human_filter=convention) for convention in HumanFilter)
    assert [row.values[:8] for row in fixed.rows] == [row.values[:8] for row in old.rows]
    assert [row.values[-1] for row in old.rows] == [row.values[-1] for row in off.rows]
    with pytest.raises(SceneError, match="traffic idm"):
        of(metric=Metric.V1, traffic=Traffic.IDM)
    assert of(traffic=Traffic.CONSTANT_VELOCITY).rows[0].problem is None


def test_tokens_that_do_not_fit_are_named(data, straight, tmp_path):
    write_submission(Submission({"feed" * 4: next(iter(straight.values()))}), tmp_path / "other.pkl")
    with pytest.raises(DatasetError, match="submission for another split"):
        run(command(data, tmp_path / "other.pkl"))
    some = dict(list(straight.items())[1:])
    write_submission(Submission({**some, "feed" * 4: next(iter(straight.values()))}), tmp_path / "some.pkl")
    output = run(command(data, tmp_path / "some.pkl", "--explain", "--out", tmp_path / "a.json"))
    assert "1 of 8 scenes have no score" in output
    assert "no plan for this scene: " + next(iter(straight)) in output
    assert "1 plans are for scenes that are not in this benchmark, first ['feedfeedfeedfeed']" in output
    assert "leaves the drivable area" in output
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["unknown"] == ["feed" * 4]
    assert written["planners"][0]["frames"][next(iter(straight))]["EPDMS"] is None


def test_several_processes_give_the_same_table(data, straight, tmp_path):
    write_submission(Submission(straight), tmp_path / "plans.pkl")
    for workers in ("1", "2"):
        run(command(data, tmp_path / "plans.pkl", "--workers", workers, "--csv", tmp_path / f"{workers}.csv"))
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()


def test_tokens_that_no_log_holds_are_named(data, straight, tmp_path):
    root = shutil.copytree(data, tmp_path / "data")
    split = read_split(root / "train_test_split" / "towntest.yaml")
    tokens = (*list(straight)[:2], "feed" * 4)
    write_split(
        Split(split.name, split.data_split, replace(split.scene_filter, tokens=tokens)), root / "train_test_split"
    )
    evaluate = ["evaluate", *command(root)[1:]]
    with pytest.raises(DatasetError, match=r"1 scenes that the split names are nowhere.*feedfeed"):
        run(evaluate)
    output = run([*evaluate, "--skip-bad"])
    assert "on 2 scenes" in output
    assert "feedfeedfeedfeed: the split names it" in output


def test_torn_logs_missing_pictures_and_odd_scenes(data, straight, tmp_path):
    """A torn log is skipped on request; a gap and a command of zeros are scored and counted."""
    root = shutil.copytree(data, tmp_path / "data")
    first, second = sorted((root / "navsim_logs" / "test").glob("*.pkl"))
    log = read_log(first)
    frames = [
        replace(
            f,
            timestamp_us=f.timestamp_us + (900_000 if f.frame_idx >= 14 else 0),
            oddities=(NO_COMMAND,) if f.frame_idx == 3 else (),
        )
        for f in log.frames
    ]
    write_log(NavsimLog(log.name, tuple(frames)), first)
    second.write_bytes(second.read_bytes()[:-100])
    evaluate = ["evaluate", *command(root)[1:]]
    with pytest.raises(DatasetError, match="corrupt pickle"):
        run(evaluate)
    output = run([*evaluate, "--skip-bad"])
    assert "on 4 scenes" in output
    assert "skipped 1:" in output
    assert "3 scenes with time gap between frames" in output
    assert "1 scenes with all-zero driving command" in output


@pytest.mark.parametrize("metric", ["v1", "v2"])
def test_a_set_with_gaps_has_the_official_mean(data, tmp_path, metric):
    """A frame that is missing, a jump of the stamps, a command of zeros: the devkit scores them all, and so do we."""
    root = shutil.copytree(data, tmp_path / "data")
    for number, path in enumerate(sorted((root / "navsim_logs" / "test").glob("*.pkl"))):
        log = read_log(path)
        frames = [replace(f, oddities=(NO_COMMAND,) if f.frame_idx == 4 else ()) for f in log.frames]
        if number == 0:
            late = (replace(f, timestamp_us=f.timestamp_us + 900_000) for f in frames[14:])
            frames = [*frames[:14], *late]
        else:
            frames = [f for f in frames if f.frame_idx != len(frames) - 3]
        write_log(NavsimLog(log.name, tuple(frames)), path)
    plans = OFFICIAL / "submission.pkl"
    output = run(command(root, plans, "--metric", metric, "--csv", tmp_path / "a.csv"))
    assert "5 scenes with time gap between frames" in output
    assert "2 scenes with all-zero driving command" in output
    official = (OFFICIAL / f"{metric}_gaps_constant_velocity.csv").read_text()
    assert_same_table((tmp_path / "a.csv").read_text(), official)


def test_a_bootstrap_interval_holds_the_mean():
    values = torch.rand(200, generator=torch.Generator().manual_seed(1)).tolist()
    low, high = bootstrap_interval(values)
    mean = sum(values) / len(values)
    assert low < mean < high
    assert high - low == pytest.approx(2 * 1.96 * np.std(values) / math.sqrt(200), rel=0.1)
    assert (low, high) == bootstrap_interval([*values, math.nan])
    assert all(math.isnan(end) for end in bootstrap_interval([]))
