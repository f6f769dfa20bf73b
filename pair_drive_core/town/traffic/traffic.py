"""Vehicles that follow their paths at a speed chosen by the intelligent driver model.

IDM: Treiber, Hennecke and Helbing, Phys. Rev. E 62 (2000), with the improved free-road term of Treiber and Kesting,
Traffic Flow Dynamics (2013), section 11.3.7. A vehicle's leader is whatever stands first in the strip that its own
body will sweep, so parked cars, people and the ego count without being on any lane.
"""

from __future__ import annotations

import numpy as np

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.town.streets.curves import FloatArray, snap, unit
from pair_drive_core.town.streets.network import RoadNetwork
from pair_drive_core.town.streets.scenery import Scenery
from pair_drive_core.town.streets.signals import Light, SignalPlan
from pair_drive_core.town.traffic.drivers import Fleet
from pair_drive_core.town.traffic.first_hits import LOOK_POINTS, LOOK_STEP_M, first_hits
from pair_drive_core.town.traffic.flaws import Flaw, FlawModel, Surroundings
from pair_drive_core.town.traffic.lane_change import CONSIDER_INTERVAL_STEPS, Movement, change_lanes
from pair_drive_core.town.traffic.passing import BlockedLanes
from pair_drive_core.town.traffic.paths import PathBank
from pair_drive_core.town.traffic.pedestrians import SIZE_M, shadows
from pair_drive_core.town.traffic.right_of_way import Approach, RightOfWay, connectors_ahead

_FREE_GAP_M = 200.0
_LINE_GAP_M = 1.8
_JERK_MPS3 = 1.8
_HARD_JERK_MPS3 = 7.0
_PANIC_MPS2 = -9.5
"""Full braking on a dry road."""
_PANIC_JERK_MPS3 = 40.0
_PANIC_NEEDED_MPS2 = 7.5
"""Who looks elsewhere wakes up when stopping in time takes this much."""
_NEAR_JUNCTION_M = 45.0
_FOOT_SHADOWS_S = (0.0, 0.8, 1.6)


class Traffic:
    """All moving vehicles of a town.

    Attributes:
        along_m: (V,), arc length of each rear axle on its path.
        speed_mps: (V,).
        acceleration_mps2: (V,), along the path.
        external: (V,) bool, vehicles that are driven from outside.
        external_pose: (V, 3), their rear axle poses.
    """

    def __init__(
        self,
        network: RoadNetwork,
        fleet: Fleet,
        plans: dict[int, SignalPlan],
        scenery: Scenery,
        flaw_rate: float,
        rng: np.random.Generator,
    ) -> None:
        """Spread vehicles over a town.

        Args:
            network: the map.
            fleet: vehicles and drivers.
            plans: the lights.
            scenery: what stands in the lanes.
            flaw_rate: wanted share of the demonstrators' scenes in which the driver does something wrong.
            rng: source of all randomness.
        """
        count = len(fleet)
        self.network = network
        self.fleet = fleet
        self.paths = PathBank(network, rng, fleet, scenery.detours)
        self.right_of_way = RightOfWay(network, plans)
        self.blocked = BlockedLanes(self.paths, fleet, scenery.blockages)
        self.along_m = np.zeros(count)
        self.speed_mps = np.zeros(count)
        self.acceleration_mps2 = np.zeros(count)
        self.external = np.zeros(count, dtype=bool)
        self.external_pose = np.zeros((count, 3))
        self._connectors: list[list[tuple[int, float, float]]] = [[] for _ in range(count)]
        self._gap_m = np.full(count, _FREE_GAP_M)
        self._spawn(rng)
        shut = frozenset(lane for b in scenery.blockages for lane in (b.lane, b.oncoming))
        self.flaws = FlawModel(network, plans, self.paths, fleet.profile, flaw_rate, shut, rng)

    def __len__(self) -> int:
        """Number of vehicles."""
        return len(self.fleet)

    @property
    def pose(self) -> FloatArray:
        """(V, 3): rear axle x, y, heading (wrapped); m, rad."""
        pose = self.paths.sample(self.paths.points, self.along_m)
        pose = np.where(self.external[:, None], self.external_pose, pose)
        pose[:, 2] = wrap_angle(pose[:, 2])
        return snap(pose)

    @property
    def curvature(self) -> FloatArray:
        """(V,): curvature of the paths, 1/m."""
        return self.paths.sample(self.paths.curvature, self.along_m)

    def step(self, dt_s: float, time_s: float, walkers: FloatArray, walking_mps: FloatArray, still: FloatArray) -> None:
        """Drive on.

        Args:
            dt_s: time step.
            time_s: now.
            walkers: (N, 3), poses of people.
            walking_mps: (N,), their speeds.
            still: (M, 3), x, y, radius of circles that cover everything that stands.
        """
        pose = self.pose
        self._follow_external(pose)
        around = Surroundings(time_s, self.along_m, self.speed_mps, pose, self._gap_m)
        self.flaws.step(around)
        waits = self.blocked.step(around, self.external)
        gap, leader_mps = self._leaders(pose, walkers, walking_mps, still)
        self._gap_m = gap.copy()
        if round(time_s * 10.0) % CONSIDER_INTERVAL_STEPS == 5:
            self._change_lanes(pose, gap, leader_mps)
        to_line = self._stop_lines(gap, leader_mps, time_s)
        for vehicle, line_m in waits.items():
            to_line[vehicle] = min(to_line[vehicle], line_m + float(self.fleet.standstill_m[vehicle]))
        # A leader that drives on must not hide the line at which the follower has to stop.
        wanted = np.minimum(self._idm(gap, leader_mps), self._idm(to_line, np.zeros(len(self))))
        jerk = np.where(self.flaws.doing(Flaw.HARSH), 3.0 * _JERK_MPS3, _JERK_MPS3)
        panic = wanted < -7.0
        limit = np.where(panic, _PANIC_JERK_MPS3, np.where(wanted < -2.5, _HARD_JERK_MPS3, jerk)) * dt_s
        change = np.clip(
            wanted - self.acceleration_mps2, -limit, np.where(self.acceleration_mps2 < -1.0, 2.0, 1.0) * limit
        )
        acceleration = np.clip(self.acceleration_mps2 + change, np.where(panic, _PANIC_MPS2, -7.0), 3.0)
        speed = self.speed_mps + acceleration * dt_s
        acceleration = np.where(speed < 0.0, 0.0, acceleration)
        speed = np.maximum(speed, 0.0)
        moved = 0.5 * (self.speed_mps + speed) * dt_s
        drive = ~self.external
        self.acceleration_mps2 = snap(np.where(drive, acceleration, self.acceleration_mps2))
        self.along_m = snap(np.where(drive, self.along_m + moved, self.along_m))
        self.speed_mps = snap(np.where(drive, speed, self.speed_mps))
        self._extend_paths()

    def _change_lanes(self, pose: FloatArray, gap: FloatArray, leader_mps: FloatArray) -> None:
        busy = np.zeros(len(self), dtype=bool)
        busy[[*self.flaws.episodes, *(vehicle for vehicle, _ in self.right_of_way.committed)]] = True
        able = ~(busy | self.external) & (self.fleet.bias_m == 0.0)
        wanted = self.paths.sample(self.paths.speed, self.along_m)
        now = Movement(self.along_m, pose, self.speed_mps, wanted, gap, leader_mps)
        for vehicle in change_lanes(self.network, self.paths, able, now, self.paths.rng):
            self._find_connectors(vehicle)

    def _follow_external(self, pose: FloatArray) -> None:
        """Where on their path the vehicles are that are driven from outside."""
        for vehicle in np.nonzero(self.external)[0]:
            points = self.paths.points[vehicle]
            low = max(int(self.along_m[vehicle] * 2.0) - 20, 0)
            window = points[low : low + 80]
            nearest = int(np.argmin(((window[:, :2] - pose[vehicle, :2]) ** 2).sum(-1)))
            self.along_m[vehicle] = (low + nearest) * 0.5

    def _extend_paths(self) -> None:
        for vehicle in self.paths.needs_extension(self.along_m):
            self.along_m[vehicle] = snap(np.array(self.paths.extend(vehicle, float(self.along_m[vehicle]))))
            self._find_connectors(vehicle)

    def _find_connectors(self, vehicle: int) -> None:
        lanes = self.network.lanes
        self._connectors[vehicle] = [
            (s.lane, s.start_m, s.end_m) for s in self.paths.spans[vehicle] if lanes[s.lane].is_connector
        ]

    def body_circles(self, pose: FloatArray) -> FloatArray:
        """(V, 3, 2): centres of three circles of half a width along each vehicle, m."""
        fleet = self.fleet
        reach = fleet.length_m / 2.0 - fleet.width_m / 2.0
        offsets = fleet.center_m[:, None] + np.stack((-reach, np.zeros_like(reach), reach), axis=-1)
        circles: FloatArray = pose[:, None, :2] + offsets[..., None] * unit(pose[:, 2])[:, None, :]
        return circles

    def _leaders(
        self, pose: FloatArray, walkers: FloatArray, walking_mps: FloatArray, still: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Gap to the first thing in each vehicle's way and that thing's speed along the way; (V,), (V,)."""
        count = len(self)
        fleet = self.fleet
        feet = shadows(walkers, walking_mps, _FOOT_SHADOWS_S)
        centers = np.concatenate((self.body_circles(pose).reshape(-1, 2), feet, still[:, :2]))
        radius = np.concatenate(
            (np.repeat(fleet.width_m / 2.0, 3), np.full(len(feet), SIZE_M[1] / 2.0 + 0.35), still[:, 2])
        )
        velocity = np.zeros((len(centers), 2))
        velocity[: 3 * count] = np.repeat(unit(pose[:, 2]) * self.speed_mps[:, None], 3, axis=0)
        first = self.along_m[:, None] + 0.5 * fleet.front_m[:, None] + LOOK_STEP_M * np.arange(LOOK_POINTS)
        index = np.clip((first * 2.0).astype(np.int64), 0, self.paths.points.shape[1] - 1)
        strip = self.paths.points[np.arange(count)[:, None], index]
        unseen = (self.flaws.doing(Flaw.CLIP), len(centers) - len(still))
        hits = first_hits(strip, fleet.width_m, centers, radius, unseen)
        vehicle, ahead = hits.vehicle, unit(strip[hits.vehicle, hits.point, 2])
        start = index[vehicle, hits.point] * 0.5 - self.along_m[vehicle]
        gap, leader = np.full(count, _FREE_GAP_M), np.zeros(count)
        gap[vehicle] = start + hits.beyond_m - fleet.front_m[vehicle]
        leader[vehicle] = np.maximum((velocity[hits.circle] * ahead).sum(-1), 0.0)
        return gap, leader

    def _stop_lines(self, gap: FloatArray, leader_mps: FloatArray, time_s: float) -> FloatArray:
        """(V,): gap to the stop line for those who must stop at one; far away for the others, m."""
        approaches = [
            approach for vehicle in range(len(self)) for approach in self._approaches(vehicle, gap, leader_mps)
        ]
        stopping = self.right_of_way.must_stop(approaches, time_s)
        to_line = np.full(len(self), _FREE_GAP_M)
        for approach in approaches:
            if approach.key in stopping:
                line_m = approach.to_line_m - _LINE_GAP_M + float(self.fleet.standstill_m[approach.vehicle])
                to_line[approach.vehicle] = min(to_line[approach.vehicle], max(line_m, 0.1))
        return to_line

    def _approaches(self, vehicle: int, gap: FloatArray, leader_mps: FloatArray) -> list[Approach]:
        """The junction that a vehicle is in and the one that it is near."""
        fleet, speed = self.fleet, float(self.speed_mps[vehicle])
        episode = self.flaws.episodes.get(vehicle)
        found = []
        for lane, to_line, to_exit in self._junctions_ahead(vehicle)[:2]:
            if to_line > _NEAR_JUNCTION_M:
                break
            ignores = episode is not None and episode.lane == lane
            stuck = leader_mps[vehicle] < 1.5 and gap[vehicle] < to_exit + 1.5
            beside = abs(float(fleet.bias_m[vehicle]))
            found.append(Approach(vehicle, lane, to_line, to_exit, speed, not stuck, ignores, beside))
        return found

    def _junctions_ahead(self, vehicle: int) -> list[tuple[int, float, float]]:
        fleet = self.fleet
        front = float(fleet.front_m[vehicle])
        rear = float(fleet.length_m[vehicle]) - front
        return connectors_ahead(self._connectors[vehicle], float(self.along_m[vehicle]), front, rear)

    def _idm(self, gap: FloatArray, leader_mps: FloatArray) -> FloatArray:
        """(V,): wanted acceleration, m/s^2."""
        fleet, v = self.fleet, self.speed_mps
        a, b, headway_s = self._reactions()
        target = self.paths.sample(self.paths.speed, self.along_m + 0.3 * v)
        ratio = v / np.maximum(target, 0.3)
        over = -b * (1.0 - (1.0 / np.maximum(ratio, 1.0)) ** (4.0 * a / b)) - 1.2 * np.maximum(v - target, 0.0)
        free = np.where(ratio <= 1.0, a * (1.0 - np.minimum(ratio, 1.0) ** 4), over)
        dynamic = v * headway_s + v * (v - leader_mps) / (2.0 * np.sqrt(a * b))
        closeness = (fleet.standstill_m + np.maximum(dynamic, 0.0)) / np.maximum(gap, 0.1)
        following = a * (1.0 - np.minimum(closeness, 6.0) ** 2)
        wanted: FloatArray = np.maximum(np.minimum(free, following), -7.0)
        wanted = np.where(self.flaws.doing(Flaw.HESITATION), np.minimum(wanted, -0.5), wanted)
        needed = np.maximum(v - leader_mps, 0.0) ** 2 / (2.0 * np.maximum(gap - 1.0, 0.1))
        awake = (needed > _PANIC_NEEDED_MPS2) | ((self.acceleration_mps2 < -4.0) & (v > leader_mps))
        return np.where(self.flaws.inattentive(), np.where(awake, _PANIC_MPS2, np.maximum(free, -2.0)), wanted)

    def _reactions(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """IDM's acceleration, braking and headway, with the lapses of the moment; (V,) each."""
        fleet = self.fleet
        late, harsh = self.flaws.doing(Flaw.LATE_BRAKE), self.flaws.doing(Flaw.HARSH)
        acceleration = np.where(harsh, 3.4, fleet.acceleration_mps2)
        braking = np.where(late, 6.0, fleet.braking_mps2)
        return acceleration, braking, np.where(late, 0.3, fleet.headway_s)

    def wrongdoings(self, vehicle: int, time_s: float) -> tuple[str, ...]:
        """Labels of what a driver does wrong at this moment."""
        red = self.speed_mps[vehicle] > 0.5 and any(
            to_line < 1.0 and self.right_of_way.light(lane, time_s) is Light.RED
            for lane, to_line, _ in self._junctions_ahead(vehicle)[:2]
        )
        return self.flaws.active(vehicle, float(self.along_m[vehicle]), float(self.acceleration_mps2[vehicle]), red)

    def _spawn(self, rng: np.random.Generator) -> None:
        """Put vehicles on lanes, none within another's reach."""
        lanes = self.network.lanes
        shut = {blockage.lane for blockage in self.blocked.blockages}
        open_lanes = [i for i, lane in enumerate(lanes) if i not in shut and not lane.is_connector and lane.successors]
        places: list[tuple[int, float]] = []
        for i in open_lanes:
            length = self.network.lanes[i].length_m
            places += [(i, float(at)) for at in np.arange(8.0, length - 8.0, 14.0)]
        if len(places) < len(self):
            raise ValueError(f"town has room for {len(places)} vehicles, {len(self)} were asked for")
        order = [places[int(place)] for place in rng.permutation(len(places))]
        for vehicle in range(len(self)):
            # Who keeps to the kerb needs a lane that has one; there are far more places than vehicles.
            keeps_right = self.fleet.bias_m[vehicle] < 0.0
            fits = next((i for i, (k, _) in enumerate(order) if not keeps_right or lanes[k].right is None), 0)
            lane, at = order.pop(fits)
            self.paths.start(vehicle, lane, at)
            self._find_connectors(vehicle)
        self.speed_mps = snap(0.6 * self.paths.sample(self.paths.speed, self.along_m))
