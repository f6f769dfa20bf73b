"""Cuts scenes and agent inputs out of a town's past, as the official NAVSIM pipeline would give them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from pair_drive_core.datasets.maps.scene_map import map_parts
from pair_drive_core.geometry import wrap_angle
from pair_drive_core.scene import (
    FRONT_CAMERAS,
    PACIFICA,
    PLAN_STEPS,
    AgentInput,
    DrivingCommand,
    EgoHistory,
    EgoState,
    EgoStatus,
    ObjectType,
    Scene,
    SceneError,
    TrackedObjects,
    Trajectory,
)
from pair_drive_core.town.data.town_map import TownMap
from pair_drive_core.town.sensing.cameras import WIDTH_PX
from pair_drive_core.town.sensing.sensors import TownSensors
from pair_drive_core.town.streets.curves import FloatArray, snap, unit
from pair_drive_core.town.streets.network import Turn
from pair_drive_core.town.streets.scenery import standing_types
from pair_drive_core.town.streets.signals import Light
from pair_drive_core.town.traffic.moments import Moment
from pair_drive_core.town.traffic.pedestrians import SIZE_M
from pair_drive_core.town.traffic.simulator import STEP_S, TownSimulator

KEY_FRAME_STEPS = 5
"""Steps between two key frames (0.5 s)."""
HISTORY_STEPS = 15
"""Steps of the past that a scene needs (1.5 s)."""
NAVSIM_AGES_S = (0.5, 1.0, 1.5)
"""Ages of the sweeps that NAVSIM gives beside the present one: four frames at 2 Hz."""
FUTURE_STEPS = 50
"""Steps of the future that a scene needs (5 s)."""
_OBJECT_RADIUS_M = 70.0
_ROUTE_AHEAD_M = 130.0
_COMMAND_AHEAD_M = 20.0
_COMMAND_SIDE_M = 2.0


class SceneCutter:
    """Cuts scenes out of one simulator's past; any demonstrator can be the ego.

    Attributes:
        simulator: the town's life.
        map: its map, prepared once.
        object_tokens: names of the rows of `object_states`.
        object_types: (N,) int64, their classes.
        object_sizes: (N, 3), length, width, height, m.
    """

    def __init__(self, simulator: TownSimulator, town_map: TownMap | None = None) -> None:
        """Prepare; give `town_map` to share it between simulators of one town."""
        self.simulator = simulator
        self.map = town_map or TownMap(simulator.town)
        town, fleet = simulator.town, simulator.fleet
        people = len(simulator.people)
        standing = (town.scenery.parked, town.scenery.obstacles)
        self._still = np.concatenate([b.pose for b in standing])
        sizes = [np.column_stack((fleet.length_m, fleet.width_m, fleet.height_m)), np.tile(SIZE_M, (people, 1))]
        self.object_sizes = np.concatenate([*sizes, *(b.size for b in standing)])
        self.object_types = np.concatenate(
            (
                fleet.object_types,
                np.full(people, int(ObjectType.PEDESTRIAN), dtype=np.int64),
                standing_types(town.scenery),
            )
        )
        self.object_tokens = [
            _token(town.layout_seed, simulator.seed, "object", i) for i in range(len(self.object_types))
        ]

    @property
    def steps(self) -> range:
        """Steps that have enough past and future for a scene."""
        moments = self.simulator.moments
        return range(moments.first + HISTORY_STEPS, len(moments) - FUTURE_STEPS)

    def scene_at(self, step: int, vehicle: int = TownSimulator.ego) -> Scene:
        """The scene of one vehicle at one step.

        Args:
            step: index into the simulator's moments; see `steps`.
            vehicle: the ego, a demonstrator.

        Raises:
            SceneError: if the step lacks past or future, or the vehicle is no demonstrator.
        """
        if step not in self.steps:
            raise SceneError(f"step: expected one of {self.steps}, got {step}")
        self._require_demonstrator(vehicle)
        moments = self.simulator.moments
        now = moments[step]
        route = [int(block) for block in self.route_at(step, vehicle)]
        lights = [self.lights_at(step + k) for k in range(0, FUTURE_STEPS + 1, KEY_FRAME_STEPS)]
        parts = map_parts(self.map.index, now.pose[vehicle], route, lights)
        history = self._history(step, vehicle)
        pose = torch.from_numpy(now.pose[vehicle].copy())
        return Scene(
            token=self.token_at(step, vehicle),
            time_us=_time_us(now),
            ego=EgoState.at(pose, history.velocity[-1], history.acceleration[-1]),
            history=history,
            objects=self._objects(step, vehicle),
            map=parts.polygons,
            route=parts.route,
            lights=parts.lights,
            lanes=parts.lanes,
            planner_lights=parts.planner_lights,
            human=Trajectory(torch.from_numpy(self._human(step, vehicle))),
            flaws=self.simulator.flaws_at(step, vehicle),
        )

    def token_at(self, step: int, vehicle: int = TownSimulator.ego) -> str:
        """Name of a moment, seen from one vehicle."""
        moment = self.simulator.moments[step]
        return _token(self.simulator.town.layout_seed, self.simulator.seed, str(vehicle), round(moment.time_s / STEP_S))

    def route_at(self, step: int, vehicle: int = TownSimulator.ego) -> tuple[str, ...]:
        """Roadblocks and roadblock connectors ahead on the route, the current one first.

        Raises:
            SceneError: if the vehicle is no demonstrator or beyond the end of its route.
        """
        self._require_demonstrator(vehicle)
        lanes = self._route_lanes(self.simulator.moments[step], vehicle)
        return tuple(_unique([self.map.network.lanes[i].roadblock for i in lanes]))

    def seen_at(self, step: int, vehicle: int = TownSimulator.ego) -> npt.NDArray[np.int64]:
        """Rows of `object_states` that are near enough to be seen from a vehicle."""
        moment = self.simulator.moments[step]
        offset = self.object_states(moment)[:, :2] - moment.pose[vehicle, :2]
        near = np.hypot(offset[:, 0], offset[:, 1]) < _OBJECT_RADIUS_M
        near[vehicle] = False
        return np.nonzero(near)[0]

    def lights_at(self, step: int) -> tuple[tuple[int, bool], ...]:
        """Every signalled connector of the town and whether it is red."""
        time_s, plans = self.simulator.moments[step].time_s, self.simulator.town.plans
        return tuple(
            (int(lane.token), plans[lane.junction].light(lane.arm, time_s) is Light.RED)
            for lane in self.map.network.lanes
            if lane.junction is not None and lane.junction in plans
        )

    def status_at(self, step: int, vehicle: int = TownSimulator.ego) -> tuple[EgoStatus, ...]:
        """Four statuses at 2 Hz, the last at the step; needs no future."""
        first = step - HISTORY_STEPS
        if first < 0 or step >= len(self.simulator.moments):
            raise SceneError(f"step: expected {HISTORY_STEPS} to {len(self.simulator.moments) - 1}, got {step}")
        self._require_demonstrator(vehicle)
        statuses = []
        for k in range(first, step + 1, KEY_FRAME_STEPS):
            moment = self.simulator.moments[k]
            statuses.append(
                EgoStatus(
                    _time_us(moment),
                    moment.pose[vehicle].copy(),
                    _velocity(moment, vehicle),
                    moment.acceleration[vehicle].copy(),
                    self.command_at(k, vehicle),
                )
            )
        return tuple(statuses)

    def agent_input(
        self,
        sensors: TownSensors,
        step: int,
        vehicle: int = TownSimulator.ego,
        names: Sequence[str] = FRONT_CAMERAS,
        width_px: int = WIDTH_PX,
        lidar_ages_s: Sequence[float] = NAVSIM_AGES_S,
    ) -> AgentInput:
        """Everything that a planner in the vehicle may look at.

        Args:
            sensors: of the same simulator.
            step: index into the simulator's moments.
            vehicle: the ego, a demonstrator.
            names: which cameras.
            width_px: width of each picture.
            lidar_ages_s: of the earlier sweeps, moved into the ego frame of this step.
        """
        world = sensors.world(step, vehicle)
        pictures = sensors.cameras(step, vehicle, names, width_px, world)
        earlier = sensors.earlier_lidar(step, vehicle, lidar_ages_s)
        return AgentInput(self.status_at(step, vehicle), pictures, sensors.lidar(step, vehicle, world), earlier)

    def command_at(self, step: int, vehicle: int = TownSimulator.ego) -> DrivingCommand:
        """Where the route goes: the turn within a plan's reach, else the side that the lane bends to in 20 m."""
        now = self.simulator.moments[step]
        lanes = self._route_lanes(now, vehicle)
        along, speed = float(now.along_m[vehicle]), float(now.speed_mps[vehicle])
        reach = along + PACIFICA.front_length_m + max(_COMMAND_AHEAD_M, 4.0 * speed)
        for span in now.spans[vehicle]:
            turn = self.map.network.lanes[span.lane].turn
            if span.end_m > along + 2.0 and span.start_m < reach and turn is not Turn.STRAIGHT:
                return DrivingCommand.LEFT if turn is Turn.LEFT else DrivingCommand.RIGHT
        line = self._centerline(lanes)
        pose = now.pose[vehicle]
        nearest = int(np.argmin(((line[:, :2] - pose[:2]) ** 2).sum(-1)))
        ahead = line[min(nearest + int(_COMMAND_AHEAD_M), len(line) - 1), :2] - pose[:2]
        side = float(ahead @ unit(pose[2] + np.pi / 2.0))
        if abs(side) < _COMMAND_SIDE_M:
            return DrivingCommand.STRAIGHT
        return DrivingCommand.LEFT if side > 0 else DrivingCommand.RIGHT

    def _require_demonstrator(self, vehicle: int) -> None:
        count = int(self.simulator.fleet.demonstrator.sum())
        if not 0 <= vehicle < count:
            raise SceneError(f"vehicle: expected a demonstrator, 0 to {count - 1}, got {vehicle}")

    def _route_lanes(self, now: Moment, vehicle: int) -> list[int]:
        along = float(now.along_m[vehicle])
        lanes = [s.lane for s in now.spans[vehicle] if s.end_m > along and s.start_m < along + _ROUTE_AHEAD_M]
        if not lanes:
            raise SceneError(f"vehicle {vehicle} is beyond the end of its route at {now.time_s:.1f} s")
        return lanes

    def _centerline(self, lanes: list[int]) -> FloatArray:
        return np.concatenate([self.map.network.lanes[i].centerline for i in lanes])

    def _history(self, step: int, vehicle: int) -> EgoHistory:
        past = self.simulator.moments[step - HISTORY_STEPS : step + 1 : KEY_FRAME_STEPS]
        return EgoHistory(
            torch.tensor([_time_us(m) for m in past], dtype=torch.int64),
            torch.from_numpy(np.stack([m.pose[vehicle] for m in past])),
            torch.from_numpy(_single(np.stack([_velocity(m, vehicle) for m in past]))),
            torch.from_numpy(_single(np.stack([m.acceleration[vehicle] for m in past]))),
        )

    def _human(self, step: int, vehicle: int) -> FloatArray:
        moments = self.simulator.moments
        origin = moments[step].pose[vehicle]
        future = moments[step + KEY_FRAME_STEPS : step + KEY_FRAME_STEPS * PLAN_STEPS + 1 : KEY_FRAME_STEPS]
        offset = np.stack([m.pose[vehicle] for m in future]) - origin
        cos, sin = np.cos(origin[2]), np.sin(origin[2])
        x, y = offset[:, 0], offset[:, 1]
        return snap(np.column_stack((cos * x + sin * y, cos * y - sin * x, wrap_angle(offset[:, 2]))))

    def object_states(self, moment: Moment) -> FloatArray:
        """(N, 5): centres, headings and velocities of vehicles, people, parked cars and obstacles."""
        center_m = self.simulator.fleet.center_m
        direction = unit(moment.pose[:, 2])
        vehicles = np.column_stack(
            (
                moment.pose[:, :2] + center_m[:, None] * direction,
                moment.pose[:, 2],
                moment.speed_mps[:, None] * direction,
            )
        )
        walking = moment.walking_mps[:, None] * unit(moment.walkers[:, 2])
        people = np.column_stack((moment.walkers[:, :2], wrap_angle(moment.walkers[:, 2]), walking))
        still = np.column_stack((self._still, np.zeros((len(self._still), 2))))
        return snap(np.concatenate((vehicles, people, still)))

    def _objects(self, step: int, vehicle: int) -> TrackedObjects:
        frames = self.simulator.moments[step : step + FUTURE_STEPS + 1 : KEY_FRAME_STEPS]
        states = np.stack([self.object_states(m) for m in frames])
        ego = np.stack([m.pose[vehicle, :2] for m in frames])
        present = np.hypot(*np.moveaxis(states[..., :2] - ego[:, None], -1, 0)) < _OBJECT_RADIUS_M
        present[:, vehicle] = False
        first_seen = np.where(present.any(0), present.argmax(0), len(frames))
        order = np.argsort(first_seen, kind="stable")
        chosen: npt.NDArray[np.int64] = order[: int(present.any(0).sum())]
        seen = present[:, chosen]
        return TrackedObjects(
            tuple(self.object_tokens[i] for i in chosen),
            torch.from_numpy(self.object_types[chosen]),
            torch.from_numpy(self.object_sizes[chosen]),
            torch.from_numpy(np.where(seen[..., None], states[:, chosen], 0.0)),
            torch.from_numpy(seen),
            KEY_FRAME_STEPS * STEP_S,
        )


def _velocity(moment: Moment, vehicle: int) -> FloatArray:
    return np.array([moment.speed_mps[vehicle], 0.0])


def _single(values: FloatArray) -> FloatArray:
    """Values as the official loader keeps them, in single precision."""
    return values.astype(np.float32).astype(np.float64)


def _time_us(moment: Moment) -> int:
    return round(moment.time_s * 1e6)


def _unique(items: list[str]) -> list[str]:
    return list(dict.fromkeys(items))


def _token(layout: int, seed: int, kind: str, index: int) -> str:
    """16 hexadecimal digits, as NAVSIM's tokens."""
    return hashlib.sha256(f"town-{layout}-{seed}-{kind}-{index}".encode()).hexdigest()[:16]
