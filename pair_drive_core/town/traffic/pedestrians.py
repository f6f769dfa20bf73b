"""People on pavements and crosswalks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pair_drive_core.town.streets.curves import FloatArray, arc_lengths, offset_left, oriented, resample, snap, unit
from pair_drive_core.town.streets.layout import half_road_m
from pair_drive_core.town.streets.network import RoadNetwork
from pair_drive_core.town.streets.network_builder import PARKING_WIDTH_M, WALKWAY_WIDTH_M
from pair_drive_core.town.streets.signals import Light, SignalPlan

SIZE_M = (0.55, 0.65, 1.72)
"""Length, width, height of a person's box."""
_PATIENCE_S = 2.5


@dataclass(frozen=True)
class Walk:
    """Where one person goes to and fro.

    Attributes:
        line: (P, 3), x, y, heading; m, rad.
        crossing: (junction, arm) whose traffic must be held while the person crosses; None on a pavement.
    """

    line: FloatArray
    crossing: tuple[int, int] | None


class Pedestrians:
    """All people of a town.

    Attributes:
        pose: (N, 3), x, y, heading; m, rad.
        speed_mps: (N,), 0 while waiting.
        color: (N, 3) uint8.
    """

    def __init__(
        self,
        network: RoadNetwork,
        plans: dict[int, SignalPlan],
        crossers: float,
        walkers: int,
        rng: np.random.Generator,
    ) -> None:
        """Put people into a town.

        Args:
            network: the map.
            plans: its lights.
            crossers: mean number of people at each crosswalk.
            walkers: people on pavements.
            rng: source of all randomness.
        """
        self.plans = plans
        self.walks = _crossings(network, crossers, rng) + _pavements(network, walkers, rng)
        count = len(self.walks)
        self._length = np.array([arc_lengths(w.line)[-1] for w in self.walks])
        self._pace = snap(rng.uniform(0.9, 1.6, count))
        self._forward = rng.random(count) < 0.5
        on_pavement = np.array([w.crossing is None for w in self.walks], dtype=bool)
        self._along = np.where(on_pavement, snap(rng.uniform(0.0, 1.0, count) * self._length), 0.0)
        self._along = np.where(on_pavement | self._forward, self._along, self._length)
        self._rest_s = np.where(on_pavement, 0.0, snap(rng.uniform(0.0, 12.0, count)))
        self._blocked_s = np.zeros(count)
        self._rng = rng
        self.color = rng.integers(30, 220, (count, 3)).astype(np.uint8)
        self.speed_mps = np.zeros(count)
        self.pose = np.zeros((count, 3))
        self._place()

    def __len__(self) -> int:
        """Number of people."""
        return len(self.walks)

    def step(
        self, dt_s: float, time_s: float, street_busy: npt.NDArray[np.bool_], cars: FloatArray, car_radius_m: FloatArray
    ) -> None:
        """Walk on.

        Args:
            dt_s: time step.
            time_s: now.
            street_busy: (N,), whether a vehicle is too near for this person to step onto the road.
            cars: (C, 2), centres of circles that cover the vehicles, m.
            car_radius_m: (C,).
        """
        self._rest_s = snap(np.maximum(self._rest_s - dt_s, 0.0))
        next_step = self.pose[:, :2] + 0.8 * unit(self.pose[:, 2])
        offset = next_step[:, None] - cars[None]
        clear = np.hypot(offset[..., 0], offset[..., 1]) - car_radius_m
        blocked = clear.min(-1, initial=np.inf) < 0.7
        self._blocked_s = np.where(blocked, self._blocked_s + dt_s, 0.0)
        # Who finds the way blocked by a standing car goes back, or both would wait for ever.
        turning = self._blocked_s > _PATIENCE_S
        self._forward = np.where(turning, ~self._forward, self._forward)
        self._blocked_s = np.where(turning, 0.0, self._blocked_s)
        for i, walk in enumerate(self.walks):
            at_end = self._along[i] <= 0.0 if self._forward[i] else self._along[i] >= self._length[i]
            waiting = bool(self._rest_s[i] > 0.0 or blocked[i])
            if not waiting and at_end and walk.crossing is not None:
                waiting = bool(street_busy[i]) or not self._may_cross(i, walk.crossing, time_s)
            self.speed_mps[i] = 0.0 if waiting else self._pace[i]
        self._along = snap(self._along + np.where(self._forward, 1.0, -1.0) * self.speed_mps * dt_s)
        arrived = np.where(self._forward, self._along >= self._length, self._along <= 0.0) & (self.speed_mps > 0.0)
        for i in np.nonzero(arrived)[0].tolist():
            self._along[i] = self._length[i] if self._forward[i] else 0.0
            self._forward[i] = not self._forward[i]
            self._rest_s[i] = float(np.round(self._rng.uniform(2.0, 15.0), 3)) if self.walks[i].crossing else 0.0
        self._place()

    def _may_cross(self, index: int, crossing: tuple[int, int], time_s: float) -> bool:
        plan = self.plans.get(crossing[0])
        if plan is None:
            return True
        light, rest_s = plan.light_and_rest(crossing[1], time_s)
        return light is Light.RED and rest_s > float(self._length[index] / self._pace[index])

    def _place(self) -> None:
        for i, walk in enumerate(self.walks):
            fraction = self._along[i] / self._length[i] * (len(walk.line) - 1)
            low = min(int(fraction), len(walk.line) - 2)
            xy = walk.line[low, :2] + (fraction - low) * (walk.line[low + 1, :2] - walk.line[low, :2])
            self.pose[i, :2] = xy
            self.pose[i, 2] = walk.line[low, 2] + (0.0 if self._forward[i] else np.pi)
        self.pose = snap(self.pose)


def _crossings(network: RoadNetwork, mean: float, rng: np.random.Generator) -> list[Walk]:
    walks = []
    for index, junction in enumerate(network.junctions):
        for arm, crosswalk in junction.crosswalks.items():
            for _ in range(int(rng.poisson(mean))):
                ring = crosswalk.ring
                share = float(rng.uniform(0.2, 0.8))
                right = ring[0] + share * (ring[3] - ring[0])
                left = ring[1] + share * (ring[2] - ring[1])
                beyond = 1.3 * (left - right) / np.hypot(*(left - right))
                line = resample(np.stack((right - beyond, left + beyond)), 1.0)
                walks.append(Walk(oriented(line), (index, arm)))
    return walks


def _pavements(network: RoadNetwork, count: int, rng: np.random.Generator) -> list[Walk]:
    walks = []
    for _ in range(count):
        road = network.roads[int(rng.integers(0, len(network.roads)))]
        side = 1.0 if rng.random() < 0.5 else -1.0
        lanes = road.lanes_backward if side > 0 else road.lanes_forward
        parking = road.parking[0] if side > 0 else road.parking[1]
        offset = (
            half_road_m(len(lanes)) + (PARKING_WIDTH_M if parking else 0.0) + WALKWAY_WIDTH_M * rng.uniform(0.4, 0.8)
        )
        reference = road.reference[::4]
        walks.append(Walk(oriented(resample(offset_left(reference[:, :2], reference[:, 2], side * offset), 2.0)), None))
    return walks


def shadows(pose: FloatArray, speed_mps: FloatArray, ahead_s: tuple[float, ...]) -> FloatArray:
    """(len(ahead_s) * N, 2): where people are now and where they will be if they walk on, m."""
    step = unit(pose[:, 2]) * speed_mps[:, None]
    return np.concatenate([pose[:, :2] + t * step for t in ahead_s])


def nearest_distance(points: FloatArray, others: FloatArray) -> FloatArray:
    """(N,): distance from each point to the nearest of the others, infinite where there are none, m."""
    if not len(others):
        return np.full(len(points), np.inf)
    offset = points[:, None, :2] - others[None, :, :2]
    distance: FloatArray = np.sqrt((offset * offset).sum(-1)).min(-1)
    return distance
