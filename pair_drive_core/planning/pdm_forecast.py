"""What PDM-Closed expects the others to do: every agent keeps its speed along its heading."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.scene import ObjectType, Scene, TrackedObjects
from pair_drive_core.simulation.traffic import objects_at_start, select_objects, touches_ego_at_start

FORECAST_STEPS = 51
"""10 Hz rows of the forecast: the 4 s of a proposal and 1 s to look ahead."""
HOLD_STEPS = 2
"""The forecast moves every second step only (official `observation_sample_res`)."""
RADIUS_M = 100.0
"""Objects whose centre is farther from the ego's are not seen."""
NEAREST_COUNTS = {ObjectType.VEHICLE: 50, ObjectType.PEDESTRIAN: 25, ObjectType.BICYCLE: 10}
"""Of each class of agents only so many are looked at, the nearest (official `MAX_DYNAMIC_OBJECTS`)."""
NEAREST_STATIC = 50
"""Likewise of all static objects together."""


@dataclass(frozen=True)
class Forecast:
    """Near objects and their expected motion.

    Attributes:
        objects: N objects, 51 rows at 0.1 s; row `2 i + 1` repeats row `2 i`.
        touching: (N,) bool, objects that touch the ego at t0; PDM-Closed ignores them for good.
    """

    objects: TrackedObjects
    touching: Tensor

    @property
    def relevant(self) -> TrackedObjects:
        """The objects that PDM-Closed does not ignore."""
        return select_objects(self.objects, ~self.touching)


def forecast_objects(scene: Scene) -> Forecast:
    """Tracks of what is near the ego at t0, moved at constant speed (official `PDMObservation.update`).

    An agent whose velocity points backwards moves backwards along its heading. Static objects come first, then
    vehicles, pedestrians, bicycles, each from near to far.
    """
    now = objects_at_start(scene)
    position = now.states[0, :, :2].double()
    pose = scene.ego.pose.double()
    center = pose[:2] + scene.vehicle.rear_axle_to_center_m * torch.stack((pose[2].cos(), pose[2].sin()))
    distance = (position - center).norm(dim=-1)
    static = (~now.is_agent).nonzero()[:, 0]
    groups = [(static, NEAREST_STATIC)]
    groups += [((now.types == int(kind)).nonzero()[:, 0], count) for kind, count in NEAREST_COUNTS.items()]
    chosen = []
    for rows, count in groups:
        seen = rows[distance[rows] <= RADIUS_M]
        chosen.append(seen[torch.argsort(distance[seen], stable=True)][:count])
    near = select_objects(now, torch.cat(chosen))
    return Forecast(_moved(near), touches_ego_at_start(scene, near))


def _moved(objects: TrackedObjects) -> TrackedObjects:
    start = objects.states[0].double()
    heading, velocity = start[:, 2], start[:, 3:5]
    speed = torch.where(objects.is_agent, velocity.norm(dim=-1), 0.0)
    course = torch.atan2(velocity[:, 1], velocity[:, 0])
    forward = wrap_angle(heading - course).abs() < math.pi / 2.0
    along = torch.where(forward, heading, heading + math.pi)
    step = torch.stack((along.cos(), along.sin()), dim=-1) * speed[:, None]
    time = torch.arange(FORECAST_STEPS, dtype=torch.float64) // HOLD_STEPS * HOLD_STEPS * 0.1
    states = start.expand(FORECAST_STEPS, *start.shape).clone()
    states[..., :2] += time[:, None, None] * step
    states[..., 3:5] = torch.where(objects.is_agent[:, None], velocity, 0.0)
    present = torch.ones(FORECAST_STEPS, start.shape[0], dtype=torch.bool)
    return TrackedObjects(objects.tokens, objects.types, objects.sizes, states, present, 0.1)
