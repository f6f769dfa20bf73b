"""Vehicles on rails: snapped onto a lane, moving along its centre line."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import shapely

from pair_drive_core.geometry import rectangle_corners, wrap_angle
from pair_drive_core.scene import LaneGraph, MapLayer, Scene, TrackedObjects
from pair_drive_core.simulation.idm import IdmParameters
from pair_drive_core.simulation.rail_path import RailPath, nearest_pose

FloatArray = npt.NDArray[np.float64]
Pose = tuple[float, float, float]


def box_polygon(pose: Pose, length: float, width: float) -> shapely.Polygon:
    """The rectangle around a box centre."""
    return shapely.Polygon(rectangle_corners(np.array(pose[:2]), pose[2], length, width))


@dataclass
class RailVehicle:
    """A vehicle and where it is on its rail (nuPlan `IDMAgent`).

    Attributes:
        row: its row among the vehicles at t0.
        length_m: box length.
        width_m: box width.
        path: its rail.
        progress: along the rail, m; may run past the end, where the vehicle is shown at the end.
        speed: m/s.
        desired_speed: on a free road, m/s.
    """

    row: int
    length_m: float
    width_m: float
    path: RailPath
    progress: float
    speed: float
    desired_speed: float

    @property
    def pose(self) -> Pose:
        """Box centre and heading."""
        return self.path.state_at(self.path.clamp(self.progress))

    @property
    def free_road_m(self) -> float:
        """Distance to the end of the rail."""
        return self.path.end - self.progress

    def corridor(self) -> shapely.Polygon:
        """What the vehicle will sweep until the end of its rail."""
        ahead = shapely.LineString(self.path.rest(self.path.clamp(self.progress)))
        return ahead.buffer(self.width_m / 2.0, cap_style="flat")

    def footprint(self, headway_s: float) -> shapely.Geometry:
        """The box, stretched along the rail by the way travelled within the headway."""
        start = self.path.clamp(self.progress - self.length_m / 2.0)
        end = self.path.clamp(self.progress + self.length_m / 2.0 + self.speed * headway_s)
        swept = shapely.LineString(self.path.between(start, end)).buffer(self.width_m / 2.0, cap_style="flat")
        return shapely.union_all([swept, box_polygon(self.pose, self.length_m, self.width_m)])

    def drive(self, parameters: IdmParameters, gap: float, leader_speed: float, step_s: float) -> None:
        """Advance by one explicit Euler step."""
        acceleration = float(parameters.acceleration(self.speed, self.desired_speed, gap, leader_speed))
        self.progress += step_s * self.speed
        self.speed = max(self.speed + step_s * acceleration, 0.0)


@dataclass(frozen=True)
class Snap:
    """Where an object would stand on the lane that suits it best.

    Attributes:
        lane: index into the lane graph.
        pose: nearest point of the centre line, heading along it.
        along: distance along the centre line, m.
        deviation_m: distance from the object's centre.
    """

    lane: int
    pose: Pose
    along: float
    deviation_m: float


@dataclass(frozen=True)
class Rails:
    """The lane graph as geometry to ask questions of.

    Attributes:
        lanes: the lane graph.
        lines: centre line of each lane.
        paths: rail of each lane; None where its centre line is too short for one.
        polygons: outline of each lane.
        intersections: outlines of the map's intersections.
    """

    lanes: LaneGraph
    lines: list[shapely.LineString] = field(repr=False)
    paths: list[RailPath | None] = field(repr=False)
    polygons: npt.NDArray[np.object_] = field(repr=False)
    intersections: npt.NDArray[np.object_] = field(repr=False)

    @staticmethod
    def of(scene: Scene, lanes: LaneGraph) -> Rails:
        """Build from a scene's map; lanes without a centre line or an area hold nothing."""
        centerlines = [lanes.centerlines[i].double().numpy() for i in range(len(lanes.tokens))]
        drivable = [c.shape[0] > 1 for c in centerlines]
        rings = [lanes.rings[i].double().numpy() if line else np.zeros((0, 2)) for i, line in enumerate(drivable)]
        crossing = (scene.map.layers == int(MapLayer.INTERSECTION)).nonzero()[:, 0].tolist()
        areas = [_outline(scene.map.rings[i].double().numpy()) for i in crossing]
        return Rails(
            lanes,
            [shapely.LineString(c[:, :2] if line else None) for c, line in zip(centerlines, drivable, strict=True)],
            [RailPath.from_centerline(c) for c in centerlines],
            np.array([_outline(r) for r in rings], dtype=object),
            np.array(areas, dtype=object),
        )

    def on_lane(self, x: float, y: float) -> bool:
        """Whether a point is strictly inside a lane (connectors are none)."""
        return bool(self._holding(x, y, connectors=False).shape[0])

    def in_intersection(self, x: float, y: float) -> bool:
        """Whether a point is strictly inside an intersection."""
        return bool(shapely.contains(self.intersections, shapely.Point(x, y)).any())

    def _holding(self, x: float, y: float, connectors: bool) -> npt.NDArray[np.int64]:
        wanted = self.lanes.is_connector.numpy() == connectors
        return np.flatnonzero(wanted & shapely.contains(self.polygons, shapely.Point(x, y)))

    def snap(self, pose: Pose) -> Snap | None:
        """The lane under an object whose direction suits it best (nuPlan `get_starting_segment`).

        Lanes are looked at first; connectors only within intersections. Directions are compared without wrapping, as in
        the official code.

        Returns:
            None where there is no lane under the object.
        """
        x, y, heading = pose
        found = self._holding(x, y, connectors=False)
        if found.shape[0] == 0 and self.in_intersection(x, y):
            found = self._holding(x, y, connectors=True)
        if found.shape[0] == 0:
            return None
        poses = [nearest_pose(self.lines[i], x, y) for i in found]
        best = int(np.argmin([abs(p[2] - heading) for p in poses]))
        px, py, ph, along = poses[best]
        return Snap(int(found[best]), (px, py, ph), along, float(np.hypot(px - x, py - y)))


def _outline(ring: FloatArray) -> shapely.Polygon:
    """The polygon of an open ring; empty where fewer than three points are given."""
    return shapely.Polygon(ring[:, :2] if ring.shape[0] > 2 else None)


def place_on_rails(
    rails: Rails, vehicles: TrackedObjects, ego_box: shapely.Polygon, parameters: IdmParameters, snap_m: float
) -> tuple[list[RailVehicle], list[shapely.Geometry]]:
    """Snap the vehicles at t0 onto lanes (official `build_idm_agents_on_map_rails`).

    A vehicle stays off the rails where there is no lane, where the centre line is farther than `snap_m`, and where its
    box on the rail would touch the ego or a vehicle placed before it.

    Args:
        rails: the lanes.
        vehicles: V vehicles, one row of states.
        ego_box: the ego at t0.
        parameters: the drivers' manners.
        snap_m: largest deviation, m.

    Returns:
        The vehicles on rails in their order, and their boxes.
    """
    placed: list[RailVehicle] = []
    boxes: list[shapely.Geometry] = []
    # On a lane without a limit a vehicle takes the desired speed of the vehicle placed before it: the official loop
    # overwrites its own default.
    desired = parameters.desired_speed_mps
    states, sizes = vehicles.states[0].double().numpy(), vehicles.sizes.double().numpy()
    for row in range(states.shape[0]):
        x, y, heading, vx, vy = states[row].tolist()
        length, width = sizes[row, :2].tolist()
        snap = rails.snap((x, y, heading))
        if snap is None or snap.deviation_m > snap_m:
            continue
        path = rails.paths[snap.lane]
        box = box_polygon(snap.pose, length, width)
        if path is None or shapely.intersects([ego_box, *boxes], box).any():
            continue
        limit = float(rails.lanes.speed_limits_mps[snap.lane])
        desired = limit if limit > 0.0 else desired
        placed.append(RailVehicle(row, length, width, path, snap.along, float(np.hypot(vx, vy)), desired))
        boxes.append(box)
    return placed, boxes


def along(speed: float, heading: float, own_heading: float) -> float:
    """Part of another one's speed along one's own heading, m/s."""
    return float(np.cos(wrap_angle(heading - own_heading)) * speed)
