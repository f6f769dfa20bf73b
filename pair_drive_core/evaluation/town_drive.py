"""One drive through a town, step by step: the ego driven by plans, by a follower's commands or by a built-in human."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pair_drive_core.driving.ego_track import US_PER_S
from pair_drive_core.evaluation.drive_meter import DriveMeter
from pair_drive_core.geometry import relative_se2
from pair_drive_core.planning.pdm_closed import pdm_reference
from pair_drive_core.scene import PACIFICA, CameraImage, DrivingCommand, EgoStatus, LidarSweep, Scene
from pair_drive_core.scene.sensors import FloatArray
from pair_drive_core.scoring import Metric, PdmScores, score
from pair_drive_core.simulation.commanded_vehicle import ActuatorCommand, obey
from pair_drive_core.simulation.plan_follower import TimedPlan, follow
from pair_drive_core.town import STEP_S, SceneCutter, Town, TownSensors, TownSimulator
from pair_drive_core.town.data.scenes import NAVSIM_AGES_S

HISTORY_S = 1.5
"""A moment needs this much of the past before it can be scored."""
_KEPT_STEPS = 200
"""Steps of the past that are remembered; a moment can be scored 50 steps later."""


@dataclass(frozen=True)
class TownReadings:
    """What the ego's sensors give at one moment.

    Attributes:
        status: the ego.
        yaw_rate: rad/s.
        cameras: by NAVSIM name.
        lidar: the sweep.
        earlier_lidar: earlier sweeps, oldest first, moved into the ego frame of this moment.
    """

    status: EgoStatus
    yaw_rate: float
    cameras: dict[str, CameraImage]
    lidar: LidarSweep
    earlier_lidar: tuple[LidarSweep, ...] = ()


class TownDrive:
    """A town, its ego, and what the ego sees.

    Args:
        layout_seed: which town.
        seed: of traffic and people.
        image_width_px: of each camera.

    Attributes:
        meter: what the drive is like.
    """

    def __init__(self, layout_seed: int, seed: int, image_width_px: int) -> None:
        self._simulator = TownSimulator(Town.build(layout_seed), seed)
        self._simulator.run(HISTORY_S)
        self._cutter = SceneCutter(self._simulator)
        self._sensors = TownSensors(self._simulator)
        self._image_width_px = image_width_px
        self._state: Tensor | None = None
        self.meter = DriveMeter(self._simulator, self._cutter)
        self.meter.observe()

    @property
    def step(self) -> int:
        """Index of the last moment."""
        return len(self._simulator.moments) - 1

    @property
    def time_us(self) -> int:
        """Time of the last moment."""
        return round(self._simulator.now.time_s * US_PER_S)

    @property
    def lane_rings(self) -> list[FloatArray]:
        """(V, 2) open rings of all lanes and connectors, m."""
        return [lane.ring for lane in self._cutter.map.network.lanes]

    @property
    def command(self) -> DrivingCommand:
        """Where the route goes."""
        return self._cutter.command_at(self.step)

    @property
    def yaw_rate(self) -> float:
        """Of the ego now, rad/s."""
        if self._state is not None:
            return float(self._state[9])
        now, ego = self._simulator.now, self._simulator.ego
        return float(now.curvature[ego] * now.speed_mps[ego])

    def status(self) -> EgoStatus:
        """The ego now."""
        now = self._simulator.now
        ego = self._simulator.ego
        velocity = np.array([now.speed_mps[ego], 0.0])
        return EgoStatus(self.time_us, now.pose[ego].copy(), velocity, now.acceleration[ego].copy(), self.command)

    def readings(self) -> TownReadings:
        """Render all sensors."""
        step = self.step
        world = self._sensors.world(step)
        cameras = self._sensors.cameras(step, width_px=self._image_width_px, world=world)
        earlier = self._sensors.earlier_lidar(step, self._simulator.ego, NAVSIM_AGES_S)
        return TownReadings(self.status(), self.yaw_rate, cameras, self._sensors.lidar(step, world=world), earlier)

    def advance(self, driver: TimedPlan | ActuatorCommand | None) -> None:
        """Move on by one step, the ego along a plan or by a command; None leaves it to the built-in human.

        Once plans or commands have driven the ego it stays with the vehicle model, so a missing one must be bridged by
        the caller with the last one.
        """
        if driver is not None:
            state = self._vehicle_state()
            if isinstance(driver, TimedPlan):
                self._state = follow(driver, self.time_us, state)
            else:
                self._state = obey(state, driver)
            vector = self._state.numpy()
            self._simulator.set_ego(vector[:3], vector[3:5], np.array([vector[5], vector[3] * vector[9]]))
        self._simulator.step()
        self.meter.observe()
        self._simulator.moments.forget_before(self.step - _KEPT_STEPS)

    def scene_at(self, step: int) -> Scene | None:
        """Ground truth of a moment; None as long as its future is not known."""
        return self._cutter.scene_at(step) if step in self._cutter.steps else None

    def score_of(self, scene: Scene, plan: TimedPlan) -> PdmScores:
        """PDM score (v1) of a plan against the ground truth of its own t0."""
        poses = relative_se2(scene.ego.pose, torch.from_numpy(plan.poses[1:]))
        scored = replace(scene, reference=pdm_reference(scene, Metric.V1))
        return score([scored], poses[None, None], Metric.V1)

    def _vehicle_state(self) -> Tensor:
        """The state of the vehicle model; taken over from the human at the first plan."""
        if self._state is not None:
            return self._state
        now, ego = self._simulator.now, self._simulator.ego
        state = torch.zeros(11, dtype=torch.float64)
        state[:3] = torch.from_numpy(now.pose[ego])
        state[3], state[5] = float(now.speed_mps[ego]), float(now.acceleration[ego, 0])
        state[7] = float(np.arctan(PACIFICA.wheel_base_m * now.curvature[ego]))
        state[9] = float(now.curvature[ego] * now.speed_mps[ego])
        return state


STEP_US = round(STEP_S * US_PER_S)
"""Time between two moments."""


def human_progress_m(layout: int, seed: int, seconds: float) -> float:
    """How far the town's built-in human gets along the route in a time, m."""
    human = TownDrive(layout, seed, image_width_px=64)
    for _ in range(round(seconds / STEP_S)):
        human.advance(None)
    return human.meter.measures().progress_m
