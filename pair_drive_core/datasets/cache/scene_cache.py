"""Scenes of a data set as checksummed records of tensors, memory-mapped; no pickles, no classes in the files.

A cache is a folder with two files for every log: `<log>.scenes` holds the packed scenes one after the other, and
`<log>.json`, written last, says where each one starts, its checksum, and what the file was made from. `build.manifest`
names all logs and is marked complete when the last one is there.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from itertools import accumulate
from pathlib import Path

from pair_drive_core.datasets.atomic import write_bytes
from pair_drive_core.datasets.cache.codec import FORMAT as SCENE_FORMAT
from pair_drive_core.datasets.cache.codec import decode_scene
from pair_drive_core.datasets.errors import DatasetError, UnknownTokenError
from pair_drive_core.datasets.file_names import plain_name
from pair_drive_core.scene import Scene, SceneError
from pair_drive_core.scoring.metric import Metric

CACHE_FORMAT = "pair_drive_scene_cache/1"
"""Name and version of the layout."""
MANIFEST = "build.manifest"
"""Name of the file that says which logs there are, and whether all are."""


@dataclass(frozen=True)
class SkippedScene:
    """Something that could not be read and was left out on request.

    Attributes:
        token: the scene; None where a whole log could not be read.
        problem: the error, which names the file.
    """

    token: str | None
    problem: str


@dataclass(frozen=True)
class PackedScene:
    """A scene that is to be written.

    Attributes:
        token: the scene.
        end_token: see `SceneRecord`.
        data: the packed scene.
        oddities: see `SceneRecord`.
    """

    token: str
    end_token: str
    data: bytes
    oddities: tuple[str, ...] = ()


@dataclass(frozen=True)
class SceneRecord:
    """Where a scene lies in its log's file.

    Attributes:
        token: the scene.
        end_token: its last frame; of a second-stage scene, the frame that it follows.
        offset: first byte.
        length: bytes.
        crc32: checksum of the bytes.
        oddities: what is odd about the scene and the official code lets pass.
    """

    token: str
    end_token: str
    offset: int
    length: int
    crc32: int
    oddities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shard:
    """The scenes of one log.

    Attributes:
        name: the log.
        source: fingerprint of what it was made from.
        sha256: checksum of the scenes file.
        records: the scenes, in time order.
        skipped: what was left out.
        references: metric ("v1", "v2") whose PDM-Closed plans the scenes bring along; None where they bring none.
    """

    name: str
    source: str
    sha256: str
    records: tuple[SceneRecord, ...]
    skipped: tuple[SkippedScene, ...]
    references: str | None = None

    @property
    def size(self) -> int:
        """Bytes of the scenes file."""
        return sum(record.length for record in self.records)


def write_shard(
    root: Path,
    name: str,
    source: str,
    scenes: list[PackedScene],
    skipped: list[SkippedScene],
    references: Metric | None = None,
) -> Shard:
    """Write the two files of a log.

    Args:
        root: cache folder.
        name: the log.
        source: fingerprint of what the scenes were made from.
        scenes: in time order.
        skipped: what was left out.
        references: metric whose PDM-Closed plans the scenes bring along.
    """
    content = b"".join(scene.data for scene in scenes)
    starts = accumulate((len(scene.data) for scene in scenes), initial=0)
    records = tuple(
        SceneRecord(scene.token, scene.end_token, start, len(scene.data), zlib.crc32(scene.data), scene.oddities)
        for scene, start in zip(scenes, starts, strict=False)
    )
    shard = Shard(
        name,
        source,
        hashlib.sha256(content).hexdigest(),
        records,
        tuple(skipped),
        None if references is None else references.value,
    )
    index = {"format": CACHE_FORMAT, "scene_format": SCENE_FORMAT, **asdict(shard)}
    write_bytes(_scenes_path(root, name), content)
    write_bytes(_index_path(root, name), json.dumps(index).encode())
    return shard


def read_shard(root: Path, name: str) -> Shard:
    """Read the index of a log.

    Raises:
        FileNotFoundError: if the log is not in the cache.
        DatasetError: if the index is torn or of another version.
    """
    path = _index_path(root, plain_name(name, root))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such cache index")
    try:
        index = json.loads(path.read_bytes())
        versions = (index["format"], index["scene_format"])
        if versions != (CACHE_FORMAT, SCENE_FORMAT):
            raise DatasetError(path, f"expected {(CACHE_FORMAT, SCENE_FORMAT)}, got {versions}; build the cache again")
        records = tuple(
            _checked(SceneRecord(**{**record, "oddities": tuple(record.get("oddities", ()))}))
            for record in index["records"]
        )
        skipped = tuple(SkippedScene(**entry) for entry in index["skipped"])
        if index["name"] != name:
            raise TypeError(f"expected the index of {name!r}, got {str(index['name'])[:80]!r}")
        references = index.get("references")
        if references is not None:
            references = Metric(references).value
        return Shard(name, str(index["source"]), str(index["sha256"]), records, skipped, references)
    except DatasetError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DatasetError(path, f"torn cache index ({error}); build the cache again") from error


def _checked(record: SceneRecord) -> SceneRecord:
    """A record whose names are text and whose places are numbers within a file.

    Raises:
        TypeError: naming the field at fault.
    """
    kinds = {"str": str, "int": int}
    for field in fields(record):
        if field.type not in kinds:
            continue
        value, kind = getattr(record, field.name), kinds[str(field.type)]
        if type(value) is not kind or (isinstance(value, int) and not 0 <= value < 2**63):
            raise TypeError(f"{field.name}: expected {kind.__name__}, got {type(value).__name__}")
    if not all(isinstance(oddity, str) for oddity in record.oddities):
        raise TypeError("oddities: expected texts")
    return record


def shard_problem(root: Path, shard: Shard) -> str | None:
    """What is wrong with the scenes file of a log; None where it is whole.

    Args:
        root: cache folder.
        shard: the log's index.
    """
    path = _scenes_path(root, shard.name)
    if not path.is_file():
        return f"{path}: no such file"
    content = path.read_bytes()
    if len(content) != shard.size:
        return f"{path}: expected {shard.size} bytes, got {len(content)}"
    if hashlib.sha256(content).hexdigest() != shard.sha256:
        return f"{path}: checksum differs from the index"
    return None


def write_manifest(root: Path, names: Iterable[str], complete: bool) -> None:
    """Say which logs the cache shall hold, and whether all of them are there.

    Args:
        root: cache folder.
        names: of the logs.
        complete: False while the cache is being built.
    """
    content = json.dumps({"format": CACHE_FORMAT, "complete": complete, "logs": sorted(names)}).encode()
    if not _manifest_path(root).is_file() or _manifest_path(root).read_bytes() != content:
        write_bytes(_manifest_path(root), content)


def read_manifest(root: Path) -> list[str]:
    """Names of the logs of a cache whose build was finished.

    Raises:
        FileNotFoundError: if there is no cache.
        DatasetError: if the build was not finished, or a log is not there.
    """
    path = _manifest_path(root)
    again = "run `pair-drive cache build` again, it keeps what is finished"
    if not path.is_file():
        if not root.is_dir() or not any(root.glob("*.json")):
            raise FileNotFoundError(f"{root}: no scene cache there; make one with `pair-drive cache build`")
        raise DatasetError(path, f"missing, the build was interrupted or is older than this version; {again}")
    try:
        manifest = json.loads(path.read_bytes())
        names, complete = sorted(map(str, manifest["logs"])), manifest["complete"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DatasetError(path, f"torn ({error}); {again}") from error
    foreign = [name for name in names if Path(name).name != name]
    if foreign:
        raise DatasetError(path, f"expected names of logs, got {foreign[:3]}")
    there = sum(_index_path(root, name).is_file() for name in names)
    if not complete or there < len(names):
        raise DatasetError(path, f"the build was not finished, {there} of {len(names)} logs are there; {again}")
    return names


def problems_of(root: Path) -> list[str]:
    """Everything that is wrong with a cache: its manifest, torn indices, torn scenes files; one line each.

    Raises:
        FileNotFoundError: if there is no cache.
    """
    problems: list[str] = []
    try:
        names = read_manifest(root)
    except DatasetError as error:
        problems.append(str(error))
        names = sorted(path.stem for path in root.glob("*.json"))
    for name in names:
        try:
            problem = shard_problem(root, read_shard(root, name))
        except DatasetError as error:
            problem = str(error)
        if problem is not None:
            problems.append(problem)
    return problems


class SceneCache:
    """Read access by number or by token; can be handed to other processes."""

    def __init__(self, root: Path, references: Metric | None = None) -> None:
        """Read the indices; scenes stay on disk.

        Args:
            root: cache folder.
            references: scenes bring PDM-Closed's plans along where the cache was built with those of this metric; None
                leaves them out.

        Raises:
            FileNotFoundError: if there is no cache.
            DatasetError: if the build was not finished, or an index is torn or of another version.
        """
        self.root, self.references = root, references
        self.shards = tuple(read_shard(root, name) for name in read_manifest(root))
        self._ends = list(accumulate(len(shard.records) for shard in self.shards))
        self._places = {record.token: (shard, record) for shard in self.shards for record in shard.records}
        self._maps: dict[str, mmap.mmap] = {}

    @property
    def tokens(self) -> tuple[str, ...]:
        """Names of all scenes, log by log."""
        return tuple(record.token for shard in self.shards for record in shard.records)

    @property
    def skipped(self) -> tuple[SkippedScene, ...]:
        """What was left out when the cache was built."""
        return tuple(entry for shard in self.shards for entry in shard.skipped)

    def __len__(self) -> int:
        """Number of scenes."""
        return self._ends[-1]

    def __getitem__(self, number: int) -> Scene:
        """A scene by its number.

        Raises:
            IndexError: if there are not so many.
            DatasetError: if the scene's bytes are torn.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"scene {number} of {len(self)}")
        which = bisect_right(self._ends, number)
        shard = self.shards[which]
        return self._read(shard, shard.records[number - self._ends[which]])

    def __iter__(self) -> Iterator[Scene]:
        """All scenes, log by log."""
        return (self._read(shard, record) for shard in self.shards for record in shard.records)

    def scene(self, token: str) -> Scene:
        """A scene by its name.

        Raises:
            UnknownTokenError: if the cache does not hold it.
            DatasetError: if the scene's bytes are torn.
        """
        if token not in self._places:
            raise UnknownTokenError(self.root, f"no scene {token!r} among {len(self)} scenes")
        return self._read(*self._places[token])

    def verify(self) -> list[str]:
        """See `problems_of`."""
        return problems_of(self.root)

    @property
    def oddities(self) -> dict[str, tuple[str, ...]]:
        """What is odd about scenes, by token; only those with something odd."""
        return {r.token: r.oddities for shard in self.shards for r in shard.records if r.oddities}

    def _read(self, shard: Shard, record: SceneRecord) -> Scene:
        path = _scenes_path(self.root, shard.name)
        data = self._bytes(shard, path)[record.offset : record.offset + record.length]
        if zlib.crc32(data) != record.crc32:
            raise DatasetError(path, f"scene {record.token} is torn; build the cache again")
        try:
            scene = decode_scene(data, validate=False)  # it was valid when it was written, and its checksum holds
        except SceneError as error:
            raise DatasetError(path, f"scene {record.token}: {error}") from error
        fits = self.references is not None and shard.references == self.references.value
        return scene if fits or shard.references is None else replace(scene, reference=None)

    def _bytes(self, shard: Shard, path: Path) -> mmap.mmap:
        if shard.name not in self._maps:
            try:
                with path.open("rb") as file:
                    self._maps[shard.name] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (FileNotFoundError, ValueError) as error:
                raise DatasetError(
                    path, "scenes file is missing or empty; `pair-drive cache build` makes it"
                ) from error
        return self._maps[shard.name]

    def __getstate__(self) -> dict[str, object]:
        """Open files stay behind."""
        return {**self.__dict__, "_maps": {}}


def _manifest_path(root: Path) -> Path:
    return root / MANIFEST


def _scenes_path(root: Path, name: str) -> Path:
    return root / f"{name}.scenes"


def _index_path(root: Path, name: str) -> Path:
    return root / f"{name}.json"
