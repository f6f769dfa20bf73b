"""A data set on disk: written, read, written again; and what is wrong with broken ones."""

import shutil
from dataclasses import replace

import pytest

from pair_drive_core.datasets.errors import DatasetError, UnknownTokenError
from pair_drive_core.datasets.maps.nuplan_maps import NuplanMapLibrary
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders
from pair_drive_core.datasets.navsim.export import ExportLog, ExportReport, FolderBlobs, export_navsim
from pair_drive_core.datasets.navsim.log_file import read_log
from pair_drive_core.datasets.navsim.scene_filter import SceneFilter, read_split


@pytest.fixture
def dataset(exported):
    split = read_split(exported / "train_test_split" / "towntest.yaml")
    return NavsimDataset(NavsimFolders.of(exported, split.data_split), split.scene_filter)


def files(root):
    return {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_export_read_export_is_identical(exported, tmp_path):
    """Pictures and clouds are copied, logs, maps and splits are written anew."""
    split = read_split(exported / "train_test_split" / "towntest.yaml")
    folders = NavsimFolders.of(exported, split.data_split)
    maps = NuplanMapLibrary(folders.maps)
    logs = [
        ExportLog(read_log(path), lambda frame: FolderBlobs(frame, folders.blobs))
        for path in folders.log_paths(split.scene_filter)
    ]
    cities = {frame.map_location for entry in logs for frame in entry.log.frames}
    report = export_navsim(logs, [maps.load(city) for city in cities], split, tmp_path)
    assert report == ExportReport(logs=1, frames=20, blobs=180, kept=0)
    assert files(tmp_path) == files(exported)


def test_the_layout_is_the_devkits(exported, town_log):
    name = town_log.name
    present = {str(p) for p in files(exported)}
    assert f"navsim_logs/test/{name}.pkl" in present
    assert f"sensor_blobs/test/{name}/CAM_B0/{0:016x}.jpg" in present
    assert f"sensor_blobs/test/{name}/MergedPointCloud/{0:016x}.pcd" in present
    assert {"maps/nuplan-maps-v1.0.json", "maps/us-ma-boston/9.12.1817/map.gpkg"} <= present
    assert {"train_test_split/towntest.yaml", "train_test_split/scene_filter/towntest.yaml"} <= present
    assert len(present) == 1 + 20 * 9 + 5 + 2


def test_an_interrupted_export_keeps_whole_logs(exported, tmp_path, town_log, town_map):
    split = read_split(exported / "train_test_split" / "towntest.yaml")
    shutil.copytree(exported, tmp_path / "copy")

    def unused(frame):
        raise AssertionError("a whole log is not rendered again")

    report = export_navsim([ExportLog(town_log, unused)], [town_map], split, tmp_path / "copy")
    assert report.kept == 1
    assert files(tmp_path / "copy") == files(exported)


def test_a_reading_that_does_not_exist_is_named(exported, tmp_path, town_log, town_map):
    split = read_split(exported / "train_test_split" / "towntest.yaml")
    log = ExportLog(town_log, lambda frame: FolderBlobs(frame, tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=r"CAM_F0/0000000000000000\.jpg"):
        export_navsim([log], [town_map], split, tmp_path / "out")
    assert not list((tmp_path / "out").glob("navsim_logs/*/*.pkl"))


def test_scenes_are_found_by_token(dataset):
    assert dataset.tokens() == [f"{i:016x}" for i in range(3, 10)]
    scene = dataset.scene(f"{7:016x}").validate()
    assert scene.token == f"{7:016x}"
    assert dataset.agent_input(f"{7:016x}").validate().now.time_us == scene.time_us


def test_an_unknown_token_is_named(dataset):
    with pytest.raises(UnknownTokenError, match="'nothing' among 7 scenes") as error:
        dataset.scene("nothing")
    assert "navsim_logs" in str(error.value)


def test_a_filter_that_names_unknown_scenes_is_refused(dataset):
    """The devkit would give a shorter data set without a word."""
    wanted = replace(dataset.scene_filter, tokens=(f"{5:016x}", "feed"))
    with pytest.raises(UnknownTokenError, match=r"1 of 2 scenes.*feed"):
        NavsimDataset(dataset.folders, wanted).tokens()


def test_a_filter_that_names_unknown_logs_is_refused(dataset):
    wanted = replace(dataset.scene_filter, log_names=("2020.gone",))
    with pytest.raises(DatasetError, match=r"1 of 1 logs.*2020\.gone"):
        NavsimDataset(dataset.folders, wanted).log_paths()


def test_a_missing_folder_is_named(tmp_path):
    folders = NavsimFolders.of(tmp_path, "test")
    with pytest.raises(FileNotFoundError, match="navsim_logs/test"):
        folders.log_paths(SceneFilter())


def test_a_problem_of_a_scene_names_its_log(exported, tmp_path, rerouted, town_log, town_map):
    bad = replace(town_log, frames=tuple(rerouted(town_log.frames, ["99"])))
    split = read_split(exported / "train_test_split" / "towntest.yaml")
    export_navsim([ExportLog(bad)], [town_map], split, tmp_path)
    dataset = NavsimDataset(NavsimFolders.of(tmp_path, "test"), split.scene_filter)
    with pytest.raises(DatasetError, match=r"\.pkl: scene 0000000000000003: route names roadblock 99"):
        dataset.scene(f"{3:016x}")
