"""Town scenes on disk: a scene cache with one shard a town."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pair_drive_core.datasets.cache.codec import encode_scene
from pair_drive_core.datasets.cache.scene_cache import (
    PackedScene,
    Shard,
    read_shard,
    shard_problem,
    write_manifest,
    write_shard,
)
from pair_drive_core.datasets.errors import DatasetError
from pair_drive_core.datasets.parallel import results_of
from pair_drive_core.town.data.splits import TownSplit, town_of
from pair_drive_core.town.data.town_scenes import scenes_of_town
from pair_drive_core.town.traffic.simulator import TownConfig

SCENES_A_TOWN = 48
"""Scenes taken of one town; more towns are worth more than more moments of one."""
_FORMAT = "pair_drive_town/2"


@dataclass(frozen=True)
class TownJob:
    """One town of an archive.

    Attributes:
        root: folder of the archive.
        split: which towns.
        number: which of them.
        count: scenes to take.
        config: what towns hold.
    """

    root: Path
    split: TownSplit
    number: int
    count: int
    config: TownConfig

    @property
    def name(self) -> str:
        """Name of the shard."""
        layout, seed = town_of(self.split, self.number)
        return f"town_{self.split.value}_{layout:05d}_{seed:07d}"

    def source(self) -> str:
        """Fingerprint of everything that decides the result."""
        recipe = {"format": _FORMAT, "count": self.count, "config": asdict(self.config)}
        return json.dumps(recipe, sort_keys=True)


@dataclass(frozen=True)
class ArchiveReport:
    """What was made.

    Attributes:
        scenes: in the archive.
        made: scenes made now.
        kept: towns that were there already, whole and made by the same recipe.
        rebuilt: towns that were torn or made by another recipe.
    """

    scenes: int
    made: int
    kept: int
    rebuilt: int


def make_archive(
    root: Path,
    split: TownSplit,
    scenes: int,
    config: TownConfig,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> ArchiveReport:
    """Make scenes, or complete an archive that was interrupted.

    Args:
        root: folder; a `SceneCache` reads it.
        split: which towns.
        scenes: how many scenes in all.
        config: what towns hold.
        workers: processes.
        progress: told the scenes done and the scenes wanted.

    Raises:
        ValueError: if no scenes are asked for.
    """
    if scenes < 1:
        raise ValueError(f"scenes: expected 1 or more, got {scenes}")
    towns = -(-scenes // SCENES_A_TOWN)
    jobs = [TownJob(root, split, n, min(SCENES_A_TOWN, scenes - n * SCENES_A_TOWN), config) for n in range(towns)]
    states = [_state(job) for job in jobs]
    wanted = [job for job, state in zip(jobs, states, strict=True) if state != "whole"]
    kept_scenes = scenes - sum(job.count for job in wanted)
    done = kept_scenes
    # Towns made for another split may lie beside these: the folder is one cache.
    names = {path.stem for path in root.glob("*.json")} | {job.name for job in jobs}
    if wanted:
        write_manifest(root, names, complete=False)
    if progress is not None:
        progress(done, scenes)
    for count in results_of(make_town, wanted, workers):
        done += count
        if progress is not None:
            progress(done, scenes)
    write_manifest(root, names, complete=True)
    return ArchiveReport(done, done - kept_scenes, states.count("whole"), states.count("torn"))


def make_town(job: TownJob) -> int:
    """Make one town's shard; the index is written last, so an index means a whole shard."""
    made = list(scenes_of_town(job.split, job.number, job.count, job.config))
    packed = [PackedScene(t.scene.token, t.scene.token, encode_scene(t.scene)) for t in made]
    write_shard(job.root, job.name, job.source(), packed, [])
    return len(made)


def _state(job: TownJob) -> str:
    """Whether a town is there: "whole", "torn" (or of another recipe) or "missing"."""
    try:
        shard: Shard = read_shard(job.root, job.name)
    except FileNotFoundError:
        return "missing"
    except DatasetError:
        return "torn"
    if shard.source != job.source() or shard_problem(job.root, shard) is not None:
        return "torn"
    return "whole"
