"""Drives through towns as NAVSIM data: equal scenes in memory and on disk, equal files when written again."""

import shutil
from dataclasses import fields

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pair_drive_core.cli.navsim import app
from pair_drive_core.datasets.maps.nuplan_map import MAP_LOCATIONS
from pair_drive_core.datasets.maps.nuplan_maps import NuplanMapLibrary
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders
from pair_drive_core.datasets.navsim.export import ExportLog, export_log, export_navsim
from pair_drive_core.datasets.navsim.scene_filter import SceneFilter, Split, read_split
from pair_drive_core.datasets.navsim.scenes import build_agent_input, build_scene
from pair_drive_core.scene import FRONT_CAMERAS, SceneError
from pair_drive_core.town import SceneCutter, Town, TownConfig, TownSensors, TownSimulator
from pair_drive_core.town.data.navsim_export import TownExport, export_towns
from pair_drive_core.town.data.navsim_log import TownBlobs, frame_at, log_name, town_log
from pair_drive_core.town.data.navsim_map import nuplan_map

LAYOUT, SEED = 20001, 1
EXPORT = TownExport((LAYOUT, 20002, 20003, 20004, 20005), SEED, vehicles=1, seconds=7.0, sensors=False)


@pytest.fixture(scope="module")
def cutter():
    simulator = TownSimulator(Town.build(LAYOUT), SEED)
    simulator.run(8.0)
    return SceneCutter(simulator)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five layouts in four cities, one drive each, no sensors."""
    root = tmp_path_factory.mktemp("towns")
    export_towns(EXPORT, root)
    return root


def differences(a, b, path=""):
    """Where two scenes differ: names of fields, and by how much."""
    if isinstance(a, torch.Tensor):
        if a.shape != b.shape or a.dtype != b.dtype:
            return {path: float("inf")}
        wrong = (
            (a.double().nan_to_num(-1.0) - b.double().nan_to_num(-1.0)).abs().max() if a.numel() else torch.zeros(())
        )
        return {path: float(wrong)} if wrong > 0 else {}
    if hasattr(a, "__dataclass_fields__"):
        parts = (differences(getattr(a, f.name), getattr(b, f.name), f"{path}.{f.name}") for f in fields(a))
        return {name: wrong for part in parts for name, wrong in part.items()}
    return {} if a == b else {path: float("inf")}


def test_a_town_is_a_sound_map(cutter):
    town = cutter.simulator.town
    converted = nuplan_map(town)
    assert len(converted.lanes) + len(converted.lane_connectors) == len(town.network.lanes)
    by_fid = {lane.fid: lane for lane in converted.lanes}
    for way in converted.lane_connectors:
        assert way.baseline.coords[0] == by_fid[way.incoming_lane].baseline.coords[-1]
        assert way.baseline.coords[-1] == by_fid[way.outgoing_lane].baseline.coords[0]
    signalled = {way.fid for way in converted.lane_connectors if way.stop_polygons}
    assert signalled == {fid for fid, _ in cutter.lights_at(0)}


@pytest.mark.parametrize("vehicle", [0, 5])
def test_a_scene_from_the_log_equals_the_one_cut_in_memory(cutter, vehicle):
    """Turning boxes into the ego frame and back costs rounding; the demonstration is kept to 1e-6 m in memory."""
    log = town_log(cutter, vehicle).validate()
    for first in range(len(log.frames) - 13):
        scene = cutter.scene_at(5 * (first + 3), vehicle)
        from_log = build_scene(log.frames[first : first + 14], cutter.map.index)
        wrong = differences(scene, from_log)
        assert wrong.pop(".human.poses", 0.0) < 1e-6
        assert max(wrong.values(), default=0.0) < 1e-9, wrong


def test_a_scene_from_disk_equals_the_one_from_the_log(cutter, data):
    """The first layout lies in the first tile of its city, where nothing is moved."""
    split = read_split(data / "train_test_split" / "towntest.yaml")
    dataset = NavsimDataset(NavsimFolders.of(data, split.data_split), split.scene_filter)
    windows = dataset.windows(dataset.folders.logs / f"{log_name(LAYOUT, SEED, 0)}.pkl")
    location = windows[0].now.map_location
    for window in windows:
        step = 5 * (window.now.frame_idx)
        frames = [frame_at(cutter, step + 5 * k, 0, location) for k in range(-3, 11)]
        assert differences(dataset.scene(window), build_scene(frames, cutter.map.index)) == {}


def test_flaws_survive_the_export(tmp_path):
    """The log's format has no place for them, so they lie beside it."""
    simulator = TownSimulator(Town.build(LAYOUT, TownConfig(flaw_rate=0.5)), SEED)
    simulator.run(15.0)
    cutter = SceneCutter(simulator)
    logs = [ExportLog(town_log(cutter, vehicle)) for vehicle in range(int(simulator.fleet.demonstrator.sum()))]
    split = Split("wild", "test", SceneFilter(frame_interval=1))
    export_navsim(logs, [nuplan_map(simulator.town)], split, tmp_path)
    dataset = NavsimDataset(NavsimFolders.of(tmp_path, "test"), split.scene_filter)
    read = {window.token: dataset.scene(window).flaws for window in dataset}
    flaws = {
        cutter.token_at(step, vehicle): simulator.flaws_at(step, vehicle)
        for step in cutter.steps
        for vehicle in range(len(logs))
    }
    assert any(read.values()), "no driver does anything wrong: nothing is tested"
    assert read == {token: flaws[token] for token in read}


def test_every_exported_scene_is_sound(data):
    split = read_split(data / "train_test_split" / "towntest.yaml")
    dataset = NavsimDataset(NavsimFolders.of(data, split.data_split), split.scene_filter)
    scenes = [dataset.scene(window).validate() for window in dataset]
    assert len(scenes) == 5 * 2
    assert len({scene.token for scene in scenes}) == len(scenes)
    assert {window.now.map_location for window in dataset} == set(MAP_LOCATIONS)
    for scene in scenes:
        assert bool(scene.map.on_route.any())
        start = scene.route.centerline[:, :2] - scene.ego.pose[:2]
        assert float(start.norm(dim=-1).min()) < 5.0


def test_layouts_beyond_the_four_cities_lie_apart(data):
    far = NuplanMapLibrary(data / "maps").load("sg-one-north")
    fids = [lane.fid for lane in far.lanes]
    assert min(fids) < 1_000_000 < max(fids)
    east = [lane.baseline.coords[0][0] for lane in far.lanes]
    assert max(east) - min(east) > 9_000


def test_an_interrupted_export_is_completed_with_the_same_files(data, tmp_path):
    root = shutil.copytree(data, tmp_path / "copy")
    log = root / "navsim_logs" / "test" / f"{log_name(LAYOUT, SEED, 0)}.pkl"
    log.unlink()
    assert export_towns(EXPORT, root).kept == 4
    for path in sorted(p.relative_to(data) for p in data.rglob("*") if p.is_file()):
        assert (root / path).read_bytes() == (data / path).read_bytes(), path


def test_sensor_files_are_the_rendered_ones(cutter, tmp_path):
    sensors = TownSensors(cutter.simulator)
    log = town_log(cutter, 0, last_step=5)
    folders = NavsimFolders.of(tmp_path, "test")
    report = export_log(ExportLog(log, TownBlobs(sensors, 0, width_px=96)), folders)
    assert (report.frames, report.blobs) == (2, 18)
    read = build_agent_input(log.frames, folders.blobs).validate()
    sweep = sensors.lidar(5, 0)
    np.testing.assert_array_equal(read.lidar.points[:, :3], sweep.points[:, :3])
    assert np.abs(read.lidar.points[:, 3] - sweep.points[:, 3]).max() <= 0.5 / 255 + 1e-6
    for name in FRONT_CAMERAS:
        assert read.cameras[name].rgb.shape == (1080, 1920, 3)
        rendered = sensors.cameras(5, 0, (name,), 96)[name].rgb
        shrunk = read.cameras[name].rgb[10::20, 10::20]
        assert np.abs(shrunk.astype(int) - rendered).mean() < 12


def test_the_command_exports_and_says_what(tmp_path):
    run = CliRunner()
    command = ["export", "--out", str(tmp_path), "--layouts", "20001", "--vehicles", "1", "--seconds", "7.0"]
    output = run.invoke(app, [*command, "--no-sensors", "--workers", "1"], catch_exceptions=False).output
    assert "1 logs (0 kept), 15 frames, 0 sensor files" in output
    with pytest.raises(ValueError, match="20000-20003"):
        run.invoke(app, [*command, "--layouts", "many"], catch_exceptions=False)
    with pytest.raises(SceneError, match="at least one layout"):
        export_towns(TownExport(()), tmp_path)
