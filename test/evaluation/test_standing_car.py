"""The guard and the follower in a town, under a planner that only keeps its speed: a car stands in the way."""

import numpy as np
import pytest
import torch

from pair_drive_core.driving.ego_track import MotionSample
from pair_drive_core.driving.follower import Follower
from pair_drive_core.driving.guarded_planner import GuardedPlanner, Intervention
from pair_drive_core.driving.output_guard import GuardLimits
from pair_drive_core.driving.world_look import LookLimits
from pair_drive_core.evaluation.town_drive import TownDrive
from pair_drive_core.geometry import compose_se2
from pair_drive_core.planning.constant_velocity import ConstantVelocityPlanner
from pair_drive_core.scene import PACIFICA, AgentInput
from pair_drive_core.simulation.commanded_vehicle import ActuatorCommand
from pair_drive_core.simulation.plan_follower import TimedPlan

TOWN, PARKED = 20005, 78
STEPS, STEPS_A_PLAN = 60, 2


class Approach:
    """An ego behind a parked car; a new plan each 0.2 s, a command of the follower each 0.1 s."""

    def __init__(self, gap_m, speed_mps, look):
        self.drive = TownDrive(TOWN, 1, image_width_px=96)
        states, sizes = self.drive._cutter.object_states(self.drive._simulator.now), self.drive._cutter.object_sizes
        car = states[PARKED]
        assert sizes[PARKED, 0] > 4.0 and not car[3:].any(), "a car that stands"
        back_m = 0.5 * sizes[PARKED, 0] + gap_m + PACIFICA.front_length_m
        place = car[:2] - back_m * np.array([np.cos(car[2]), np.sin(car[2])])
        simulator = self.drive._simulator
        simulator.set_ego(np.array([*place, car[2]]), np.array([speed_mps, 0.0]), np.zeros(2))
        simulator.step()
        self.drive.meter.observe()
        self._start, self._gap_m = place, gap_m
        self._guarded = GuardedPlanner(ConstantVelocityPlanner(), GuardLimits(), look=look)
        self._follower = Follower()
        self.results = []

    @property
    def left_m(self):
        """What is left between the bumpers."""
        return self._gap_m - float(np.linalg.norm(self.drive.status().pose[:2] - self._start))

    def run(self):
        for step in range(STEPS):
            status = self.drive.status()
            self._follower.receive_motion(MotionSample(status.time_us, status.pose, status.velocity), "odom")
            if step % STEPS_A_PLAN == 0:
                self._plan()
            command = self._follower.command(status.time_us)
            self.drive.advance(ActuatorCommand(command.steering_rad, command.acceleration_mps2))
        return self.drive.meter.measures()

    def _plan(self):
        status, sweep = self.drive.status(), self.drive._sensors.lidar(self.drive.step)
        result = self._guarded.plan(AgentInput((status,), {}, sweep))
        self.results.append(result)
        ahead = result.plan.poses.to(torch.float64)
        poses = np.vstack((status.pose, compose_se2(torch.from_numpy(status.pose), ahead).numpy()))
        times = result.plan.interval_s * np.arange(len(poses))
        assert self._follower.receive_plan(TimedPlan(status.time_us, times, poses), "odom")


@pytest.mark.parametrize(("gap_m", "speed_mps"), [(12.0, 5.0), (30.0, 10.0)])
def test_guard_and_follower_stop_before_a_parked_car_whatever_the_planner_wants(gap_m, speed_mps):
    approach = Approach(gap_m, speed_mps, LookLimits())
    measures = approach.run()
    assert (measures.at_fault_collisions, measures.other_collisions) == (0, 0)
    assert approach.drive.status().velocity[0] < 0.1, "it stands"
    assert 0.3 < approach.left_m < 6.0
    kinds = {result.intervention for result in approach.results}
    assert Intervention.SLOWED in kinds and kinds <= {Intervention.NONE, Intervention.SLOWED, Intervention.HARD_STOP}


def test_without_its_look_at_the_world_it_runs_into_the_car():
    assert Approach(12.0, 5.0, LookLimits(enabled=False)).run().at_fault_collisions == 1
