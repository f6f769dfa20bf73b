"""Background traffic: what the other road users do while the ego drives its plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pair_drive_core.geometry import box_corners, boxes_intersect
from pair_drive_core.scene import ObjectStateIndex, ObjectType, Scene, SceneError, TrackedObjects, VehicleParameters
from pair_drive_core.simulation.log_replay import replay_objects
from pair_drive_core.simulation.sampling import SIMULATION_STEPS

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

REPLAY_KEY_FRAMES = 9
"""Key frames that a 4 s rollout looks at."""


@runtime_checkable
class TrafficPolicy(Protocol):
    """Moves the objects of a scene for 4 s (official `AbstractTrafficAgentsPolicy`)."""

    @property
    def name(self) -> str:
        """Short name for reports."""
        ...

    def simulate(self, scene: Scene, ego_states: Tensor) -> TrackedObjects:
        """Tracks at 10 Hz.

        Args:
            scene: the recorded scene, `objects` at 2 Hz with at least 9 key frames.
            ego_states: (41, 11), the ego's simulated motion, columns of `StateIndex`, global frame.

        Returns:
            41 rows at 0.1 s, the first at t0.

        Raises:
            SceneError: if the scene lacks what the policy needs.
        """
        ...


class LogReplayTraffic:
    """The recorded objects; those whose box touches the ego's at t0 are removed for good.

    Official `LogReplayTrafficAgents`, the non-reactive policy of EPDMS.
    """

    @property
    def name(self) -> str:
        """Short name for reports."""
        return "log_replay"

    def simulate(self, scene: Scene, ego_states: Tensor) -> TrackedObjects:
        """Recorded tracks, whatever the ego does; see `TrafficPolicy.simulate`."""
        del ego_states
        recorded = replay_objects(scene.objects, REPLAY_KEY_FRAMES)
        return select_objects(recorded, ~touches_ego_at_start(scene, recorded))


def touches_ego_at_start(scene: Scene, objects: TrackedObjects, origin: Tensor | None = None) -> Tensor:
    """Which objects are there at t0 with a box that shares a point with the ego's.

    Args:
        scene: ego and vehicle.
        objects: N objects, the first row at t0.
        origin: (2,), global position of the origin of the objects' frame; the global frame by default.

    Returns:
        (N,) bool.
    """
    vehicle, pose = scene.vehicle, scene.ego.pose.to(torch.float64)
    start, sizes = objects.states[0].to(torch.float64), objects.sizes.to(torch.float64)
    # Boxes are compared around the ego, so that map coordinates of 1e6 m cost no digits.
    rear_axle = pose[:2] if origin is None else pose[:2] - origin
    near = _within_reach(start.numpy(), sizes.numpy(), rear_axle.numpy(), vehicle) & objects.present[0].numpy()
    touching = torch.zeros(near.shape[0], dtype=torch.bool)
    if not near.any():
        return touching
    chosen = torch.from_numpy(near)
    start, sizes = start[chosen], sizes[chosen]
    center = vehicle.rear_axle_to_center_m * torch.stack((pose[2].cos(), pose[2].sin()))
    ego = box_corners(center, pose[2], pose.new_tensor(vehicle.length_m), pose.new_tensor(vehicle.width_m))
    corners = box_corners(start[:, :2] - rear_axle, start[:, 2], sizes[:, 0], sizes[:, 1])
    touching[chosen] = boxes_intersect(corners, ego)
    return touching


def _within_reach(start: FloatArray, sizes: FloatArray, rear_axle: FloatArray, vehicle: VehicleParameters) -> BoolArray:
    """(N,) bool: objects so near that the circles around their box and the ego's meet; few do."""
    offset = start[:, :2] - rear_axle
    reach = (
        np.hypot(sizes[:, 0], sizes[:, 1]) / 2.0 + vehicle.rear_axle_to_center_m + vehicle.length_m + vehicle.width_m
    )
    near: BoolArray = np.hypot(offset[:, 0], offset[:, 1]) <= reach
    return near


def select_objects(objects: TrackedObjects, rows: Tensor) -> TrackedObjects:
    """Some of the objects.

    Args:
        objects: N objects.
        rows: (N,) bool, or int64 indices in the order wanted.
    """
    index = rows.nonzero()[:, 0] if rows.dtype == torch.bool else rows
    return TrackedObjects(
        tuple(objects.tokens[i] for i in index.tolist()),
        objects.types[index],
        objects.sizes[index],
        objects.states[:, index],
        objects.present[:, index],
        objects.interval_s,
    )


def objects_at_start(scene: Scene) -> TrackedObjects:
    """The objects observed at t0, in the scene's order, as a single row of states.

    Raises:
        SceneError: if the scene has not even the key frame at t0.
    """
    objects = scene.objects
    if objects.states.shape[0] == 0:
        raise SceneError("Scene.objects: expected at least the key frame at t0, got none")
    first = replace(objects, states=objects.states[:1], present=objects.present[:1])
    return select_objects(first, objects.present[0])


def vehicles_at_start(scene: Scene) -> TrackedObjects:
    """The vehicles observed at t0; see `objects_at_start`."""
    objects = objects_at_start(scene)
    return select_objects(objects, objects.types == int(ObjectType.VEHICLE))


def with_recorded_others(scene: Scene, vehicles: TrackedObjects, states: Tensor, present: Tensor) -> TrackedObjects:
    """Join simulated vehicles with the recorded objects of all other classes (official `simulate_environment`).

    The row at t0 is what was observed at t0. Later rows hold the simulated vehicles and everything else from the log,
    so vehicles that appear after t0 never exist, and an object of another class that was seen only once, but not at
    t0, exists from the second row on.

    Args:
        scene: the scene.
        vehicles: V vehicles observed at t0.
        states: (40, V, 5), their simulated states from t0 + 0.1 s on.
        present: (40, V) bool.
    """
    recorded = replay_objects(scene.objects, REPLAY_KEY_FRAMES)
    others = select_objects(recorded, recorded.types != int(ObjectType.VEHICLE))
    row = {token: i for i, token in enumerate(scene.objects.tokens)}
    index = torch.tensor([row[token] for token in others.tokens], dtype=torch.int64)
    there = scene.objects.present[0][index]
    first = scene.objects.states[0][index].to(torch.float64).clone()
    first[~others.is_agent, ObjectStateIndex.VELOCITY_X :] = 0.0
    others.states[0] = torch.where(there[:, None], first, 0.0)
    others.present[0] = there
    vehicle_states = torch.cat((vehicles.states[:1].to(torch.float64), states.to(torch.float64)))
    vehicle_present = torch.cat((vehicles.present[:1], present))
    if vehicle_states.shape[0] != SIMULATION_STEPS:
        raise SceneError(f"simulated vehicles: expected {SIMULATION_STEPS - 1} rows, got {states.shape[0]}")
    return TrackedObjects(
        vehicles.tokens + others.tokens,
        torch.cat((vehicles.types, others.types)),
        torch.cat((vehicles.sizes, others.sizes)),
        torch.cat((vehicle_states, others.states), dim=1),
        torch.cat((vehicle_present, others.present), dim=1),
        0.1,
    )
