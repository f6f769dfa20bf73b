"""A NAVSIM data set on disk: logs, sensor blobs and maps, opened without the devkit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pair_drive_core.datasets.errors import DatasetError, UnknownTokenError
from pair_drive_core.datasets.maps.map_index import MapIndex
from pair_drive_core.datasets.maps.nuplan_maps import NuplanMapLibrary
from pair_drive_core.datasets.navsim.flaw_labels import FLAW_FOLDER, with_flaw_labels
from pair_drive_core.datasets.navsim.log import NavsimFrame, NavsimLog
from pair_drive_core.datasets.navsim.log_file import read_log
from pair_drive_core.datasets.navsim.scene_filter import SceneFilter
from pair_drive_core.datasets.navsim.scenes import LIDAR_AGES_S, build_agent_input, build_scene, demonstration, oddities
from pair_drive_core.scene import FRONT_CAMERAS, AgentInput, Scene, SceneError, Trajectory

_OPEN_LOGS = 4


@dataclass(frozen=True)
class NavsimFolders:
    """Where the parts of a data set lie.

    Attributes:
        logs: `navsim_logs/<split>`.
        blobs: `sensor_blobs/<split>`.
        maps: holds `nuplan-maps-v1.0.json`.
        flaws: `flaw_labels/<split>`; need not be there.
    """

    logs: Path
    blobs: Path
    maps: Path
    flaws: Path

    @staticmethod
    def of(data_root: Path, data_split: str, maps_root: Path | None = None) -> NavsimFolders:
        """The devkit's layout.

        Args:
            data_root: what the devkit calls OPENSCENE_DATA_ROOT.
            data_split: such as test or trainval.
            maps_root: what the devkit calls NUPLAN_MAPS_ROOT; None means `maps` in `data_root`.
        """
        return NavsimFolders(
            data_root / "navsim_logs" / data_split,
            data_root / "sensor_blobs" / data_split,
            maps_root or data_root / "maps",
            data_root / FLAW_FOLDER / data_split,
        )

    def log_paths(self, scene_filter: SceneFilter) -> list[Path]:
        """Files of the logs that a filter opens, in the order of their names.

        Raises:
            FileNotFoundError: if the folder is not there.
            DatasetError: if a log that the filter names is not there.
        """
        if not self.logs.is_dir():
            raise FileNotFoundError(f"{self.logs}: no such folder of logs")
        present = {path.stem: path for path in sorted(self.logs.glob("*.pkl"))}
        if scene_filter.log_names is None:
            return list(present.values())
        missing = [name for name in scene_filter.log_names if name not in present]
        if missing:
            raise DatasetError(
                self.logs, f"{len(missing)} of {len(scene_filter.log_names)} logs are missing, first {missing[:3]}"
            )
        return [present[name] for name in sorted(set(scene_filter.log_names))]

    def flaw_path(self, name: str) -> Path:
        """File of the flaws of a log; need not be there."""
        return self.flaws / f"{name}.json"

    def read_log(self, path: Path) -> NavsimLog:
        """A log with its flaws, where they are known; see `read_log` and `with_flaw_labels`."""
        return with_flaw_labels(read_log(path), self.flaw_path(path.stem))


@dataclass(frozen=True)
class SceneWindow:
    """The frames of one scene.

    Attributes:
        log_path: the log's file.
        frames: history, t0 and future.
        history_frames: how many of them end at t0.
    """

    log_path: Path
    frames: Sequence[NavsimFrame]
    history_frames: int

    @property
    def now(self) -> NavsimFrame:
        """Frame t0."""
        return self.frames[self.history_frames - 1]

    @property
    def token(self) -> str:
        """Name of the scene."""
        return self.now.token

    @property
    def human(self) -> Trajectory:
        """What was driven after t0; needs no map."""
        return demonstration(self.frames[self.history_frames - 1 :])

    @property
    def oddities(self) -> tuple[str, ...]:
        """See `scenes.oddities`."""
        return oddities(self.frames, self.history_frames)


class NavsimDataset:
    """Scenes of a data set, by token or log by log."""

    def __init__(
        self,
        folders: NavsimFolders,
        scene_filter: SceneFilter | None = None,
        map_index: Callable[[str], MapIndex] | None = None,
    ) -> None:
        """Remember where things are; files are opened when they are asked for.

        Args:
            folders: logs, sensor blobs, maps.
            scene_filter: which scenes; None takes every window that has a route.
            map_index: gives the map of a city, to share maps between data sets; None reads them from the folder.
        """
        self.folders = folders
        self.scene_filter = (scene_filter or SceneFilter(frame_interval=1)).validate()
        self._read_map = map_index or partial(_read_map_index, NuplanMapLibrary(folders.maps))
        self._indices: dict[str, MapIndex] = {}
        self._logs: OrderedDict[Path, NavsimLog] = OrderedDict()
        self._places: dict[str, Path] | None = None

    def log_paths(self) -> list[Path]:
        """Files of the logs; see `NavsimFolders.log_paths`."""
        return self.folders.log_paths(self.scene_filter)

    def windows(self, log_path: Path) -> list[SceneWindow]:
        """The scenes of one log, in time order.

        Raises:
            FileNotFoundError: naming the file.
            DatasetError: if the log or the file of its flaws is torn or breaks the format.
        """
        frames = self._log(log_path).frames
        history = self.scene_filter.num_history_frames
        return [SceneWindow(log_path, window, history) for window in self.scene_filter.windows(frames)]

    def tokens(self) -> list[str]:
        """Names of all scenes; reads every log once.

        Raises:
            DatasetError: if a log is torn, or the filter names scenes that no log holds.
        """
        return list(self._all_places())

    def window(self, token: str) -> SceneWindow:
        """The frames of a scene.

        Raises:
            UnknownTokenError: if no log holds it.
        """
        places = self._all_places()
        if token not in places:
            raise UnknownTokenError(self.folders.logs, f"no scene {token!r} among {len(places)} scenes")
        return next(window for window in self.windows(places[token]) if window.token == token)

    def scene(self, window: SceneWindow | str) -> Scene:
        """What plans at t0 are scored against.

        Raises:
            DatasetError: naming log or map and what is wrong.
        """
        window = self.window(window) if isinstance(window, str) else window
        try:
            return build_scene(window.frames, self.map_index(window.now.map_location), window.history_frames)
        except SceneError as error:
            raise DatasetError(window.log_path, f"scene {window.token}: {error}") from error

    def agent_input(
        self,
        window: SceneWindow | str,
        cameras: Sequence[str] = FRONT_CAMERAS,
        with_lidar: bool = True,
        lidar_ages_s: Sequence[float] = LIDAR_AGES_S,
    ) -> AgentInput:
        """What a planner may look at, at t0; see `build_agent_input`.

        Raises:
            FileNotFoundError: naming a picture or a point cloud that is not there.
            DatasetError: naming the file at fault.
        """
        window = self.window(window) if isinstance(window, str) else window
        try:
            frames = window.frames[: window.history_frames]
            return build_agent_input(frames, self.folders.blobs, cameras, with_lidar, lidar_ages_s)
        except SceneError as error:
            raise DatasetError(window.log_path, f"scene {window.token}: {error}") from error

    def map_index(self, location: str) -> MapIndex:
        """The map of a city; read once.

        Raises:
            FileNotFoundError: naming the map's file.
            DatasetError: naming the file and the layer at fault.
        """
        if location not in self._indices:
            self._indices[location] = self._read_map(location)
        return self._indices[location]

    def __iter__(self) -> Iterator[SceneWindow]:
        """All scenes, log by log, at most as many as the filter wants."""
        for windows in self.by_log():
            yield from windows

    def by_log(
        self, torn: Callable[[DatasetError], None] | None = None, paths: Iterable[Path] | None = None
    ) -> Iterator[list[SceneWindow]]:
        """The scenes of each log, at most as many in all as the filter wants.

        Args:
            torn: takes the error of a log that cannot be read; None raises it.
            paths: files of the logs; None takes all of the filter.

        Raises:
            DatasetError: if a log is torn or breaks the format.
        """
        left = self.scene_filter.max_scenes
        for path in self.log_paths() if paths is None else paths:
            if left == 0:
                return
            try:
                windows = self.windows(path)[:left]
            except DatasetError as error:
                if torn is None:
                    raise
                torn(error)
                continue
            left = None if left is None else left - len(windows)
            yield windows

    def _log(self, path: Path) -> NavsimLog:
        if path not in self._logs:
            self._logs[path] = self.folders.read_log(path)
            if len(self._logs) > _OPEN_LOGS:
                self._logs.popitem(last=False)
        self._logs.move_to_end(path)
        return self._logs[path]

    def _all_places(self) -> dict[str, Path]:
        if self._places is None:
            self._places = {window.token: window.log_path for window in self}
            require_all_tokens(self.folders, self.scene_filter, self._places)
        return self._places


def _read_map_index(library: NuplanMapLibrary, location: str) -> MapIndex:
    return MapIndex(library.load(location))


def require_all_tokens(folders: NavsimFolders, scene_filter: SceneFilter, found: Iterable[str]) -> None:
    """Check that every scene that a filter names was found (the devkit drops the others without a word).

    Raises:
        UnknownTokenError: naming the first ones that are missing.
    """
    missing = missing_tokens(scene_filter, found)
    if missing:
        wanted = len(scene_filter.tokens or ())
        raise UnknownTokenError(
            folders.logs, f"{len(missing)} of {wanted} scenes of the filter are in no log, first {missing[:3]}"
        )


def missing_tokens(scene_filter: SceneFilter, found: Iterable[str]) -> list[str]:
    """Scenes that a filter names and nobody found; none where it stops at a number of scenes and that was reached."""
    known = set(found)
    if scene_filter.max_scenes is not None and len(known) >= scene_filter.max_scenes:
        return []
    return [token for token in scene_filter.tokens or () if token not in known]
