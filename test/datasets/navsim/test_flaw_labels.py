"""Flaws beside a data set: written, read into scenes, written again; and what is wrong with broken files."""

import json
import shutil
from dataclasses import replace

import pytest

from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.navsim.dataset import NavsimDataset, NavsimFolders
from pair_drive_core.datasets.navsim.export import ExportLog, export_log, export_navsim
from pair_drive_core.datasets.navsim.log_file import read_log
from pair_drive_core.datasets.navsim.scene_filter import SceneFilter, Split

FLAWS = {5: ("late_brake",), 6: ("lane_drift", "harsh"), 12: ("harsh",)}


@pytest.fixture
def flawed_log(town_log):
    return replace(town_log, frames=tuple(replace(f, flaws=FLAWS.get(f.frame_idx, ())) for f in town_log.frames))


@pytest.fixture
def data(tmp_path, flawed_log, town_map):
    """A data set that a test may damage."""
    split = Split("towntest", "test", SceneFilter(frame_interval=1, log_names=(flawed_log.name,)))
    export_navsim([ExportLog(flawed_log)], [town_map], split, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def labels(data, flawed_log):
    """The file of the flaws."""
    return data / "flaw_labels" / "test" / f"{flawed_log.name}.json"


def dataset_of(data):
    return NavsimDataset(NavsimFolders.of(data, "test"))


def test_only_frames_with_a_flaw_are_named_in_the_order_of_their_tokens(labels):
    text = labels.read_text()
    assert json.loads(text) == {f"{i:016x}": list(flaws) for i, flaws in FLAWS.items()}
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert text.endswith("}\n")


def test_scenes_have_the_flaws_of_their_frame_at_t0(data):
    dataset = dataset_of(data)
    found = {window.now.frame_idx: dataset.scene(window).flaws for window in dataset}
    assert found == {i: FLAWS.get(i, ()) for i in range(3, 10)}


def test_the_logs_own_file_knows_nothing_of_flaws(data, exported, flawed_log):
    name = f"navsim_logs/test/{flawed_log.name}.pkl"
    assert (data / name).read_bytes() == (exported / name).read_bytes()
    assert not any(frame.flaws for frame in read_log(data / name).frames)


def test_without_the_file_scenes_have_no_flaws(data, labels):
    shutil.rmtree(data / "flaw_labels")
    dataset = dataset_of(data)
    assert [dataset.scene(window).flaws for window in dataset] == [()] * 7


def test_labels_read_and_written_again_are_equal_bytes(data, labels, tmp_path):
    folders = NavsimFolders.of(data, "test")
    again = NavsimFolders.of(tmp_path / "again", "test")
    for path in folders.log_paths(SceneFilter()):
        export_log(ExportLog(folders.read_log(path)), again)
    assert again.flaw_path(labels.stem).read_bytes() == labels.read_bytes()


def test_a_log_without_flaws_has_no_file_and_takes_an_old_one_away(data, labels, town_log):
    (data / "navsim_logs" / "test" / f"{town_log.name}.pkl").unlink()
    export_log(ExportLog(town_log), NavsimFolders.of(data, "test"))
    assert not labels.exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "0 bytes that are not JSON"),
        (b'{"0000000000000005": ["harsh"', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'["harsh"]', "got list"),
        (b'{"0000000000000005": "harsh"}', "got 'harsh' for frame 0000000000000005"),
        (b'{"0000000000000005": [3]}', r"got \[3\] for frame 0000000000000005"),
        (b'{"0000000000000005": [""]}', r"got \[''\]"),
        (b'{"0000000000000005": ["harsh"], "feed": ["harsh"]}', r"1 of 2 frames are not in the log, first \['feed'\]"),
    ],
)
def test_a_malformed_file_is_named(data, labels, content, problem):
    labels.write_bytes(content)
    with pytest.raises(DatasetError, match=problem) as error:
        dataset_of(data).tokens()
    assert str(error.value).startswith(f"{labels}: ")
