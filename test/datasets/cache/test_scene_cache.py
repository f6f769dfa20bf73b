"""The scene cache: equal scenes, resumption, torn files, skipped scenes, the command line."""

import json
import pickle
import shutil
import sys
import types
from dataclasses import fields, replace

import pytest
import torch
from typer.testing import CliRunner

from pair_drive_core.cli.cache import app
from pair_drive_core.datasets.cache.builder import build_scene_cache
from pair_drive_core.datasets.cache.jobs import CacheSettings, LogJob
from pair_drive_core.datasets.cache.scene_cache import SceneCache
from pair_drive_core.datasets.errors import DatasetError, UnknownTokenError
from pair_drive_core.datasets.maps.nuplan_map_writer import write_map
from pair_drive_core.datasets.maps.nuplan_maps import NuplanMapLibrary
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders
from pair_drive_core.datasets.navsim.export import ExportLog, export_navsim
from pair_drive_core.datasets.navsim.log import NO_COMMAND, NavsimLog
from pair_drive_core.datasets.navsim.log_file import write_log
from pair_drive_core.datasets.navsim.scene_filter import SceneFilter, Split, read_split
from pair_drive_core.datasets.navsim.scenes import TIME_GAP
from pair_drive_core.datasets.parallel import Backend, results_of
from pair_drive_core.planning import pdm_references
from pair_drive_core.scoring import Metric


def copied(log, name, **changes):
    frames = [replace(f, log_name=name, token=f"{name}{f.frame_idx:04x}", **changes) for f in log.frames]
    return NavsimLog(name, tuple(frames))


@pytest.fixture(scope="module")
def original(tmp_path_factory, town_log, town_map):
    """Three logs without sensors; the driver of one does something wrong all the time."""
    flaws = {"bb": ("harsh",)}
    logs = [ExportLog(copied(town_log, name, flaws=flaws.get(name, ()))) for name in ("aa", "bb", "cc")]
    split = Split("town", "test", SceneFilter(frame_interval=1, log_names=("aa", "bb", "cc")))
    root = tmp_path_factory.mktemp("original")
    export_navsim(logs, [town_map], split, root)
    return root


@pytest.fixture
def data(tmp_path, original):
    """A data set that a test may damage."""
    return shutil.copytree(original, tmp_path / "data")


@pytest.fixture
def settings(data):
    split = read_split(data / "train_test_split" / "town.yaml")
    return CacheSettings(NavsimFolders.of(data, "test"), split.scene_filter)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cache"


def assert_equal(a, b):
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        assert torch.equal(a.nan_to_num(-1.0), b.nan_to_num(-1.0)) if a.is_floating_point() else torch.equal(a, b)
    elif hasattr(a, "__dataclass_fields__"):
        for field in fields(a):
            assert_equal(getattr(a, field.name), getattr(b, field.name))
    else:
        assert a == b


def test_cached_scenes_equal_the_read_ones(settings, root):
    report = build_scene_cache(settings, root)
    assert (report.scenes, report.built, report.kept, report.skipped) == (21, 3, 0, ())
    assert report.scenes_per_s > 0
    cache = SceneCache(root)
    dataset = NavsimDataset(settings.folders, settings.scene_filter)
    assert list(cache.tokens) == dataset.tokens()
    for number, token in enumerate(cache.tokens):
        scene = dataset.scene(token)
        assert_equal(cache[number], scene)
        assert_equal(cache.scene(token), scene)
    assert [s.token for s in cache] == list(cache.tokens)
    assert [s.flaws for s in cache] == [("harsh",) if token.startswith("bb") else () for token in cache.tokens]
    assert len(cache) == 21
    assert cache.verify() == []


def test_plans_of_pdm_closed_come_along_for_their_metric_alone(settings, root):
    """So that scoring from the cache need not make them again; another metric never sees them."""
    build_scene_cache(replace(settings, references=Metric.V2), root, workers=1)
    bare = list(SceneCache(root))
    assert all(scene.reference is None for scene in (*bare, *SceneCache(root, Metric.V1)))
    for cached, scene in zip(SceneCache(root, Metric.V2), bare, strict=True):
        assert torch.equal(cached.reference, pdm_references([scene], Metric.V2)[0])
    again = build_scene_cache(replace(settings, references=Metric.V1), root, workers=1)
    assert again.kept == 0
    assert all(scene.reference is not None for scene in SceneCache(root, Metric.V1))


def test_several_processes_give_the_same_files(settings, root, tmp_path):
    build_scene_cache(settings, root)
    build_scene_cache(settings, tmp_path / "parallel", workers=2)
    for path in sorted(root.iterdir()):
        assert path.read_bytes() == (tmp_path / "parallel" / path.name).read_bytes()


def test_compressed_scenes_are_the_same_in_less_room(settings, root, tmp_path):
    build_scene_cache(settings, root)
    build_scene_cache(replace(settings, compression=1), tmp_path / "small")
    for plain, small in zip(SceneCache(root), SceneCache(tmp_path / "small"), strict=True):
        assert_equal(plain, small)
    assert (tmp_path / "small" / "aa.scenes").stat().st_size < 0.6 * (root / "aa.scenes").stat().st_size


def test_nothing_is_built_twice(settings, root):
    build_scene_cache(settings, root)
    stamps = {p.name: p.stat().st_mtime_ns for p in root.iterdir()}
    report = build_scene_cache(settings, root)
    assert (report.scenes, report.built, report.kept) == (21, 0, 3)
    assert stamps == {p.name: p.stat().st_mtime_ns for p in root.iterdir()}


@pytest.mark.parametrize(
    "damage",
    [
        lambda root: (root / "bb.scenes").write_bytes((root / "bb.scenes").read_bytes()[:-3]),
        lambda root: flip(root / "bb.scenes"),
        lambda root: (root / "bb.scenes").unlink(),
        lambda root: (root / "bb.json").unlink(),
        lambda root: (root / "bb.json").write_text("{"),
        lambda root: edit(root / "bb.json", format="pair_drive_scene_cache/0"),
    ],
    ids=["cut", "flipped", "no scenes", "no index", "torn index", "old version"],
)
def test_an_interrupted_or_torn_build_is_completed(settings, root, damage):
    build_scene_cache(settings, root)
    whole = {p.name: p.read_bytes() for p in root.iterdir()}
    damage(root)
    report = build_scene_cache(settings, root)
    assert (report.built, report.kept) == (1, 2)
    assert {p.name: p.read_bytes() for p in root.iterdir()} == whole


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_changed_log_is_built_again(settings, root, data, town_log):
    build_scene_cache(settings, root)
    path = data / "navsim_logs" / "test" / "bb.pkl"
    write_log(copied(town_log, "bb", traffic_lights=()), path)
    report = build_scene_cache(settings, root)
    assert (report.built, report.rebuilt, report.kept) == (1, 1, 2)
    assert_equal(SceneCache(root).scene("bb0005"), NavsimDataset(settings.folders).scene("bb0005"))


def test_scenes_on_a_changed_map_are_built_again(settings, root, data, town_map):
    build_scene_cache(settings, root)
    path = NuplanMapLibrary(data / "maps").path(town_map.location)
    path.unlink()
    write_map(replace(town_map, crosswalks=()), path)
    assert build_scene_cache(settings, root).rebuilt == 3
    assert_equal(SceneCache(root).scene("bb0005"), NavsimDataset(settings.folders).scene("bb0005"))


def test_changed_flaw_labels_are_built_again(settings, root, data):
    build_scene_cache(settings, root)
    path = data / "flaw_labels" / "test" / "bb.json"
    path.write_text(json.dumps({f"bb{5:04x}": ["late_brake"]}))
    report = build_scene_cache(settings, root)
    assert (report.built, report.rebuilt, report.kept) == (1, 1, 2)
    assert {s.token: s.flaws for s in SceneCache(root) if s.flaws} == {f"bb{5:04x}": ("late_brake",)}
    path.unlink()
    assert build_scene_cache(settings, root).rebuilt == 1
    assert not any(s.flaws for s in SceneCache(root))


def test_another_filter_is_another_cache(settings, root):
    build_scene_cache(settings, root)
    fewer = replace(settings, scene_filter=replace(settings.scene_filter, num_future_frames=8))
    report = build_scene_cache(fewer, root)
    assert (report.scenes, report.rebuilt) == (27, 3)


def test_a_torn_scene_is_found_when_it_is_read(settings, root):
    build_scene_cache(settings, root)
    flip(root / "bb.scenes")
    cache = SceneCache(root)
    assert_equal(cache[0].token, "aa0003")
    with pytest.raises(DatasetError, match=r"bb\.scenes: scene bb0006 is torn"):
        list(cache)
    assert cache.verify() == [f"{root / 'bb.scenes'}: checksum differs from the index"]


def test_unknown_scenes_and_caches_are_named(settings, root):
    with pytest.raises(FileNotFoundError, match="no scene cache"):
        SceneCache(root)
    build_scene_cache(settings, root)
    cache = SceneCache(root)
    with pytest.raises(UnknownTokenError, match="'feed' among 21"):
        cache.scene("feed")
    with pytest.raises(IndexError, match="scene 21 of 21"):
        cache[21]


def test_a_cache_travels_to_other_processes(settings, root):
    build_scene_cache(settings, root)
    cache = SceneCache(root)
    first = cache[0]
    assert_equal(pickle.loads(pickle.dumps(cache))[0], first)  # noqa: S301 - what a torch loader does


@pytest.fixture
def with_bad_ones(data, town_log):
    """One whole log, one in which frame 11 lacks its annotations, one torn."""
    frames = copied(town_log, "bb").frames
    blind = [f if f.frame_idx != 11 else replace(f, annotations=None) for f in frames]
    folders = NavsimFolders.of(data, "test")
    write_log(NavsimLog("bb", tuple(blind)), folders.logs / "bb.pkl")
    torn = folders.logs / "cc.pkl"
    torn.write_bytes(torn.read_bytes()[:-100])
    return CacheSettings(folders, SceneFilter(frame_interval=1))


def test_a_bad_scene_stops_the_build_and_what_was_finished_stays(with_bad_ones, root):
    with pytest.raises(DatasetError, match=r"bb\.pkl: scene bb0003.*no annotations"):
        build_scene_cache(with_bad_ones, root)
    assert sorted(p.name for p in root.iterdir()) == ["aa.json", "aa.scenes", "build.manifest"]


def test_skipped_scenes_are_counted_and_listed(with_bad_ones, root):
    report = build_scene_cache(replace(with_bad_ones, skip_bad=True), root)
    assert report.scenes == 7
    assert [entry.token for entry in report.skipped] == [f"bb{i:04x}" for i in range(3, 10)] + [None]
    assert "no annotations" in report.skipped[0].problem
    assert "cc.pkl: corrupt pickle" in report.skipped[-1].problem
    assert SceneCache(root).skipped == report.skipped


def test_an_unfinished_build_is_never_taken_for_a_whole_cache(settings, root, monkeypatch):
    """Killed after the first log: neither reading nor verifying accepts what is there; building again completes it."""
    whole = LogJob.run

    def killed(job):
        if job.name == "bb":
            raise KeyboardInterrupt
        return whole(job)

    monkeypatch.setattr(LogJob, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        build_scene_cache(settings, root)
    with pytest.raises(DatasetError, match=r"not finished, 1 of 3 logs.*cache build"):
        SceneCache(root)
    with pytest.raises(DatasetError, match="not finished"):
        CliRunner().invoke(app, ["verify", str(root)], catch_exceptions=False)
    monkeypatch.undo()
    report = build_scene_cache(settings, root)
    assert (report.built, report.kept, len(SceneCache(root))) == (2, 1, 21)
    (root / "cc.json").unlink()
    with pytest.raises(DatasetError, match="2 of 3 logs"):
        SceneCache(root)
    (root / "build.manifest").unlink()
    with pytest.raises(DatasetError, match="interrupted or is older"):
        SceneCache(root)


def test_asking_to_skip_rebuilds_nothing_that_is_whole(settings, with_bad_ones, root):
    build_scene_cache(replace(with_bad_ones, scene_filter=replace(settings.scene_filter, log_names=("aa",))), root)
    settings = replace(with_bad_ones, scene_filter=replace(settings.scene_filter, log_names=("aa",)), skip_bad=True)
    assert (build_scene_cache(settings, root).kept, build_scene_cache(settings, root).rebuilt) == (1, 0)


def test_what_was_skipped_stops_a_build_that_does_not_skip(with_bad_ones, root):
    build_scene_cache(replace(with_bad_ones, skip_bad=True), root)
    with pytest.raises(DatasetError, match="no annotations"):
        build_scene_cache(with_bad_ones, root)


def test_a_filter_stops_at_its_number_of_scenes(settings, root):
    for wanted in (5, 7, 9):
        fewer = replace(settings, scene_filter=replace(settings.scene_filter, max_scenes=wanted))
        report = build_scene_cache(fewer, root)
        cache = SceneCache(root)
        assert (report.scenes, len(cache)) == (wanted, wanted)
        assert list(cache.tokens) == NavsimDataset(settings.folders, fewer.scene_filter).tokens()


def test_verifying_names_every_torn_file(settings, root):
    build_scene_cache(settings, root)
    (root / "aa.json").write_text("{")
    flip(root / "bb.scenes")
    with pytest.raises(DatasetError, match=r"2 torn files: .*aa\.json.*bb\.scenes"):
        CliRunner().invoke(app, ["verify", str(root)], catch_exceptions=False)


def test_odd_scenes_are_cached_and_counted(settings, root, town_log):
    """The official code scores windows over a time gap and frames without a command; so do we, and say how many."""
    odd = [
        replace(
            f,
            timestamp_us=f.timestamp_us + (900_000 if f.frame_idx >= 10 else 0),
            oddities=(NO_COMMAND,) if f.frame_idx == 4 else (),
        )
        for f in copied(town_log, "bb").frames
    ]
    write_log(NavsimLog("bb", tuple(odd)), settings.folders.logs / "bb.pkl")
    build_scene_cache(settings, root)
    cache = SceneCache(root)
    assert len(cache) == 21
    assert cache.oddities["bb0003"] == (TIME_GAP,)
    assert cache.oddities["bb0004"] == (TIME_GAP, NO_COMMAND)
    output = CliRunner().invoke(app, ["verify", str(root)], catch_exceptions=False).output
    assert "odd, but scored as the official code does: 7 scenes with time gap" in output
    assert "1 scenes with all-zero driving command" in output


@pytest.mark.parametrize(("name", "cut"), [("aa0003.pcd", 40), ("aa0003.jpg", 40)])
def test_torn_sensor_files_are_found_if_asked(settings, root, exported, name, cut):
    shutil.copytree(exported / "sensor_blobs", settings.folders.blobs.parent, dirs_exist_ok=True)
    log = NavsimDataset(settings.folders, settings.scene_filter)
    now = log.window("aa0003").now
    relative = now.lidar_path if name.endswith("pcd") else now.cameras["CAM_F0"].data_path
    path = settings.folders.blobs / relative
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DatasetError, match=r"expected"):
        build_scene_cache(replace(settings, check_blobs=True), root)


def test_errors_travel_between_processes():
    error = pickle.loads(pickle.dumps(UnknownTokenError("a.pkl", "no scene")))  # noqa: S301 - what a worker sends
    assert type(error) is UnknownTokenError
    assert str(error) == "a.pkl: no scene"
    assert error.path.name == "a.pkl"


def test_a_broken_map_is_never_skipped(settings, root):
    path = settings.folders.maps / "us-ma-boston" / "9.12.1817" / "map.gpkg"
    path.write_bytes(b"?" * 5000)
    with pytest.raises(DatasetError, match=r"map\.gpkg"):
        build_scene_cache(replace(settings, skip_bad=True), root)


def test_missing_sensor_files_are_found_if_asked(settings, root, exported):
    checked = replace(settings, check_blobs=True)
    with pytest.raises(FileNotFoundError, match=r"CAM_L0/0000000000000003\.jpg.*scene aa0003"):
        build_scene_cache(checked, root)
    report = build_scene_cache(replace(checked, skip_bad=True), root)
    assert (report.scenes, len(report.skipped)) == (0, 21)
    shutil.copytree(exported / "sensor_blobs", settings.folders.blobs.parent, dirs_exist_ok=True)
    assert build_scene_cache(replace(checked, skip_bad=False), root).scenes == 21


def test_scenes_of_the_filter_that_are_in_no_log_are_never_dropped_silently(settings, root):
    wanted = replace(settings, scene_filter=replace(settings.scene_filter, tokens=("aa0004", "feed")))
    with pytest.raises(UnknownTokenError, match="feed"):
        build_scene_cache(wanted, root)
    report = build_scene_cache(replace(wanted, skip_bad=True), root)
    assert report.scenes == 1
    assert [entry.token for entry in report.skipped] == ["feed"]


def test_the_command_builds_and_verifies(data, root, monkeypatch):
    run = CliRunner()
    split = str(data / "train_test_split" / "town.yaml")
    command = ["build", "--data", str(data), "--split", split, "--out", str(root), "--workers", "1"]
    built = run.invoke(app, command, catch_exceptions=False)
    assert "21 scenes; 3 logs built" in built.output
    assert "scenes/s" in built.output
    assert "3 kept" in run.invoke(app, command, catch_exceptions=False).output
    assert "21 scenes of 3 logs, all whole" in run.invoke(app, ["verify", str(root)], catch_exceptions=False).output
    flip(root / "bb.scenes")
    with pytest.raises(DatasetError, match=r"1 torn files: .*bb\.scenes"):
        run.invoke(app, ["verify", str(root)], catch_exceptions=False)


def test_the_command_lists_what_it_skipped(with_bad_ones, root):
    data = with_bad_ones.folders.logs.parent.parent
    split = str(data / "train_test_split" / "town.yaml")
    command = ["build", "--data", str(data), "--split", split, "--out", str(root), "--workers", "1", "--skip-bad"]
    output = CliRunner().invoke(app, command, catch_exceptions=False).output
    assert "skipped 8:" in output
    assert "bb0003: " in output
    assert "a whole log: " in output


@pytest.mark.parametrize("found", [None, types.SimpleNamespace(name="ray", origin=None)], ids=["nothing", "a folder"])
def test_ray_that_is_not_installed_is_named(monkeypatch, found):
    """Python takes a folder of that name beside the command for a package without content."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
    with pytest.raises(ValueError, match=r"pair-drive-core\[ray\]"):
        list(results_of(abs, [-1], 1, Backend.RAY))


def test_jobs_go_through_ray_where_it_is_there(monkeypatch):
    """A stand-in with ray's four calls; the results come as they are done."""
    ray = types.ModuleType("ray")
    ray.__spec__ = types.SimpleNamespace(name="ray", origin="ray/__init__.py")
    started = []
    ray.is_initialized = lambda: bool(started)
    ray.init = lambda: started.append(True)
    ray.remote = lambda function: types.SimpleNamespace(remote=lambda job: (function, job))
    ray.wait = lambda pending, num_returns: (pending[-num_returns:], pending[:-num_returns])
    ray.get = lambda done: [function(job) for function, job in done]
    monkeypatch.setitem(sys.modules, "ray", ray)
    assert list(results_of(abs, [-1, -2, -3], 1, Backend.RAY)) == [3, 2, 1]
    assert started == [True]
