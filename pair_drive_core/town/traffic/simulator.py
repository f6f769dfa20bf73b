"""A town, and its life step by step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pair_drive_core.scene import SceneError
from pair_drive_core.town.streets.construction import ObstacleAmounts
from pair_drive_core.town.streets.curves import FloatArray, snap
from pair_drive_core.town.streets.layout import LayoutConfig, draw_layout
from pair_drive_core.town.streets.network import RoadNetwork
from pair_drive_core.town.streets.network_builder import build_network
from pair_drive_core.town.streets.scenery import Scenery, draw_scenery, standing_circles
from pair_drive_core.town.streets.signals import SignalPlan, draw_signal_plans
from pair_drive_core.town.traffic.drivers import Fleet, draw_fleet
from pair_drive_core.town.traffic.moments import Moment, Moments
from pair_drive_core.town.traffic.pedestrians import Pedestrians, nearest_distance
from pair_drive_core.town.traffic.traffic import Traffic

STEP_S = 0.1
"""Time step of the town."""
FLAW_STEPS = 40
"""Steps of the plan's horizon of 4 s: a scene is labelled with the flaws within it."""


@dataclass(frozen=True)
class TownConfig:
    """What a town holds.

    Attributes:
        layout: kind of street plan.
        vehicles: moving vehicles, demonstrators included.
        demonstrators: vehicles of the ego's model; each can be the ego of a scene.
        walkers: people on pavements.
        crossers: mean number of people at a crosswalk.
        parked_fraction: share of the parking places taken.
        bicycles: moving vehicles that are bicycles.
        truck_fraction: share of the others, demonstrators apart, that are trucks.
        construction_zones: zones that take part of a lane.
        bins: things on the pavements.
        debris: things that lie in single lanes.
        blocked_share: how likely it is that a lane of the town is blocked; who passes it drives on the wrong side, a
            flaw, so none is where `flaw_rate` is 0.
        flaw_rate: wanted share of the demonstrators' scenes in which the driver does something wrong.
        warm_up_s: time simulated before the first recorded moment.
    """

    layout: LayoutConfig = field(default_factory=LayoutConfig)
    vehicles: int = 28
    demonstrators: int = 12
    walkers: int = 16
    crossers: float = 0.35
    parked_fraction: float = 0.6
    bicycles: int = 2
    truck_fraction: float = 0.15
    construction_zones: int = 2
    bins: int = 6
    debris: int = 1
    blocked_share: float = 0.6
    flaw_rate: float = 0.04
    warm_up_s: float = 6.0


@dataclass(frozen=True)
class Town:
    """A town: streets and what stands beside them.

    Attributes:
        layout_seed: which town this is.
        config: what it holds.
        network: lanes and junctions.
        plans: cycle of the lights by junction.
        scenery: parked cars, buildings, trees, light heads.
    """

    layout_seed: int
    config: TownConfig
    network: RoadNetwork
    plans: dict[int, SignalPlan]
    scenery: Scenery

    @staticmethod
    def build(layout_seed: int, config: TownConfig | None = None) -> Town:
        """Build the town of a layout seed; the same on every machine.

        Args:
            layout_seed: non-negative; see `splits` for which seeds belong to which split.
            config: what the town holds.
        """
        if layout_seed < 0:
            raise SceneError(f"layout seed: expected a non-negative integer, got {layout_seed}")
        config = config or TownConfig()
        rng = np.random.default_rng([layout_seed, 1])
        network = build_network(draw_layout(config.layout, rng), rng)
        plans = draw_signal_plans(network, rng)
        blocked_share = config.blocked_share if config.flaw_rate > 0.0 else 0.0
        amounts = ObstacleAmounts(config.construction_zones, config.bins, config.debris, blocked_share)
        scenery = draw_scenery(network, config.parked_fraction, amounts, rng)
        return Town(layout_seed, config, network, plans, scenery)


class TownSimulator:
    """Lets a town live, deterministically for a seed, and remembers every step.

    Attributes:
        town: the town.
        seed: of vehicles, drivers and people.
        fleet: the moving vehicles; row `ego` is the ego.
        moments: every step since the end of the warm-up, `STEP_S` apart; `moments.forget_before` frees old ones.
    """

    ego = 0
    """Row of the vehicle that `set_ego` drives."""

    def __init__(self, town: Town, seed: int) -> None:
        """Put vehicles and people into a town and let them spread for the warm-up time."""
        if seed < 0:
            raise SceneError(f"seed: expected a non-negative integer, got {seed}")
        self.town = town
        self.seed = seed
        rng = np.random.default_rng([town.layout_seed, seed, 2])
        config = town.config
        self.fleet: Fleet = draw_fleet(
            config.vehicles, config.demonstrators, config.bicycles, config.truck_fraction, rng
        )
        self._traffic = Traffic(town.network, self.fleet, town.plans, town.scenery, config.flaw_rate, rng)
        self.people = Pedestrians(town.network, town.plans, config.crossers, config.walkers, rng)
        self._still = standing_circles(town.scenery)
        self._steps = 0
        self._override: tuple[FloatArray, FloatArray, FloatArray] | None = None
        for _ in range(round(config.warm_up_s / STEP_S)):
            self._advance()
        self.moments = Moments()
        self.moments.append(self._observe())

    @property
    def time_s(self) -> float:
        """Time since the start of the simulation, s."""
        return self._steps * STEP_S

    @property
    def now(self) -> Moment:
        """The last step."""
        return self.moments[-1]

    def step(self) -> Moment:
        """Advance by `STEP_S`."""
        self._advance()
        self.moments.append(self._observe())
        return self.moments[-1]

    def run(self, duration_s: float) -> None:
        """Advance by a duration."""
        for _ in range(round(duration_s / STEP_S)):
            self.step()

    def set_ego(self, pose: FloatArray, velocity: FloatArray, acceleration: FloatArray) -> None:
        """Drive the ego from outside: where it will be at the next step. From then on it needs this at every step.

        Args:
            pose: (3,), rear axle x, y, heading; town frame, m, rad.
            velocity: (2,), ego frame, m/s.
            acceleration: (2,), ego frame, m/s^2.

        Raises:
            SceneError: if a number is not finite.
        """
        arrays = tuple(np.asarray(a, dtype=np.float64) for a in (pose, velocity, acceleration))
        if arrays[0].shape != (3,) or arrays[1].shape != (2,) or arrays[2].shape != (2,):
            raise SceneError(f"set_ego: expected shapes (3,), (2,), (2,), got {[a.shape for a in arrays]}")
        if not all(np.isfinite(a).all() for a in arrays):
            raise SceneError(f"set_ego: expected finite numbers, got {[a.tolist() for a in arrays]}")
        self._override = (arrays[0], arrays[1], arrays[2])

    def _advance(self) -> None:
        people = self.people
        pose = self._traffic.pose
        moving = self._traffic.speed_mps > 1.0
        busy: npt.NDArray[np.bool_] = nearest_distance(people.pose, pose[moving]) < 14.0
        circles = self._traffic.body_circles(pose).reshape(-1, 2)
        people.step(STEP_S, self.time_s, busy, circles, np.repeat(self.fleet.width_m / 2.0, 3))
        self._traffic.step(STEP_S, self.time_s, people.pose, people.speed_mps, self._still)
        if self._override is not None:
            ego = self.ego
            world, velocity, acceleration = self._override
            self._traffic.external[ego] = True
            self._traffic.external_pose[ego] = snap(world)
            self._traffic.speed_mps[ego] = float(np.hypot(*velocity))
            self._traffic.acceleration_mps2[ego] = float(acceleration[0])
        self._steps += 1

    def _observe(self) -> Moment:
        traffic = self._traffic
        curvature = traffic.curvature
        lateral = curvature * traffic.speed_mps**2
        acceleration = np.stack((traffic.acceleration_mps2, lateral), axis=-1)
        if self._override is not None:
            acceleration[self.ego] = self._override[2]
        return Moment(
            self.time_s,
            traffic.pose,
            traffic.speed_mps.copy(),
            snap(acceleration),
            curvature,
            traffic.along_m.copy(),
            tuple(traffic.paths.spans),
            self.people.pose.copy(),
            self.people.speed_mps.copy(),
            self._wrongdoings(),
        )

    def _wrongdoings(self) -> dict[int, tuple[str, ...]]:
        found = {}
        for vehicle in np.nonzero(self.fleet.demonstrator & ~self._traffic.external)[0].tolist():
            labels = self._traffic.wrongdoings(vehicle, self.time_s)
            if labels:
                found[vehicle] = labels
        return found

    def flaws_at(self, step: int, vehicle: int) -> tuple[str, ...]:
        """What a driver does wrong within `FLAW_STEPS` from a moment on, each named once."""
        moments = self.moments[step : step + FLAW_STEPS + 1]
        return tuple(dict.fromkeys(label for moment in moments for label in moment.flaws.get(vehicle, ())))
