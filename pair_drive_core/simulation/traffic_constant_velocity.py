"""Vehicles that keep velocity and heading."""

from __future__ import annotations

import torch
from torch import Tensor

from pair_drive_core.scene import ObjectStateIndex, Scene, TrackedObjects
from pair_drive_core.simulation.sampling import SIMULATION_STEPS, STEP_S
from pair_drive_core.simulation.traffic import vehicles_at_start, with_recorded_others


class ConstantVelocityTraffic:
    """Every vehicle observed at t0 slides along its velocity vector (official `ConstantVelocityTrafficAgents`).

    Other classes follow the log. Vehicles that touch the ego at t0 stay.
    """

    @property
    def name(self) -> str:
        """Short name for reports."""
        return "constant_velocity"

    def simulate(self, scene: Scene, ego_states: Tensor) -> TrackedObjects:
        """Straight tracks, whatever the ego does; see `TrafficPolicy.simulate`."""
        del ego_states
        vehicles = vehicles_at_start(scene)
        start = vehicles.states[0].to(torch.float64)
        time = torch.arange(1, SIMULATION_STEPS, dtype=torch.float64) * STEP_S
        states = start.expand(SIMULATION_STEPS - 1, *start.shape).clone()
        velocity = start[:, ObjectStateIndex.VELOCITY_X :]
        states[..., :2] += velocity * time[:, None, None]
        return with_recorded_others(scene, vehicles, states, torch.ones(states.shape[:2], dtype=torch.bool))
