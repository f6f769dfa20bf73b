"""What PDM-Closed expects the others to do: every agent keeps its speed along its heading."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pair_drive_core.geometry import wrap_angle
from pair_drive_core.scene import ObjectType, Scene, TrackedObjects
from pair_drive_core.simulation.traffic import objects_at_start, select_objects, touches_ego_at_start

FORECAST_STEPS = 51
"""10 Hz rows of the forecast: the 4 s of a proposal and 1 s to look ahead."""
HOLD_STEPS = 2
"""The forecast moves every second step only (official `observation_sample_res`)."""
_TIMES_S = np.arange(FORECAST_STEPS) // HOLD_STEPS * HOLD_STEPS * 0.1
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
    states, types = now.states[0].double().numpy(), now.types.numpy()
    pose = scene.ego.pose.double().numpy()
    center = pose[:2] + scene.vehicle.rear_axle_to_center_m * np.array([np.cos(pose[2]), np.sin(pose[2])])
    distance = np.sqrt(((states[:, :2] - center) ** 2).sum(-1))
    static = np.flatnonzero(types > int(ObjectType.BICYCLE))
    groups = [(static, NEAREST_STATIC)]
    groups += [(np.flatnonzero(types == int(kind)), count) for kind, count in NEAREST_COUNTS.items()]
    chosen = []
    for rows, count in groups:
        seen = rows[distance[rows] <= RADIUS_M]
        chosen.append(seen[np.argsort(distance[seen], kind="stable")][:count])
    near = select_objects(now, torch.from_numpy(np.concatenate(chosen)))
    return Forecast(_moved(near), touches_ego_at_start(scene, near))


def _moved(objects: TrackedObjects) -> TrackedObjects:
    start, agents = objects.states[0].double().numpy(), objects.is_agent.numpy()
    heading, velocity = start[:, 2], np.where(agents[:, None], start[:, 3:5], 0.0)
    speed = np.sqrt((velocity**2).sum(-1))
    course = np.arctan2(velocity[:, 1], velocity[:, 0])
    forward = np.abs(wrap_angle(heading - course)) < math.pi / 2.0
    along = np.where(forward, heading, heading + math.pi)
    step = np.stack((np.cos(along), np.sin(along)), axis=-1) * speed[:, None]
    states = np.broadcast_to(start, (FORECAST_STEPS, *start.shape)).copy()
    states[..., :2] += _TIMES_S[:, None, None] * step
    states[..., 3:5] = velocity
    present = torch.ones(FORECAST_STEPS, start.shape[0], dtype=torch.bool)
    return TrackedObjects(objects.tokens, objects.types, objects.sizes, torch.from_numpy(states), present, 0.1)
