"""A town of two crossing streets, made by hand: enough of a map and a log to go through every format."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shapely import LineString, Polygon, box, union_all

from pair_drive_core.datasets.maps.map_index import MapIndex
from pair_drive_core.datasets.maps.nuplan_map import (
    MapArea,
    MapLane,
    MapLaneConnector,
    NuplanMap,
    Roadblock,
    RoadblockConnector,
    StopPolygon,
    StopPolygonKind,
)
from pair_drive_core.datasets.navsim.blobs import MergedPointCloud, encode_jpeg, encode_pcd
from pair_drive_core.datasets.navsim.export import ExportLog, export_navsim
from pair_drive_core.datasets.navsim.log import Annotations, CameraRecord, NavsimFrame, NavsimLog
from pair_drive_core.datasets.navsim.scene_filter import SceneFilter, Split
from pair_drive_core.datasets.quaternions import yaw_to_quaternion
from pair_drive_core.scene import ALL_CAMERAS, DrivingCommand, ObjectType

ORIGIN = np.array([331000.0, 4690500.0])
HALF_JUNCTION, ARM_END, LANE_WIDTH = 10.0, 120.0, 3.5
LOG_NAME = "2021.05.12.22.00.38_veh-35_01008_01518"
ARMS = {"west": math.pi, "south": -math.pi / 2, "east": 0.0, "north": math.pi / 2}
"""Directions in which the arms leave the junction."""
LANES_OF = {"west": 2, "east": 2, "south": 1, "north": 1}
"""Lanes per direction."""
LOCATION = "us-ma-boston"


def _unit(angle):
    return np.array([math.cos(angle), math.sin(angle)])


def _strip(line, width=LANE_WIDTH):
    return line.buffer(width / 2, cap_style="flat")


def _shifted(line, left):
    points = np.array(line.coords)
    along = np.gradient(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return LineString(points + left * np.column_stack((-along[:, 1], along[:, 0])))


def _lane_line(arm, outward, lane):
    """Centre line of a lane, in driving direction; lane 0 is next to the middle of the road."""
    away = _unit(ARMS[arm])
    travel = away if outward else -away
    right = np.array([travel[1], -travel[0]])
    side = right * LANE_WIDTH * (lane + 0.5)
    ends = [ORIGIN + away * s + side for s in np.linspace(HALF_JUNCTION, ARM_END, 23)]
    return LineString(ends if outward else ends[::-1])


def _union(parts):
    """One polygon of several that touch; the overlap closes gaps of rounding."""
    return union_all([part.buffer(0.01, join_style="mitre") for part in parts])


def _bezier(start, start_angle, end, end_angle):
    reach = 0.5 * np.linalg.norm(end - start)
    a, b = start + reach * _unit(start_angle), end - reach * _unit(end_angle)
    t = np.linspace(0.0, 1.0, 12)[:, None]
    curve = (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * a + 3 * (1 - t) * t**2 * b + t**3 * end
    curve[0], curve[-1] = start, end
    return LineString(curve)


def make_town_map() -> NuplanMap:
    lanes, blocks, fid_of = [], [], {}
    for number, arm in enumerate(ARMS):
        for outward in (False, True):
            block = 100 + 2 * number + int(outward)
            group = []
            for k in range(LANES_OF[arm]):
                line = _lane_line(arm, outward, k)
                fid = 10 * block + k
                fid_of[arm, outward, k] = fid
                left, right = (_shifted(line, s * LANE_WIDTH / 2) for s in (1, -1))
                group.append(MapLane(fid, block, k, _strip(line), line, left, right, 13.4 if k == 0 else None))
            lanes += group
            blocks.append(Roadblock(block, _union([lane.polygon for lane in group])))
    by_fid = {lane.fid: lane for lane in lanes}
    ways, connectors = [], []
    for a, source in enumerate(ARMS):
        for b, target in enumerate(ARMS):
            if source == target:
                continue
            block = 500 + 10 * a + b
            group = []
            for k in range(min(LANES_OF[source], LANES_OF[target])):
                before, after = by_fid[fid_of[source, False, k]], by_fid[fid_of[target, True, k]]
                start, end = np.array(before.baseline.coords[-1]), np.array(after.baseline.coords[0])
                line = _bezier(start, ARMS[source] + math.pi, end, ARMS[target])
                left, right = (_shifted(line, s * LANE_WIDTH / 2) for s in (1, -1))
                group.append(
                    MapLaneConnector(
                        10 * block + k, block, before.fid, after.fid, _strip(line), line, left, right, 8.0, (900 + a,)
                    )
                )
            ways += group
            connectors.append(
                RoadblockConnector(block, 100 + 2 * a, 101 + 2 * b, 700, _union([w.polygon for w in group]))
            )
    x, y = ORIGIN
    stops = []
    for a, arm in enumerate(ARMS):
        line = _lane_line(arm, False, 0)
        end = np.array(line.coords[-1])
        stops.append(StopPolygon(900 + a, box(*(end - 1.0), *(end + 1.0)), StopPolygonKind.TRAFFIC_LIGHT))
    square = box(x - 12, y - 12, x + 12, y + 12)
    kiosk = [(x + 60, y + 31), (x + 62, y + 31), (x + 62, y + 33), (x + 60, y + 33)]
    return NuplanMap(
        LOCATION,
        tuple(lanes),
        tuple(ways),
        tuple(blocks),
        tuple(connectors),
        tuple(stops),
        intersections=(MapArea(700, square),),
        crosswalks=(MapArea(710, box(x - 16, y - 8, x - 13, y + 8)),),
        walkways=(MapArea(720, box(x - 120, y + 8, x - 13, y + 11)),),
        carparks=(MapArea(730, Polygon(box(x + 40, y + 20, x + 80, y + 40).exterior, [kiosk])),),
        generic_drivable_areas=(MapArea(740, box(x - 60, y - 30, x - 40, y - 10)),),
        road_segments=tuple(MapArea(750 + i, block.polygon) for i, block in enumerate(blocks)),
    ).validate()


def make_grid_map(size: int = 4, spacing: float = 80.0) -> NuplanMap:
    """Blocks of streets with two lanes per direction, some of them one-way: routes have detours, gaps and loops."""
    nodes = {(i, j): ORIGIN + spacing * np.array([i, j]) for i in range(size) for j in range(size)}
    streets = [(a, b) for a in nodes for b in nodes if abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1]
    streets = [(a, b) for n, (a, b) in enumerate(streets) if n % 11 != 5]
    lanes, blocks, lane_of = [], [], {}
    for n, (a, b) in enumerate(streets):
        along = (nodes[b] - nodes[a]) / spacing
        right = np.array([along[1], -along[0]])
        for k in range(2):
            side = right * LANE_WIDTH * (k + 0.5)
            line = LineString(np.linspace(nodes[a] + along * 9 + side, nodes[b] - along * 9 + side, 12))
            left, rim = (_shifted(line, s * LANE_WIDTH / 2) for s in (1, -1))
            lane_of[a, b, k] = MapLane(2 * n + k + 1, 1000 + n, k, _strip(line), line, left, rim, None)
        group = [lane_of[a, b, k] for k in range(2)]
        lanes += group
        blocks.append(Roadblock(1000 + n, _union([lane.polygon for lane in group])))
    ways, connectors = [], []
    turns = [(s, t) for s in streets for t in streets if s[1] == t[0] and s[0] != t[1]]
    for m, (source, target) in enumerate(turns):
        group = []
        for k in range(2):
            before, after = lane_of[(*source, k)], lane_of[(*target, k)]
            start, end = np.array(before.baseline.coords[-1]), np.array(after.baseline.coords[0])
            angles = [math.atan2(*(nodes[b] - nodes[a])[::-1]) for a, b in (source, target)]
            line = _bezier(start, angles[0], end, angles[1])
            left, rim = (_shifted(line, s * LANE_WIDTH / 2) for s in (1, -1))
            fid = 501 + 2 * m + k
            group.append(MapLaneConnector(fid, 5000 + m, before.fid, after.fid, _strip(line), line, left, rim, 7.0))
        ways += group
        ends = (group[0].incoming_lane, group[0].outgoing_lane)
        block_of = {lane.fid: lane.roadblock for lane in lanes}
        area = 700 + size * source[1][0] + source[1][1]
        hull = _union([way.polygon for way in group]).convex_hull
        connectors.append(RoadblockConnector(5000 + m, block_of[ends[0]], block_of[ends[1]], area, hull))
    areas = [MapArea(700 + size * i + j, box(*(nodes[i, j] - 11), *(nodes[i, j] + 11))) for i, j in nodes]
    return NuplanMap(
        "us-pa-pittsburgh-hazelwood",
        tuple(lanes),
        tuple(ways),
        tuple(blocks),
        tuple(connectors),
        intersections=tuple(areas),
    ).validate()


def camera_records(token):
    rotation = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    intrinsics = np.array([[1545.0, 0.0, 960.0], [0.0, 1545.0, 560.0], [0.0, 0.0, 1.0]])
    return {
        name: CameraRecord(
            f"{LOG_NAME}/{name}/{token}.jpg",
            rotation,
            np.array([1.6, 0.1 * i, 1.5]),
            intrinsics,
            np.array([-0.35, 0.13, 0.0, 0.0, -0.02]),
        )
        for i, name in enumerate(ALL_CAMERAS)
    }


def make_log(frames: int = 20) -> NavsimLog:
    """Straight on from west to east in the right lane, at 8 m/s, past a light that is red for the others."""
    speed, kept = 8.0, []
    for i in range(frames):
        token = f"{i:016x}"
        pose = np.array([ORIGIN[0] - 60.0 + speed * 0.5 * i, ORIGIN[1] - 1.5 * LANE_WIDTH, 0.02 * math.sin(i)])
        states = np.array(
            [
                [pose[0] + 25.0, pose[1], 0.0, speed, 0.0],
                [ORIGIN[0] - 14.5, ORIGIN[1] - 7.0 + 0.6 * i, math.pi / 2, 0.0, 1.2],
                [ORIGIN[0] + 30.0, ORIGIN[1] - 8.4, 0.1, 0.0, 0.0],
            ]
        )
        kinds = [ObjectType.VEHICLE, ObjectType.PEDESTRIAN, ObjectType.TRAFFIC_CONE]
        sizes = np.array([[4.6, 1.9, 1.6], [0.7, 0.7, 1.8], [0.4, 0.4, 0.8]])
        seen = [k for k in range(3) if not (k == 1 and i == 7)]
        annotations = Annotations.from_global(
            pose, [f"track{k}" for k in seen], [kinds[k] for k in seen], sizes[seen], states[seen], token
        )
        kept.append(
            NavsimFrame(
                token=token,
                timestamp_us=1_620_000_000_000_000 + 500_000 * i + 137 * (i % 3),
                log_name=LOG_NAME,
                scene_token="scene0",
                map_location=LOCATION,
                roadblock_ids=("100", "502", "105"),
                ego_translation=np.array([pose[0], pose[1], 0.0]),
                ego_rotation=yaw_to_quaternion(pose[2]),
                ego_velocity=np.array([speed, 0.01]),
                ego_acceleration=np.array([0.1, 0.0]),
                traffic_lights=((5020, i > 12), (5021, i > 12), (5130, True)),
                driving_command=DrivingCommand.STRAIGHT,
                cameras=camera_records(token),
                lidar_path=f"{LOG_NAME}/MergedPointCloud/{token}.pcd",
                annotations=annotations,
                frame_idx=i,
                log_token="log0",
                scene_name="log-0001-scene-0001",
                vehicle_name="35",
            )
        )
    return NavsimLog(LOG_NAME, tuple(kept)).validate()


class SeededBlobs:
    """Small pictures and clouds that depend on the frame only."""

    def __init__(self, frame):
        self._frame = frame

    def camera_jpeg(self, name):
        shade = (37 * ALL_CAMERAS.index(name) + self._frame.frame_idx) % 256
        return encode_jpeg(np.full((36, 64, 3), shade, dtype=np.uint8))

    def lidar_pcd(self):
        random = np.random.default_rng(self._frame.frame_idx)
        return encode_pcd(
            MergedPointCloud(
                random.normal(0.0, 20.0, (50, 3)).astype(np.float32),
                random.integers(0, 256, 50).astype(np.float32),
                random.integers(0, 64, 50).astype(np.uint8),
                random.integers(0, 5, 50).astype(np.uint8),
            )
        )


SPLIT = Split("towntest", "test", SceneFilter(frame_interval=1, log_names=(LOG_NAME,)))


@pytest.fixture(scope="session")
def town_map() -> NuplanMap:
    return make_town_map()


@pytest.fixture(scope="session")
def town_index(town_map) -> MapIndex:
    return MapIndex(town_map)


@pytest.fixture(scope="session")
def grid_index() -> MapIndex:
    return MapIndex(make_grid_map())


@pytest.fixture(scope="session")
def town_log() -> NavsimLog:
    return make_log()


@pytest.fixture(scope="session")
def exported(tmp_path_factory, town_map, town_log) -> Path:
    """A data set on disk; tests must not change it."""
    root = tmp_path_factory.mktemp("export")
    export_navsim([ExportLog(town_log, SeededBlobs)], [town_map], SPLIT, root)
    return root


@pytest.fixture
def rerouted():
    """The log's frames with another route."""

    def change(frames, route):
        return [replace(frame, roadblock_ids=tuple(route)) for frame in frames]

    return change
