"""Split files: which windows of a log are scenes."""

from dataclasses import replace

import pytest

from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.navsim.scene_filter import SceneFilter, Split, read_scene_filter, read_split, write_split


def t0(scene_filter, frames):
    return [int(w[scene_filter.num_history_frames - 1].token, 16) for w in scene_filter.windows(frames)]


def test_every_window_of_four_and_ten_frames_is_a_scene(town_log):
    assert t0(SceneFilter(frame_interval=1), town_log.frames) == list(range(3, 10))


def test_without_an_interval_windows_do_not_overlap(town_log):
    assert t0(SceneFilter(), town_log.frames) == [3]
    assert t0(SceneFilter(num_history_frames=2, num_future_frames=3), town_log.frames) == [1, 6, 11, 16]


def test_shorter_futures_give_more_scenes(town_log):
    assert len(t0(SceneFilter(num_future_frames=8, frame_interval=1), town_log.frames)) == 9


def test_scenes_are_taken_by_token(town_log):
    tokens = (f"{5:016x}", f"{8:016x}", f"{19:016x}")
    assert t0(SceneFilter(frame_interval=1, tokens=tokens), town_log.frames) == [5, 8]


def test_scenes_without_a_route_are_dropped_if_asked(town_log):
    frames = [replace(f, roadblock_ids=()) if f.frame_idx == 6 else f for f in town_log.frames]
    assert 6 not in t0(SceneFilter(frame_interval=1), frames)
    assert 6 in t0(SceneFilter(frame_interval=1, has_route=False), frames)


def test_a_split_comes_back(tmp_path):
    split = Split(
        "town",
        "test",
        SceneFilter(frame_interval=1, max_scenes=7, log_names=("a", "b"), tokens=("00e1", "1234"), has_route=False),
    )
    write_split(split, tmp_path)
    assert read_split(tmp_path / "town.yaml") == split


def test_a_filter_without_a_second_stage_is_understood_by_the_older_devkit(tmp_path):
    write_split(Split("town", "test", SceneFilter()), tmp_path)
    assert "synthetic" not in (tmp_path / "scene_filter" / "town.yaml").read_text()
    two = Split("two", "test", SceneFilter(include_synthetic_scenes=True, synthetic_scene_tokens=("a",)))
    write_split(two, tmp_path)
    assert read_split(tmp_path / "two.yaml") == two


def test_the_official_form_is_read(tmp_path):
    (tmp_path / "scene_filter").mkdir()
    (tmp_path / "navtest.yaml").write_text("defaults:\n  - scene_filter: navtest\n\ndata_split: test\n")
    (tmp_path / "scene_filter" / "navtest.yaml").write_text(
        "_target_: navsim.common.dataclasses.SceneFilter\n_convert_: 'all'\n\nnum_history_frames: 4\n"
        "num_future_frames: 10\nframe_interval: 1\nhas_route: true\n\nmax_scenes: null\nlog_names:\n"
        "  - 2021.05.25.12.30.39_veh-25_00005_00215\n\ntokens:\n  - '0e55c21e09e86d8b'\n  - 4cf1e96869318f4d\n"
    )
    split = read_split(tmp_path / "navtest.yaml")
    assert split.data_split == "test"
    assert split.scene_filter.stride == 1
    assert split.scene_filter.log_names == ("2021.05.25.12.30.39_veh-25_00005_00215",)
    assert split.scene_filter.tokens == ("0e55c21e09e86d8b", "4cf1e96869318f4d")


def test_two_stage_fields_are_read(tmp_path):
    path = tmp_path / "navhard.yaml"
    path.write_text(
        "num_future_frames: 8\nframe_interval: 1\ninclude_synthetic_scenes: true\n"
        "reactive_synthetic_initial_tokens:\n- 5421fa2f2e2b4cb13\n"
    )
    scene_filter = read_scene_filter(path)
    assert scene_filter.include_synthetic_scenes
    assert scene_filter.num_frames == 12
    assert scene_filter.reactive_synthetic_initial_tokens == ("5421fa2f2e2b4cb13",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("num_history_frames: 0", "at least 1"),
        ("frame_interval: 0", "stride"),
        ("tokens: abc", "expected list"),
        ("has_route: 3", "expected bool"),
        ("num_future_frames: true", "expected int"),
        ("- a\n- b", "mapping"),
        ("a: [", "YAML"),
    ],
)
def test_a_broken_filter_is_named(tmp_path, text, problem):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(DatasetError, match=problem) as error:
        read_scene_filter(path)
    assert str(path) in str(error.value)


def test_missing_parts_of_a_split_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        read_split(tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_text("data_split: test\n")
    with pytest.raises(DatasetError, match="one scene_filter"):
        read_split(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").write_text("data_split: test\ndefaults:\n- scene_filter: gone\n")
    with pytest.raises(FileNotFoundError, match=r"scene_filter/gone\.yaml"):
        read_split(tmp_path / "a.yaml")


def test_a_name_that_no_file_system_takes_is_refused(tmp_path):
    (tmp_path / "split.yaml").write_text(f"data_split: test\ndefaults:\n- scene_filter: {'b' * 300}\n")
    with pytest.raises(DatasetError, match="at most 240 bytes, got 300"):
        read_split(tmp_path / "split.yaml")
