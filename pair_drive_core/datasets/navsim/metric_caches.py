"""The devkit's own metric caches as scenes: for people who have those, and neither logs nor maps.

One lzma pickle a scene, `<log>/<type>/<token>/metric_cache.pkl`, of nuPlan and NAVSIM objects, which are read as plain
data (`pickled_records`). Branch v1.1 stores what PDMS needs, main (v2) what EPDMS needs; each is a scene of that metric
alone.
"""

from __future__ import annotations

import lzma
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import torch
from torch import Tensor

from pair_drive_core.datasets.errors import DatasetError, UnknownTokenError
from pair_drive_core.datasets.maps.map_index import outer_rings
from pair_drive_core.datasets.maps.well_known_binary import check_wkb
from pair_drive_core.datasets.navsim.cached_tracks import tracks_of_main, tracks_of_v11
from pair_drive_core.datasets.navsim.log_file import plain_text
from pair_drive_core.datasets.navsim.pickled_records import METRIC_CACHE_STAND_INS, PickledRecord
from pair_drive_core.datasets.navsim.restricted_unpickler import loads_restricted
from pair_drive_core.planning.pdm_closed import sampled_reference
from pair_drive_core.scene import (
    PACIFICA,
    PLAN_STEPS,
    EgoHistory,
    EgoState,
    MapLayer,
    MapPolygons,
    PackedRings,
    Route,
    Scene,
    SceneError,
    TrackedObjects,
    TrafficLights,
    Trajectory,
)
from pair_drive_core.scoring.metric import Metric
from pair_drive_core.simulation.sampling import SIMULATION_STEPS

FILE_NAME = "metric_cache.pkl"
MOST_STORED_BYTES = 2**25
MOST_CONTENT_BYTES = 2**26
"""Real caches hold 0.2 to 10 MB and are stored in a fifth of that; what unpacks to more is refused unread."""
_MOST_LZMA_BYTES = 2**27
_SYNTHETIC_TOKEN = 17
"""Characters of a second-stage scene's token; those of recorded frames have 16."""
_SYNTHETIC_SCENE = 1
"""NAVSIM's `SceneFrameType`."""
_BRANCH = {Metric.V1: "navsim v1.1", Metric.V2: "navsim main (v2)"}
_SHARED = (
    *("file_path", "trajectory", "ego_state", "observation", "centerline", "route_lane_ids", "drivable_area_map"),
)
_FIELDS = {
    Metric.V1: _SHARED,
    Metric.V2: (
        *_SHARED,
        *("log_name", "scene_type", "human_trajectory", "past_human_trajectory", "current_tracked_objects"),
        "map_parameters",
    ),
}
_RED_LIGHT = "red_light_"
_EDGES = (int(MapLayer.LANE), int(MapLayer.LANE_CONNECTOR))
_STEP_US = 100_000
_MALFORMED = (
    *(KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError),
    *(struct.error, shapely.GEOSException),
)


@dataclass(frozen=True)
class CachedScene:
    """A scene of an official metric cache.

    Attributes:
        scene: with PDM-Closed's reference; without lanes, as those lie in the maps.
        log_name: the drive that it belongs to.
        second_stage: whether it is a synthetic scene, whose ego nobody drove.
        map_location: the city; None in v1.1, which does not say.
    """

    scene: Scene
    log_name: str
    second_stage: bool
    map_location: str | None


class MetricCaches:
    """A folder of official metric caches, by scene token."""

    def __init__(self, root: Path, metric: Metric) -> None:
        """Look at names, not into files.

        Args:
            root: what the devkit calls `metric_cache_path`.
            metric: V1 reads caches of branch v1.1, V2 those of main.

        Raises:
            FileNotFoundError: if there is no cache below the folder.
            DatasetError: if two caches are of one scene.
        """
        self.root, self.metric = root, metric
        self._paths: dict[str, Path] = {}
        for path in sorted(root.glob(f"*/*/*/{FILE_NAME}")):
            token = path.parent.name
            if token in self._paths:
                raise DatasetError(path, f"a second metric cache of scene {token}; the other is {self._paths[token]}")
            self._paths[token] = path
        if not self._paths:
            raise FileNotFoundError(f"{root}: no metric caches there; expected <log>/<type>/<token>/{FILE_NAME}")

    @cached_property
    def logs(self) -> dict[str, tuple[str, ...]]:
        """Tokens by log, those of the second stage last."""
        found: dict[str, list[str]] = {}
        for token in sorted(self._paths, key=lambda token: (is_second_stage_token(token), str(self._paths[token]))):
            found.setdefault(self.log_of(token), []).append(token)
        return {log: tuple(tokens) for log, tokens in found.items()}

    def log_of(self, token: str) -> str:
        """Name of a scene's log."""
        return self._paths[token].parents[2].name

    def scene(self, token: str) -> Scene:
        """A scene.

        Raises:
            UnknownTokenError: if there is no cache of it.
            DatasetError: see `read_metric_cache`.
        """
        return self.cached(token).scene

    def cached(self, token: str) -> CachedScene:
        """A scene, with what else its cache says.

        Raises:
            UnknownTokenError: if there is no cache of it.
            DatasetError: see `read_metric_cache`.
        """
        if token not in self._paths:
            raise UnknownTokenError(self.root, f"no metric cache of scene {token!r} among {len(self._paths)}")
        return read_metric_cache(self._paths[token], self.metric)


def is_second_stage_token(token: str) -> bool:
    """Whether the devkit takes a scene of this name for a synthetic one."""
    return len(token) == _SYNTHETIC_TOKEN


def read_metric_cache(path: Path, metric: Metric) -> CachedScene:
    """Read one `metric_cache.pkl`.

    Objects come as the devkit interpolated them to 10 Hz; the scene holds the key frames of that, which give the same
    again. V1.1 stores shapes instead of tracks: boxes are measured from them, exact to the rounding of coordinates.

    Args:
        path: `<token>/metric_cache.pkl`.
        metric: V1 expects a cache of branch v1.1, V2 one of main.

    Raises:
        FileNotFoundError: naming the file.
        UntrustedPickleError: if the pickle names a class that such files do not have.
        DatasetError: if the file is torn, unpacks without measure, is of the other version, or of another scene than
            its folder says.
    """
    content = loads_restricted(_unpacked(path), path, METRIC_CACHE_STAND_INS)
    if not isinstance(content, PickledRecord) or content.name != "MetricCache":
        raise DatasetError(path, f"expected a metric cache, got {getattr(content, 'name', type(content).__name__)}")
    _require_version(path, content, metric)
    try:
        return _cached_scene(path, content, metric)
    except SceneError as error:
        raise DatasetError(path, str(error)) from error
    except _MALFORMED as error:
        raise DatasetError(path, f"malformed metric cache ({type(error).__name__}: {error})") from error


def _unpacked(path: Path) -> bytes:
    """The pickle in the file, of bounded size whatever the file claims."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    size = path.stat().st_size
    if size > MOST_STORED_BYTES:
        raise DatasetError(path, f"expected at most {MOST_STORED_BYTES} bytes in a metric cache, got {size}")
    try:
        unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MOST_LZMA_BYTES)
        content = unpacker.decompress(path.read_bytes(), max_length=MOST_CONTENT_BYTES)
    except lzma.LZMAError as error:
        raise DatasetError(path, f"expected an lzma file ({error})") from error
    if not unpacker.eof:
        if len(content) >= MOST_CONTENT_BYTES:
            raise DatasetError(path, f"unpacks to more than {MOST_CONTENT_BYTES} bytes, no metric cache does")
        raise DatasetError(path, "torn lzma file: it ends too early")
    return content


def _require_version(path: Path, content: PickledRecord, metric: Metric) -> None:
    of_main = "past_human_trajectory" in content.fields or "map_parameters" in content.fields
    is_of = Metric.V2 if of_main else Metric.V1
    if is_of is not metric:
        raise DatasetError(
            path,
            f"a metric cache of {_BRANCH[is_of]}, which holds what --metric {is_of.value} needs; --metric "
            f"{metric.value} needs one of {_BRANCH[metric]}",
        )
    missing = [name for name in _FIELDS[metric] if name not in content.fields]
    if missing:
        raise DatasetError(path, f"expected a metric cache of {_BRANCH[metric]}, it lacks {', '.join(missing)}")


def _cached_scene(path: Path, content: PickledRecord, metric: Metric) -> CachedScene:
    token = path.parent.name
    named = plain_text(content["file_path"]).replace("\\", "/").split("/")[-2:-1]
    if named != [token]:
        raise DatasetError(path, f"holds scene {named[0] if named else '?'}, and lies in the folder of {token}")
    ego, v2 = content["ego_state"], metric is Metric.V2
    time_us = _time_us(ego)
    second_stage = v2 and int(content["scene_type"].args[0]) == _SYNTHETIC_SCENE
    past = content["past_human_trajectory"].args[0] if v2 else [ego]
    route = tuple(plain_text(lane) for lane in content["route_lane_ids"])
    human = content["human_trajectory"] if v2 else None
    scene = Scene(
        token=token,
        time_us=time_us,
        ego=EgoState.at(*_motion(ego)),
        history=_history(past),
        objects=_objects(content, metric),
        map=_polygons(content["drivable_area_map"], set(route)),
        route=Route(
            route, torch.tensor([_pose(state) for state in content["centerline"].args[0]], dtype=torch.float64)
        ),
        lights=_lights(content["observation"]) if v2 else TrafficLights.empty(SIMULATION_STEPS),
        human=None if human is None else _trajectory(human),
        reference=_reference(content["trajectory"].args[0], time_us),
    ).validate()
    if scene.history.time_us[-1] != time_us:
        raise SceneError(f"expected a past that ends at {time_us} us, got {scene.history.time_us.tolist()}")
    log_name = plain_text(content["log_name"]) if v2 else path.parents[2].name
    location = plain_text(content["map_parameters"]["map_name"]) if v2 else None
    return CachedScene(scene, log_name, second_stage, location)


def _time_us(state: PickledRecord) -> int:
    return int(state["time_point"]["time_us"])


def _pose(state: PickledRecord) -> list[float]:
    return [float(state["x"]), float(state["y"]), float(state["heading"])]


def _rear_axle(state: PickledRecord) -> list[float]:
    """Rear axle of a nuPlan ego state, which stores the box's centre."""
    footprint = state["car_footprint"]
    measures = footprint["vehicle_parameters"].args
    ours = (PACIFICA.width_m, PACIFICA.front_length_m, PACIFICA.rear_length_m)
    if tuple(float(value) for value in measures[:3]) != ours:
        raise SceneError(f"expected the vehicle {PACIFICA.name} {ours}, got {measures[5]} {measures[:3]}")
    if "rear_axle" in footprint.fields:
        return _pose(footprint["rear_axle"])
    x, y, heading = _pose(footprint["center"])
    back_m = -PACIFICA.rear_axle_to_center_m
    return [x + back_m * float(np.cos(heading)), y + back_m * float(np.sin(heading)), heading]


def _motion(state: PickledRecord) -> tuple[Tensor, Tensor, Tensor]:
    """Rear axle, velocity and acceleration there."""
    car = state["dynamic_car_state"]
    vectors = (car["rear_axle_velocity_2d"], car["rear_axle_acceleration_2d"])
    rows = [[float(vector["x"]), float(vector["y"])] for vector in vectors]
    pose = torch.tensor(_rear_axle(state), dtype=torch.float64)
    return pose, torch.tensor(rows[0], dtype=torch.float64), torch.tensor(rows[1], dtype=torch.float64)


def _history(states: Sequence[PickledRecord]) -> EgoHistory:
    motions = [_motion(state) for state in states]
    times = torch.tensor([_time_us(state) for state in states], dtype=torch.int64)
    pose, velocity, acceleration = (torch.stack(column) for column in zip(*motions, strict=True))
    return EgoHistory(times, pose, velocity, acceleration)


def _trajectory(record: PickledRecord) -> Trajectory:
    poses = np.asarray(record["poses"], dtype=np.float64)
    if poses.shape != (PLAN_STEPS, 3):
        raise SceneError(f"expected a human trajectory of {PLAN_STEPS} poses, got shape {poses.shape}")
    return Trajectory(torch.from_numpy(poses))


def _reference(states: Sequence[PickledRecord], time_us: int) -> Tensor:
    """PDM-Closed's poses at the official sampling times."""
    states = states[:SIMULATION_STEPS]
    expected = [time_us + _STEP_US * step for step in range(SIMULATION_STEPS)]
    if len(states) != SIMULATION_STEPS or any(
        abs(_time_us(state) - due) > 1 for state, due in zip(states, expected, strict=True)
    ):
        raise SceneError(f"expected PDM-Closed's plan every 0.1 s for 4 s, got {len(states)} states")
    return sampled_reference(time_us, torch.tensor([_rear_axle(state) for state in states], dtype=torch.float64))


def _objects(content: PickledRecord, metric: Metric) -> TrackedObjects:
    observation = content["observation"]
    every, count = float(observation["sample_interval"]), int(observation["observation_samples"])
    if every != 0.1 or count != metric.object_steps - 1:
        raise SceneError(f"expected objects every 0.1 s, {metric.object_steps - 1} steps, got {count} every {every} s")
    if metric is Metric.V1:
        return tracks_of_v11(observation)
    return tracks_of_main(observation, content["current_tracked_objects"][0])


def _polygons(record: PickledRecord, route: set[str]) -> MapPolygons:
    names, kinds, shapes = record.args[:3]
    tokens, layers, rings, on_route = [], [], [], []
    for name, kind, surface in zip(names, kinds, _surfaces(shapes), strict=True):
        token, layer = plain_text(name), int(kind.args[0])
        for ring in outer_rings(surface):
            tokens.append(token)
            layers.append(layer)
            rings.append(torch.from_numpy(ring))
            on_route.append(layer in _EDGES and token in route)
    return MapPolygons(
        tuple(tokens),
        torch.tensor(layers, dtype=torch.int64),
        PackedRings.from_sequences(rings),
        torch.tensor(on_route, dtype=torch.bool),
    )


def _surfaces(shapes: Sequence[bytes]) -> list[Any]:
    """Polygons of well-known binary, checked before a library reads them."""
    for shape in shapes:
        if not isinstance(shape, bytes):
            raise TypeError(f"expected geometry, got {type(shape).__name__}")
        check_wkb(shape)
    surfaces = list(shapely.from_wkb(list(shapes))) if len(shapes) else []
    wrong = {surface.geom_type for surface in surfaces} - {"Polygon", "MultiPolygon"}
    if wrong:
        raise TypeError(f"expected polygons, got {sorted(wrong)}")
    return surfaces


def _lights(observation: PickledRecord) -> TrafficLights:
    """Red lane connectors of the recorded route."""
    held: list[Mapping[str, bytes]] = []
    for names, shapes in observation["occupancy_maps_tl"]:
        held.append(dict(zip((plain_text(n).removeprefix(_RED_LIGHT) for n in names), shapes, strict=True)))
    if len(held) != SIMULATION_STEPS:
        raise SceneError(f"expected {SIMULATION_STEPS} states of traffic lights, got {len(held)}")
    known: dict[str, bytes] = {}
    for at_once in held:
        known |= {name: shape for name, shape in at_once.items() if name not in known}
    red = torch.tensor([[name in at_once for name in known] for at_once in held], dtype=torch.bool)
    rings = [torch.from_numpy(outer_rings(surface)[0]) for surface in _surfaces(list(known.values()))]
    return TrafficLights(tuple(known), red.reshape(SIMULATION_STEPS, len(known)), PackedRings.from_sequences(rings))
