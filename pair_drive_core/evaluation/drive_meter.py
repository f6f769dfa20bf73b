"""Measures a drive through a town from ground truth: collisions, roads left, red lights, progress, comfort."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import shapely
import torch

from pair_drive_core.geometry import rectangle_corners
from pair_drive_core.scene import PACIFICA
from pair_drive_core.scene.sensors import FloatArray
from pair_drive_core.scoring.comfort_signals import ComfortSignals, comfort_flags
from pair_drive_core.scoring.no_at_fault_collision import EGO_STOPPED_SPEED_MPS
from pair_drive_core.town import STEP_S, Moment, SceneCutter, TownSimulator
from pair_drive_core.town.streets.signals import Light

_COMFORT_STEPS = 40
"""Comfort is judged over 4 s at a time, as the metric does."""
_STOPPED_MPS = 0.05
_BEHIND_COS = float(np.cos(np.deg2rad(150.0)))
_MAX_PROGRESS_M = 5.0
"""A greater change of the place on the route within one step is a new numbering of the route, no motion."""


@dataclass(frozen=True)
class DriveMeasures:
    """What a drive was like.

    Attributes:
        duration_s: of the drive.
        distance_m: driven.
        progress_m: on the route.
        at_fault_collisions: objects first touched by the ego's fault, by the metric's rule.
        other_collisions: objects first touched by theirs.
        off_road_s: time with a corner of the ego off lanes, junctions and car parks.
        red_lights: stop lines crossed at red.
        comfortable_share: of stretches of 4 s, those within all bounds of the metric's comfort.
        standing_s: time below 0.1 m/s.
    """

    duration_s: float
    distance_m: float
    progress_m: float
    at_fault_collisions: int
    other_collisions: int
    off_road_s: float
    red_lights: int
    comfortable_share: float
    standing_s: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class DriveMeter:
    """Looks at each moment of a simulator's ego.

    Args:
        simulator: the town's life.
        cutter: of the same simulator.
    """

    def __init__(self, simulator: TownSimulator, cutter: SceneCutter) -> None:
        self._simulator, self._cutter = simulator, cutter
        network = cutter.map.network
        rings = [block.ring for block in network.roadblocks]
        rings += [junction.area.ring for junction in network.junctions] + [area.ring for area in network.carparks]
        self._road = shapely.union_all([shapely.Polygon(ring) for ring in rings])
        shapely.prepare(self._road)
        self._lanes = shapely.STRtree([shapely.Polygon(lane.ring) for lane in network.lanes])
        self._touched: set[int] = set()
        self._front_lane: int | None = None
        self._place = float("nan")
        self._distance = self._progress = 0.0
        self._at_fault = self._other = self._red = self._off_road = self._standing = 0
        self._motion: list[tuple[float, float, float]] = []
        self._last_position: FloatArray | None = None

    def observe(self) -> None:
        """Take in the newest moment."""
        now, ego = self._simulator.now, self._simulator.ego
        pose, speed = now.pose[ego], float(now.speed_mps[ego])
        if self._last_position is not None:
            self._distance += float(np.hypot(*(pose[:2] - self._last_position)))
        self._last_position = pose[:2].copy()
        place = float(now.along_m[ego])
        moved = place - self._place
        self._progress += moved if abs(moved) < _MAX_PROGRESS_M else 0.0
        self._place = place
        body = ego_box(pose)
        self._off_road += not bool(shapely.covers(self._road, shapely.MultiPoint(body.exterior.coords[:-1])))
        self._standing += speed < 0.1
        self._collisions(now, body, speed)
        self._lights(now, place)
        self._motion.append((float(now.acceleration[ego, 0]), float(now.acceleration[ego, 1]), float(pose[2])))

    def measures(self) -> DriveMeasures:
        """What the drive was like so far."""
        return DriveMeasures(
            duration_s=max(len(self._motion) - 1, 0) * STEP_S,
            distance_m=self._distance,
            progress_m=self._progress,
            at_fault_collisions=self._at_fault,
            other_collisions=self._other,
            off_road_s=self._off_road * STEP_S,
            red_lights=self._red,
            comfortable_share=_comfortable_share(np.array(self._motion).reshape(-1, 3)),
            standing_s=self._standing * STEP_S,
        )

    def _collisions(self, now: Moment, body: shapely.Polygon, speed: float) -> None:
        """Judge each object that is touched for the first time."""
        ego = self._simulator.ego
        states, sizes = self._cutter.object_states(now), self._cutter.object_sizes
        center = np.array(body.centroid.coords[0])
        offset = states[:, :2] - center
        reach = 0.5 * (np.hypot(sizes[:, 0], sizes[:, 1]) + np.hypot(PACIFICA.length_m, PACIFICA.width_m))
        near = np.nonzero(np.hypot(offset[:, 0], offset[:, 1]) <= reach)[0]
        for row in near.tolist():
            if row == ego or row in self._touched:
                continue
            other = shapely.Polygon(rectangle_corners(states[row, :2], states[row, 2], sizes[row, 0], sizes[row, 1]))
            if not body.intersects(other):
                continue
            self._touched.add(row)
            if self._at_fault_for(body, other, offset[row], states[row], float(now.pose[ego, 2]), speed):
                self._at_fault += 1
            else:
                self._other += 1

    def _at_fault_for(
        self,
        body: shapely.Polygon,
        other: shapely.Polygon,
        offset: FloatArray,
        state: FloatArray,
        heading: float,
        speed: float,
    ) -> bool:
        """The metric's rule: a standing ego never is; a standing object always; else by where it touches."""
        if speed <= EGO_STOPPED_SPEED_MPS:
            return False
        if float(np.hypot(state[3], state[4])) <= _STOPPED_MPS:
            return True
        direction = np.array([np.cos(heading), np.sin(heading)])
        if float(offset @ direction) < _BEHIND_COS * float(np.hypot(*offset)):
            return False
        front = shapely.LineString(np.array(body.exterior.coords)[-2:])
        return bool(front.intersects(other)) or not self._in_one_lane(body)

    def _in_one_lane(self, body: shapely.Polygon) -> bool:
        """Whether one lane or connector holds the whole ego."""
        return bool(self._lanes.query(body, predicate="covered_by").size)

    def _lights(self, now: Moment, place: float) -> None:
        """Count a stop line that the front bumper passes at red."""
        front = place + PACIFICA.front_length_m
        spans = now.spans[self._simulator.ego]
        lane = next((span.lane for span in spans if span.start_m <= front < span.end_m), None)
        if lane is not None and self._front_lane is not None and lane != self._front_lane:
            entered = self._cutter.map.network.lanes[lane]
            plans = self._simulator.town.plans
            if entered.junction is not None and entered.junction in plans:
                self._red += plans[entered.junction].light(entered.arm, now.time_s) is Light.RED
        self._front_lane = lane


def ego_box(pose: FloatArray) -> shapely.Polygon:
    """The ego's body; the first corner and the last are the front bumper's.

    Args:
        pose: (3,), rear axle; m, rad.
    """
    direction = np.array([np.cos(pose[2]), np.sin(pose[2])])
    center = pose[:2] + PACIFICA.rear_axle_to_center_m * direction
    return shapely.Polygon(rectangle_corners(center, pose[2], PACIFICA.length_m, PACIFICA.width_m))


def _comfortable_share(motion: FloatArray) -> float:
    """Share of the stretches of 4 s in which all bounds of comfort hold; NaN before the first.

    Args:
        motion: (N, 3), longitudinal and lateral acceleration, heading; m/s^2, rad.
    """
    count = (len(motion) - 1) // _COMFORT_STEPS
    if count < 1:
        return float("nan")
    heading = np.unwrap(motion[:, 2])
    signals = torch.from_numpy(np.column_stack((motion[:, :2], np.hypot(motion[:, 0], motion[:, 1]), heading)))
    # A stretch ends with the sample that the next one begins with.
    parts = torch.stack([signals[i * _COMFORT_STEPS : (i + 1) * _COMFORT_STEPS + 1] for i in range(count)])
    samples = parts.shape[1]
    flags = comfort_flags(ComfortSignals(*parts.unbind(-1)), bound_window=samples, jerk_window=samples)
    return float(flags.all(-1).double().mean())
