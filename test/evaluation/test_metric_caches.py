"""The devkit's own metric caches as scenes: equal to scoring from logs and maps; and what can be wrong with them."""

import csv
import io
import lzma
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from pair_drive_core.cli.main import app
from pair_drive_core.cli.scene_options import scene_progress
from pair_drive_core.datasets.errors import DatasetError, UnknownTokenError, UntrustedPickleError
from pair_drive_core.datasets.navsim import metric_caches
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders
from pair_drive_core.datasets.navsim.metric_caches import FILE_NAME, MetricCaches, read_metric_cache
from pair_drive_core.datasets.navsim.scene_filter import read_split, write_split
from pair_drive_core.planning import pdm_references
from pair_drive_core.scoring import Metric, score
from pair_drive_core.town.data.navsim_export import TownExport, export_towns
from pair_drive_core.training.pdm_reward import PdmReward

OFFICIAL = Path(__file__).parent.parent / "golden" / "devkit"
CACHES = {metric: OFFICIAL / f"metric_cache_{metric.value}" for metric in Metric}
METRICS = pytest.mark.parametrize("metric", list(Metric))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The town that the unmodified devkit cached; see test/golden/README.md."""
    root = tmp_path_factory.mktemp("data")
    export_towns(TownExport((20001,), 1, vehicles=2, seconds=8.0, sensors=False), root)
    return root


@pytest.fixture(scope="module")
def split_file(data):
    return data / "train_test_split" / "towntest.yaml"


@pytest.fixture(scope="module")
def dataset(data, split_file):
    split = read_split(split_file)
    return NavsimDataset(NavsimFolders.of(data, split.data_split), split.scene_filter)


def paths(metric):
    return sorted(CACHES[metric].rglob(FILE_NAME))


def content_of(path):
    return lzma.decompress(path.read_bytes())


def as_folder(root, path):
    """An empty folder of the same names below another root."""
    folder = root.joinpath(*path.relative_to(path.parents[3]).parts[:-1])
    folder.mkdir(parents=True)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False).output


def swerving(scenes):
    """Eight plans a scene around the demonstration, so that every sub-score varies."""
    generator = torch.Generator().manual_seed(0)
    human = torch.stack([scene.human.poses for scene in scenes])[:, None]
    grow = torch.arange(1, 9)[:, None] / 8
    pace = 1 + 0.5 * torch.randn(len(scenes), 8, 1, 1, generator=generator)
    return human * pace + 0.5 * grow * torch.randn(len(scenes), 8, 1, 3, generator=generator)


@METRICS
def test_scores_equal_those_from_logs_and_maps(dataset, metric):
    caches = MetricCaches(CACHES[metric], metric)
    tokens = [token for some in caches.logs.values() for token in some]
    assert len(tokens) == len(paths(metric))
    ours = [dataset.scene(token) for token in tokens]
    ours = [replace(s, reference=r) for s, r in zip(ours, pdm_references(ours, metric), strict=True)]
    cached = [caches.scene(token) for token in tokens]
    plans = swerving(ours)
    a, b = score(cached, plans, metric), score(ours, plans, metric)
    columns = [metric.sub_score_names.index(name) for name in metric.sub_score_names if name != "EP"]
    assert torch.equal(a.sub[..., columns], b.sub[..., columns])
    torch.testing.assert_close(a.total, b.total, atol=1e-9, rtol=0)
    torch.testing.assert_close(a.sub, b.sub, atol=1e-9, rtol=0)
    assert a.sub.std() > 0.1
    rewards = PdmReward(caches, metric)(tokens, plans)
    torch.testing.assert_close(rewards.total, PdmReward(dataset, metric)(tokens, plans).total, atol=1e-9, rtol=0)


@METRICS
def test_the_rows_are_the_official_ones(metric, tmp_path):
    """From the cache alone; the devkit's own table of the same scenes is frozen beside it."""
    output = run(
        *("score", OFFICIAL / "submission.pkl", "--metric-cache", CACHES[metric]),
        *("--metric", metric.value, "--csv", tmp_path / "a.csv"),
    )
    assert f"on {len(paths(metric))} scenes" in output
    assert "plans are for scenes that are not in this benchmark" in output
    ours, official = table(tmp_path / "a.csv"), table(OFFICIAL / f"{metric.value}_constant_velocity.csv")
    assert len(ours) == len(paths(metric)) + 1
    for path in paths(metric):
        token = path.parent.name
        assert set(ours[token]) == set(official[token])
        for name, text in official[token].items():
            if name in ("", "token", "valid") or text == ours[token][name] == "":
                continue
            loose = 1e-6 if name in ("ego_progress", "score") else 0.0
            assert float(ours[token][name]) == pytest.approx(float(text), abs=loose), (token, name)


def table(path):
    return {row["token"]: row for row in csv.DictReader(path.read_text().splitlines())}


def test_objects_lights_and_past_are_the_logs(dataset):
    """Key frames come back from 10 Hz, with the states of the lights."""
    caches = MetricCaches(CACHES[Metric.V2], Metric.V2)
    for path in paths(Metric.V2):
        cached, ours = caches.scene(path.parent.name), dataset.scene(path.parent.name)
        scored = ours.objects.present[:9].any(0)
        assert set(cached.objects.tokens) == {t for t, s in zip(ours.objects.tokens, scored, strict=True) if s}
        for i, token in enumerate(cached.objects.tokens):
            j = ours.objects.tokens.index(token)
            assert bool(cached.objects.present[0, i]) == bool(ours.objects.present[0, j])
            assert cached.objects.types[i] == ours.objects.types[j]
            there = ours.objects.present[:9, j]
            expected = ours.objects.states[:9, j][there]
            if there.sum() > 1:
                torch.testing.assert_close(cached.objects.states[:, i][there], expected, atol=1e-9, rtol=0)
        assert cached.lights.tokens == ours.lights.tokens
        assert torch.equal(cached.lights.red, ours.lights.red)
        assert torch.equal(cached.history.time_us, ours.history.time_us)
        torch.testing.assert_close(cached.history.pose, ours.history.pose, atol=1e-9, rtol=0)
        torch.testing.assert_close(cached.human.poses, ours.human.poses, atol=1e-9, rtol=0)
    with pytest.raises(UnknownTokenError, match="no metric cache of scene 'feed' among 3"):
        caches.scene("feed")


def test_traffic_that_needs_lanes_needs_the_maps(data, tmp_path):
    command = ("score", OFFICIAL / "submission.pkl", "--metric-cache", CACHES[Metric.V2], "--traffic", "idm")
    with pytest.raises(ValueError, match="metric caches do not hold: give the maps with --maps"):
        run(*command)
    assert "traffic idm" in run(*command, "--maps", data / "maps", "--csv", tmp_path / "a.csv")
    logs = ("--data", data, "--split", data / "train_test_split" / "towntest.yaml", "--csv", tmp_path / "b.csv")
    run("score", OFFICIAL / "submission.pkl", *logs, "--traffic", "idm")
    cached, ours = table(tmp_path / "a.csv"), table(tmp_path / "b.csv")
    for path in paths(Metric.V2):
        for name in ("no_at_fault_collisions", "time_to_collision_within_bound", "ego_progress"):
            assert float(cached[path.parent.name][name]) == pytest.approx(float(ours[path.parent.name][name]), abs=1e-9)


def test_the_other_version_is_refused():
    plans = OFFICIAL / "submission.pkl"
    with pytest.raises(DatasetError, match=r"of navsim v1\.1, which holds what --metric v1 needs; --metric v2 needs"):
        run("score", plans, "--metric-cache", CACHES[Metric.V1])
    with pytest.raises(DatasetError, match=r"of navsim main \(v2\).*--metric v1 needs one of navsim v1\.1"):
        run("score", plans, "--metric-cache", CACHES[Metric.V2], "--metric", "v1")


def test_caches_of_another_split_are_named(split_file, tmp_path):
    split = read_split(split_file)

    def written(name, **changes):
        write_split(replace(split, name=name, scene_filter=replace(split.scene_filter, **changes)), tmp_path)
        return tmp_path / f"{name}.yaml"

    command = ("score", OFFICIAL / "submission.pkl", "--metric-cache", CACHES[Metric.V2], "--split")
    with pytest.raises(DatasetError, match=r"none of its 3 metric caches is of split.*are they of another split"):
        run(*command, written("other", log_names=("elsewhere",)))
    some = written("some", tokens=("25335b3fac29339b", "feedfeedfeedfeed"))
    with pytest.raises(DatasetError, match=r"1 scenes that the split names are nowhere.*feedfeedfeedfeed"):
        run(*command, some)
    assert "on 1 scenes" in run(*command, some, "--skip-bad")


def test_a_moved_cache_and_two_of_a_scene_are_named(tmp_path):
    path = paths(Metric.V2)[0]
    moved = tmp_path / "log" / "unknown" / "0123456789abcdef" / FILE_NAME
    moved.parent.mkdir(parents=True)
    shutil.copy(path, moved)
    with pytest.raises(
        DatasetError, match=f"holds scene {path.parent.name}, and lies in the folder of 0123456789abcdef"
    ):
        read_metric_cache(moved, Metric.V2)
    shutil.copytree(tmp_path / "log", tmp_path / "other")
    with pytest.raises(DatasetError, match="a second metric cache of scene 0123456789abcdef"):
        MetricCaches(tmp_path, Metric.V2)
    with pytest.raises(FileNotFoundError, match="no metric caches there"):
        MetricCaches(tmp_path / "log", Metric.V2)


@pytest.mark.parametrize("kind", ["torn", "no lzma", "bomb", "foreign", "other object", "lacking", "malformed"])
def test_hostile_caches_end_in_one_clear_error(tmp_path, monkeypatch, kind):
    path = paths(Metric.V1)[0]
    stored, content = path.read_bytes(), content_of(path)
    monkeypatch.setattr(metric_caches, "MOST_CONTENT_BYTES", 2**20)
    made, expected = {
        "torn": (stored[:-100], "torn lzma file"),
        "no lzma": (content, "expected an lzma file"),
        "bomb": (lzma.compress(bytes(2**22), preset=0), "unpacks to more than 1048576 bytes"),
        "foreign": (lzma.compress(b"cos\nsystem\n(S'true'\ntR."), "refused to load os.system|refused opcode"),
        "other object": (lzma.compress(pickle.dumps({"trajectory": []})), "expected a metric cache, got dict"),
        "lacking": (lzma.compress(content.replace(b"route_lane_ids", b"route_lane_idz")), "lacks route_lane_ids"),
        "malformed": (lzma.compress(content.replace(b"_time_point", b"_time_paint")), "malformed metric cache"),
    }[kind]
    target = as_folder(tmp_path, path) / FILE_NAME
    target.write_bytes(made)
    with pytest.raises(DatasetError, match=expected) as error:
        read_metric_cache(target, Metric.V1)
    assert str(error.value).startswith(str(target))
    assert (kind == "foreign") <= isinstance(error.value, UntrustedPickleError)


def test_progress_says_how_much_is_left():
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=120)
    with scene_progress(120, console) as show:
        show(30)
    assert "30 of 120 scenes" in shown.getvalue()
    assert "left" in shown.getvalue()
