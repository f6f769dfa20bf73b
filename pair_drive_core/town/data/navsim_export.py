"""Exports drives through towns as a NAVSIM data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from pair_drive_core.datasets.maps.map_tiles import MapTile, merged_map
from pair_drive_core.datasets.maps.nuplan_map import MAP_LOCATIONS
from pair_drive_core.datasets.navsim.dataset import NavsimFolders
from pair_drive_core.datasets.navsim.export import ExportLog, ExportReport, export_log, write_frame_of_export
from pair_drive_core.datasets.navsim.scene_filter import SceneFilter, Split
from pair_drive_core.datasets.parallel import results_of
from pair_drive_core.scene import SceneError
from pair_drive_core.town.data.navsim_log import TownBlobs, log_name, town_log
from pair_drive_core.town.data.navsim_map import nuplan_map
from pair_drive_core.town.data.scenes import SceneCutter
from pair_drive_core.town.sensing.cameras import WIDTH_PX
from pair_drive_core.town.sensing.sensors import TownSensors
from pair_drive_core.town.traffic.simulator import Town, TownSimulator


@dataclass(frozen=True)
class TownExport:
    """What to export.

    Attributes:
        layouts: layout seeds.
        seed: simulator seed, the same for every layout.
        vehicles: how many demonstrators of each town become a log.
        seconds: length of each log.
        sensors: whether to render cameras and LiDAR; logs name the files in any case, as the devkit expects.
        width_px: width at which pictures are rendered; files are 1920 wide in any case.
        name: of the benchmark.
        data_split: folder of the logs.
    """

    layouts: tuple[int, ...]
    seed: int = 1
    vehicles: int = 4
    seconds: float = 15.0
    sensors: bool = True
    width_px: int = WIDTH_PX
    name: str = "towntest"
    data_split: str = "test"

    def tiles(self) -> dict[int, MapTile]:
        """Where each layout goes: one after the other into the four cities, then further east."""
        cities = sorted(MAP_LOCATIONS)
        layouts = enumerate(dict.fromkeys(self.layouts))
        return {layout: MapTile(cities[i % len(cities)], i // len(cities)) for i, layout in layouts}


@dataclass(frozen=True)
class _Job:
    export: TownExport
    layout: int
    tile: MapTile
    folders: NavsimFolders


def export_towns(
    export: TownExport,
    data_root: Path,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Write a data set; one that was interrupted is completed.

    Args:
        export: what to write.
        data_root: the new data set.
        workers: processes; a layout is one job.
        progress: called after each layout with layouts done and layouts in all.

    Raises:
        SceneError: if no layouts or too many vehicles are asked for.
    """
    if not export.layouts:
        raise SceneError("expected at least one layout to export, got none")
    tiles = export.tiles()
    placed = [tile.place_map(nuplan_map(Town.build(layout))) for layout, tile in tiles.items()]
    by_city = groupby(sorted(placed, key=lambda entry: entry.location), key=lambda entry: entry.location)
    maps = [merged_map(list(group)) for _, group in by_city]
    names = [log_name(layout, export.seed, vehicle) for layout in tiles for vehicle in range(export.vehicles)]
    split = Split(export.name, export.data_split, SceneFilter(frame_interval=1, log_names=tuple(names)))
    folders = write_frame_of_export(maps, split, data_root)
    reports = []
    jobs = [_Job(export, layout, tile, folders) for layout, tile in tiles.items()]
    for report in results_of(_export_layout, jobs, workers):
        reports.append(report)
        if progress is not None:
            progress(len(reports), len(jobs))
    return ExportReport.total(reports)


def _export_layout(job: _Job) -> ExportReport:
    export = job.export
    names = (log_name(job.layout, export.seed, vehicle) for vehicle in range(export.vehicles))
    if all((job.folders.logs / f"{name}.pkl").is_file() for name in names):
        return ExportReport(export.vehicles, 0, 0, export.vehicles)
    simulator = TownSimulator(Town.build(job.layout), export.seed)
    simulator.run(export.seconds)
    cutter = SceneCutter(simulator)
    sensors = TownSensors(simulator) if export.sensors else None
    reports = []
    for vehicle in range(export.vehicles):
        driven = town_log(cutter, vehicle)
        log = replace(driven, frames=tuple(frame.placed(job.tile) for frame in driven.frames))
        blobs = None if sensors is None else TownBlobs(sensors, vehicle, export.width_px)
        reports.append(export_log(ExportLog(log, blobs), job.folders))
    return ExportReport.total(reports)
