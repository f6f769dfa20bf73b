"""Writes a data set in NAVSIM's formats, which the official devkit loads, caches and scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.file_names import path_inside
from pair_drive_core.datasets.maps.nuplan_map import NuplanMap
from pair_drive_core.datasets.maps.nuplan_map_writer import write_map_folder
from pair_drive_core.datasets.navsim.blobs import FrameBlobs
from pair_drive_core.datasets.navsim.dataset import NavsimFolders
from pair_drive_core.datasets.navsim.flaw_labels import write_flaw_labels
from pair_drive_core.datasets.navsim.log import NavsimFrame, NavsimLog
from pair_drive_core.datasets.navsim.log_file import write_log
from pair_drive_core.datasets.navsim.scene_filter import Split, write_split

SPLIT_FOLDER = "train_test_split"
"""Folder of the split files; the devkit keeps them in its own configuration folder of this name."""


@dataclass(frozen=True, eq=False)
class ExportLog:
    """A log and where its sensor readings come from.

    Attributes:
        log: the frames.
        blobs: gives the readings of a frame; None exports a log without sensors.
    """

    log: NavsimLog
    blobs: Callable[[NavsimFrame], FrameBlobs] | None = None


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes:
        logs: number of logs.
        frames: number of frames written now.
        blobs: number of sensor files written now.
        kept: logs that were there already, whole, from an interrupted export.
    """

    logs: int
    frames: int
    blobs: int
    kept: int

    @staticmethod
    def total(reports: Iterable[ExportReport]) -> ExportReport:
        """Sum of several."""
        rows = [(report.logs, report.frames, report.blobs, report.kept) for report in reports]
        logs, frames, blobs, kept = (sum(column) for column in zip(*rows, strict=True)) if rows else (0, 0, 0, 0)
        return ExportReport(logs, frames, blobs, kept)


def export_navsim(
    logs: Iterable[ExportLog],
    maps: Iterable[NuplanMap],
    split: Split,
    data_root: Path,
    storage_crs: str | None = None,
    progress: Callable[[ExportLog], None] | None = None,
) -> ExportReport:
    """Write logs, sensor blobs, maps and split files.

    A log's file is written after its sensor files and its flaws, so a log that is there is whole; an interrupted export
    that is started again keeps such logs.

    Args:
        logs: taken one after the other; sensor readings are asked for frame by frame, so they need not fit in memory.
        maps: at most one a city.
        split: names the benchmark, its data split and its scenes.
        data_root: the new data set; what the devkit calls OPENSCENE_DATA_ROOT.
        storage_crs: reference system of the map files; see `write_map`.
        progress: called after each log.

    Raises:
        SceneError: if a log or a map is not valid.
        DatasetError: if a sensor reading that a frame names does not exist.
    """
    folders = write_frame_of_export(maps, split, data_root, storage_crs)
    reports = []
    for entry in logs:
        reports.append(export_log(entry, folders))
        if progress is not None:
            progress(entry)
    return ExportReport.total(reports)


def write_frame_of_export(
    maps: Iterable[NuplanMap], split: Split, data_root: Path, storage_crs: str | None = None
) -> NavsimFolders:
    """Write everything but the logs: maps and split files.

    Returns:
        Where the logs go.

    Raises:
        SceneError: if a map is not valid.
    """
    folders = NavsimFolders.of(data_root, split.data_split)
    write_map_folder(maps, folders.maps, storage_crs)
    write_split(split, data_root / SPLIT_FOLDER)
    return folders


def export_log(entry: ExportLog, folders: NavsimFolders) -> ExportReport:
    """Write one log, its sensor files and its flaws; its own file comes last: a log that is there is whole and kept.

    Raises:
        SceneError: if the log is not valid.
        DatasetError: if a sensor reading that a frame names does not exist.
    """
    path = folders.logs / f"{entry.log.name}.pkl"
    if path.is_file():
        return ExportReport(1, 0, 0, 1)
    entry.log.validate()
    blobs = 0
    if entry.blobs is not None:
        blobs = sum(_write_blobs(frame, entry.blobs(frame), folders.blobs) for frame in entry.log.frames)
    write_flaw_labels(entry.log, folders.flaw_path(entry.log.name))
    write_log(entry.log, path)
    return ExportReport(1, len(entry.log.frames), blobs, 0)


class FolderBlobs:
    """Sensor files of a frame of a data set on disk, to be copied as they are."""

    def __init__(self, frame: NavsimFrame, blobs: Path) -> None:
        """Remember where the files are.

        Args:
            frame: names the files.
            blobs: sensor folder of the split.
        """
        self._frame = frame
        self._blobs = blobs

    def camera_jpeg(self, name: str) -> bytes | None:
        """The picture's bytes; None where the frame or the disk has none."""
        return self._bytes(self._frame.cameras[name].data_path) if name in self._frame.cameras else None

    def lidar_pcd(self) -> bytes | None:
        """The point cloud's bytes; None where the frame or the disk has none."""
        return None if self._frame.lidar_path is None else self._bytes(self._frame.lidar_path)

    def _bytes(self, relative: str) -> bytes | None:
        path = path_inside(self._blobs, relative, f"frame {self._frame.token}")
        return path.read_bytes() if path.is_file() else None


def _write_blobs(frame: NavsimFrame, blobs: FrameBlobs, folder: Path) -> int:
    readings = {camera.data_path: blobs.camera_jpeg(name) for name, camera in frame.cameras.items()}
    if frame.lidar_path is not None:
        readings[frame.lidar_path] = blobs.lidar_pcd()
    for relative, content in readings.items():
        if content is None:
            raise DatasetError(folder / relative, f"frame {frame.token} names this file, but there is no such reading")
        write_bytes(path_inside(folder, relative, f"frame {frame.token}"), content)
    return len(readings)
