"""The splits' YAML files: which scenes of which logs make a benchmark."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.file_names import plain_name
from pair_drive_core.datasets.navsim.log import NavsimFrame
from pair_drive_core.datasets.yaml_text import load_plain_yaml
from pair_drive_core.scoring.aggregation import TwoStageGroup

_TARGET = "navsim.common.dataclasses.SceneFilter"


@dataclass(frozen=True)
class SceneFilter:
    """Which windows of a log are scenes (the official `SceneFilter`).

    Attributes:
        num_history_frames: frames up to and with t0.
        num_future_frames: frames after t0.
        frame_interval: stride between the windows; None takes the window's length.
        has_route: whether scenes without a route are dropped.
        max_scenes: stop after so many scenes; None takes all.
        log_names: names of the logs to open; None opens all.
        tokens: names of the scenes (frame t0's tokens) to take; None takes all.
        include_synthetic_scenes: whether the benchmark has a second stage.
        synthetic_scene_tokens: names of second-stage scenes; None takes those that follow a first-stage scene.
        reactive_synthetic_initial_tokens: second-stage scenes with reactive traffic.
        non_reactive_synthetic_initial_tokens: second-stage scenes with replayed traffic.
    """

    num_history_frames: int = 4
    num_future_frames: int = 10
    frame_interval: int | None = None
    has_route: bool = True
    max_scenes: int | None = None
    log_names: tuple[str, ...] | None = None
    tokens: tuple[str, ...] | None = None
    include_synthetic_scenes: bool = False
    synthetic_scene_tokens: tuple[str, ...] | None = None
    reactive_synthetic_initial_tokens: tuple[str, ...] | None = None
    non_reactive_synthetic_initial_tokens: tuple[str, ...] | None = None

    @property
    def num_frames(self) -> int:
        """Length of a window."""
        return self.num_history_frames + self.num_future_frames

    @property
    def stride(self) -> int:
        """Frames between the starts of two windows."""
        return self.num_frames if self.frame_interval is None else self.frame_interval

    def validate(self) -> SceneFilter:
        """Check the numbers.

        Raises:
            ValueError: naming the field at fault.
        """
        for name, least in (("num_history_frames", 1), ("num_future_frames", 0), ("stride", 1)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"SceneFilter.{name}: expected at least {least}, got {value}")
        if self.max_scenes is not None and self.max_scenes < 1:
            raise ValueError(f"SceneFilter.max_scenes: expected at least 1 or none, got {self.max_scenes}")
        return self

    def windows(self, frames: Sequence[NavsimFrame]) -> Iterator[Sequence[NavsimFrame]]:
        """The scenes of one log, in time order; frame t0 is number `num_history_frames - 1` of each window.

        Args:
            frames: all frames of the log.
        """
        wanted = None if self.tokens is None else set(self.tokens)
        for start in range(0, len(frames) - self.num_frames + 1, self.stride):
            now = frames[start + self.num_history_frames - 1]
            if (self.has_route and not now.roadblock_ids) or (wanted is not None and now.token not in wanted):
                continue
            yield frames[start : start + self.num_frames]


@dataclass(frozen=True)
class Split:
    """A benchmark: where its logs are and which scenes it takes.

    Attributes:
        name: of the benchmark, such as navtest.
        data_split: folder of its logs and sensors, such as test.
        scene_filter: its scenes.
        groups: which second-stage scenes follow which first-stage scenes; empty for one-stage benchmarks.
    """

    name: str
    data_split: str
    scene_filter: SceneFilter
    groups: tuple[TwoStageGroup, ...] = ()


_NUMBERS = ("num_history_frames", "num_future_frames", "frame_interval", "max_scenes")
_GROUPS = "reactive_all_mapping"
"""The official two-stage script's name for the groups."""
_FLAGS = ("has_route", "include_synthetic_scenes")
_LISTS = (
    "log_names",
    "tokens",
    "synthetic_scene_tokens",
    "reactive_synthetic_initial_tokens",
    "non_reactive_synthetic_initial_tokens",
)


def read_scene_filter(path: Path) -> SceneFilter:
    """Read `scene_filter/<name>.yaml`.

    Raises:
        FileNotFoundError: naming the file.
        DatasetError: naming file and field, if the file breaks the format.
    """
    content = _read_mapping(path)
    values: dict[str, object] = {}
    for name in (*_NUMBERS, *_FLAGS, *_LISTS):
        value = content.get(name)
        if value is None:
            continue
        expected = int if name in _NUMBERS else bool if name in _FLAGS else list
        if not isinstance(value, expected) or (name in _NUMBERS and isinstance(value, bool)):
            raise DatasetError(path, f"{name}: expected {expected.__name__}, got {reprlib.repr(value)}")
        values[name] = _texts(path, name, value) if isinstance(value, list) else value
    try:
        return SceneFilter(**values).validate()  # type: ignore[arg-type]
    except ValueError as error:
        raise DatasetError(path, str(error)) from error


def _texts(path: Path, name: str, values: list[object]) -> tuple[str, ...]:
    """A list of names; numbers may stand for text."""
    wrong = [value for value in values if not isinstance(value, (str, int, float))]
    if wrong:
        raise DatasetError(path, f"{name}: expected names, got {reprlib.repr(wrong[0])}")
    return tuple(str(value) for value in values)


def read_split(path: Path) -> Split:
    """Read a benchmark, `train_test_split/<name>.yaml`, and the scene filter that it names.

    Raises:
        FileNotFoundError: naming the file.
        DatasetError: naming file and field, if a file breaks the format.
    """
    content = _read_mapping(path)
    data_split = content.get("data_split")
    defaults = content.get("defaults")
    entries = defaults if isinstance(defaults, list) else []
    filters = [entry["scene_filter"] for entry in entries if isinstance(entry, dict) and "scene_filter" in entry]
    if not isinstance(data_split, str) or len(filters) != 1:
        raise DatasetError(path, f"expected data_split and one scene_filter default, got keys {sorted(content)}")
    named = plain_name(_texts(path, "scene_filter", filters)[0], path)
    scene_filter = read_scene_filter(path.parent / "scene_filter" / f"{named}.yaml")
    return Split(path.stem, plain_name(data_split, path), scene_filter, _groups(path, content.get(_GROUPS)))


def _groups(path: Path, content: object) -> tuple[TwoStageGroup, ...]:
    if content is None:
        return ()
    try:
        groups = []
        for now, previous, pairs in content:  # type: ignore[attr-defined]  # checked by unpacking
            second = [(plain_name(str(a), path), plain_name(str(b), path)) for a, b in pairs]
            groups.append(TwoStageGroup(str(now), str(previous), tuple(second)))
    except (TypeError, ValueError) as error:
        raise DatasetError(
            path, f"{_GROUPS}: expected [scene, scene before, [[follower, follower before], ..]] ({error})"
        ) from error
    return tuple(groups)


def write_split(split: Split, folder: Path) -> None:
    """Write a benchmark's two files as the official devkit's configuration expects them.

    Args:
        split: what to write.
        folder: the `train_test_split` folder.
    """
    scene_filter = split.scene_filter.validate()
    values: dict[str, object] = {"_target_": _TARGET, "_convert_": "all"}
    for name in (*_NUMBERS, *_FLAGS, *_LISTS):
        value = getattr(scene_filter, name)
        if "synthetic" in name and not value:
            continue  # the older devkit (v1.1) does not know these
        values[name] = list(value) if isinstance(value, tuple) else value
    text: dict[str, object] = {"defaults": [{"scene_filter": split.name}], "data_split": split.data_split}
    if split.groups:
        text[_GROUPS] = [[g.now, g.previous, [list(pair) for pair in g.second]] for g in split.groups]
    _write_yaml(folder / "scene_filter" / f"{split.name}.yaml", values)
    _write_yaml(folder / f"{split.name}.yaml", text)


def _write_yaml(path: Path, content: Mapping[str, object]) -> None:
    write_bytes(path, yaml.safe_dump(dict(content), sort_keys=False, width=120).encode())


def _read_mapping(path: Path) -> dict[str, object]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such split file")
    try:
        content = load_plain_yaml(path.read_text())
    except ValueError as error:
        raise DatasetError(path, f"expected YAML ({error})") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise DatasetError(path, f"expected a mapping, got {type(content).__name__}")
    return content
